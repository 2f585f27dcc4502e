"""The taskset by a name that `vf-eval` and prime-rl import: put this folder on PYTHONPATH."""

from acs_gym.integrations.verifiers import SizingTaskset

__all__ = ["SizingTaskset"]
