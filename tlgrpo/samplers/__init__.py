"""Where actions are sampled: a model in this process (`hf`), a vLLM server (`vllm`), a fixed
list (`scripted`).
"""
