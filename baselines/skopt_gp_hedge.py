"""Bayesian optimisation of the score with a portfolio of acquisition functions: skopt's default.

Hoffman, Brochu and de Freitas, "Portfolio Allocation for Bayesian Optimization", UAI 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from baselines.skopt_wrapper import SkoptOptimizer


class SkoptGPHedge(SkoptOptimizer):
    """A GP (Matérn 5/2, one length scale a parameter); EI, PI and LCB, chosen by their gains."""

    name: ClassVar[str] = "skopt-gp-hedge"
    arguments: ClassVar[Mapping[str, Any]] = {
        "base_estimator": "GP", "acq_func": "gp_hedge", "acq_optimizer": "lbfgs",
    }  # fmt: skip
