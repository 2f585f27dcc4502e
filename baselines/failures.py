"""What a method learns from a simulation that failed: the one place where that is decided.

A NaN handed to a surrogate model is stored, or raises, or is skipped, depending on the library, and
a library that skips failures goes on sampling the region where every simulation fails. So:

* a failure that was not the design's (`infra_error`), and something that is no design, teach nothing;
* a model of the score learns 0, the worst score there is, from a design that failed;
* a model of one metric learns nothing where that metric was not measured, and a model of the chance
  that everything is measured learns a 0 there, which steers away from the region;
* a library that takes one number a spec and cannot do without learns the worst, `WORST_BILOG`.

Margins are learnt through the bilog transform of SCBO (Eriksson and Poloczek, AISTATS 2021),
`sign(m) ln(1 + |m|)`, which keeps the place of the target and tames a gain that is 80 dB off. A
spec's satisfaction is then exp(min(bilog, 0)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import Evaluation, Status

Track = Literal["score", "metrics"]

FAILED_SCORE = 0.0
# A margin of -53: satisfaction 0.02. Beyond it all sizings are hopeless alike, and an outlier
# would take up the whole range of a model.
WORST_BILOG = -4.0
_TEACHES_NOTHING = (Status.INFRA_ERROR, Status.INVALID_DESIGN)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What one simulation taught; every number in it is finite.

    Attributes:
        design: the canonical design simulated.
        unit: its coordinates in the unit cube, shape (n,), on the grid.
        score: in [0, 1], 0 where the simulation failed.
        margins: spec -> bilog of its margin, in ±4, for the specs that were measured.
        specs: every spec. This and `margins` are empty for a method of the `score` track.
        proposed: the point that `Optimizer._propose` gave for it, shape (n,), before it was rounded
            to the grid; None for an initial design and for what others simulated.
    """

    design: Design
    unit: NDArray[np.float64]
    score: float
    margins: Mapping[str, float]
    specs: tuple[str, ...]
    proposed: NDArray[np.float64] | None = None

    @property
    def measured(self) -> bool:
        """Whether every spec was measured; False when there is none."""
        return bool(self.specs) and len(self.margins) == len(self.specs)

    @property
    def feasible(self) -> bool:
        """Whether every spec was met."""
        return self.measured and min(self.margins.values()) >= 0.0


def teaches(evaluation: Evaluation) -> bool:
    """Whether the evaluation says anything of its design."""
    return evaluation.status not in _TEACHES_NOTHING


def score_to_learn(evaluation: Evaluation) -> float:
    """The evaluation's score, or 0 when it failed; always finite."""
    if _failed(evaluation) or not math.isfinite(evaluation.score):
        return FAILED_SCORE
    return float(evaluation.score)


def margins_to_learn(evaluation: Evaluation) -> dict[str, float]:
    """Spec -> bilog of its margin, within ±4, for the specs that were measured."""
    if _failed(evaluation):
        return {}
    return {s: bilog(m) for s, m in evaluation.margins.items() if not math.isnan(m)}


def bilog(margin: float) -> float:
    """`sign(m) ln(1 + |m|)`, clipped to ±4; an infinite margin is a measured one."""
    value = math.copysign(math.log1p(abs(margin)), margin)
    return min(max(value, WORST_BILOG), -WORST_BILOG)


def observe(
    space: DesignSpace,
    evaluation: Evaluation,
    track: Track = "metrics",
    proposed: NDArray[np.float64] | None = None,
) -> Observation | None:
    """What a method of this track may learn; None when the evaluation teaches nothing."""
    if not teaches(evaluation):
        return None
    design = space.canonicalize(evaluation.design)
    sees_metrics = track == "metrics"
    return Observation(
        design=design,
        unit=space.to_unit(design),
        score=score_to_learn(evaluation),
        margins=margins_to_learn(evaluation) if sees_metrics else {},
        specs=tuple(evaluation.margins) if sees_metrics else (),
        proposed=proposed,
    )


def _failed(evaluation: Evaluation) -> bool:
    return evaluation.status not in (Status.OK, Status.MEASURE_FAILED)
