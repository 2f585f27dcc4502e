"""What says that a run is going wrong, while there is still time. Pure functions on an update's
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

# Each limit is where runs of tiny policies were seen to be past saving, not a mere oddity.
_LIMITS = (
    ("dead_groups", ">", 0.9, "almost no group has a difference to learn from"),
    ("invalid_share", ">", 0.5, "half of what is sampled is no action"),
    ("entropy", "<", 0.02, "the policy has stopped exploring"),
    ("clip_fraction", ">", 0.3, "updates are larger than the clip allows; lower the learning rate"),
    ("mismatch", ">", 0.05, "sampler and learner disagree"),
    ("failed_share", ">", 0.5, "half of the simulations fail"),
    ("gradient_norm", ">", 100.0, "the gradient explodes"),
)


def alarms(numbers: Mapping[str, float]) -> list[str]:
    """One line for each number beyond its limit."""
    found = []
    for name, sign, limit, meaning in _LIMITS:
        value = numbers.get(name)
        if value is not None and (value > limit if sign == ">" else value < limit):
            found.append(f"{name} is {value:.3g} ({sign} {limit:g}): {meaning}")
    return found
