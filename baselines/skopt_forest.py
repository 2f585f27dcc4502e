"""Bayesian optimisation of the score with trees for a model: scikit-optimize's `forest_minimize`.

Hutter, Hoos and Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm
Configuration" (SMAC), LION 5, 2011; the trees are extremely randomised ones (Geurts, Ernst and
Wehenkel, Machine Learning 63, 2006), as is the library's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from baselines.skopt_wrapper import SkoptOptimizer


class SkoptForest(SkoptOptimizer):
    """A hundred extra trees and EI, maximised over random points."""

    name: ClassVar[str] = "skopt-forest"
    arguments: ClassVar[Mapping[str, Any]] = {
        "base_estimator": "ET", "acq_func": "EI", "acq_optimizer": "sampling", "n_jobs": 1,
    }  # fmt: skip
