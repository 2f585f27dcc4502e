"""The TL-GRPO trainer. Nothing here yet."""
