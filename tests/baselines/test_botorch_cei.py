"""botorch-cei assumes nothing of the scores: they may be negative, and in any unit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("botorch")

from acs_gym.design import DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from baselines.acquisition import Effort
from baselines.botorch_cei import BotorchCEI
from baselines.initial import initial_designs

PLANE = DesignSpace((Parameter("x", 0.0, 1.0), Parameter("y", 0.0, 1.0)))
EFFORT = Effort(samples=64, raw=128, starts=2, iterations=30)


def told(design, *, score, margin):
    return Evaluation(
        design=design, status=Status.OK, metrics={"m": margin}, margins={"m": margin},
        satisfaction={"m": float(margin >= 0)}, score=score, feasible=margin >= 0,
    )  # fmt: skip


def proposal(offset, scale, edge):
    """What is asked for after eight designs of which none, or some, lie beyond the edge in x."""
    method = BotorchCEI(PLANE, seed=0, initial=[], effort=EFFORT)
    method.tell(
        [
            told(d, score=offset + scale * (d["y"] - d["x"]), margin=d["x"] - edge)
            for d in initial_designs(PLANE, 8, seed=0)
        ]
    )
    (asked,) = method.ask(1)
    return np.array(list(asked.values()))


@pytest.mark.parametrize("edge", [0.5, 1.2], ids=["some feasible", "none feasible"])
def test_offset_and_unit_of_the_score_change_no_proposal(edge):
    expected = proposal(0.0, 1.0, edge)
    for offset, scale in ((-8.0, 1.0), (64.0, 1.0), (0.0, 1024.0)):
        np.testing.assert_allclose(proposal(offset, scale, edge), expected, atol=0.02)


def test_it_finds_a_feasible_design_though_every_score_is_negative():
    method = BotorchCEI(PLANE, seed=0, initial=initial_designs(PLANE, 4, seed=0), effort=EFFORT)
    best = -np.inf
    for _ in range(14):
        (design,) = method.ask(1)
        # The best scores lie where the constraint is missed by most.
        margin = design["x"] + design["y"] - 1.8
        score = -100.0 - 50.0 * (design["x"] + 2.0 * design["y"])
        method.tell([told(design, score=score, margin=margin)])
        best = max(best, score if margin >= 0 else -np.inf)
    # At best x = 1, y = 0.8.
    assert best > -235.0
