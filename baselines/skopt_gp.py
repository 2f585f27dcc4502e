"""Bayesian optimisation of the score: scikit-optimize's Gaussian process and expected improvement.

Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions",
Journal of Global Optimization 13, 1998.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from baselines.skopt_wrapper import SkoptOptimizer


class SkoptGP(SkoptOptimizer):
    """A GP (Matérn 5/2, one length scale a parameter) and EI."""

    name: ClassVar[str] = "skopt-gp"
    arguments: ClassVar[Mapping[str, Any]] = {
        "base_estimator": "GP", "acq_func": "EI", "acq_optimizer": "lbfgs",
    }  # fmt: skip
