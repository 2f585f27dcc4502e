"""Functions of the optimisation literature, put as sizing tasks: what is to be minimised is a spec.

Our protocol knows no objective, only specs; its score lies in [0, 1]. So a constraint is a spec, and so
is "f is at most so much". Where nothing constrains f, its target is the known optimum: the spec is never
met, the score rises as f falls, and a run spends its budget. The tolerance is wide enough that the score
is nearly linear in f, so nothing is gained by knowing where the optimum is. Where constraints bind, the
target lies a little above the optimum, as a sizing task's do: the set that meets every spec is small and
not empty, and no method gains by missing a constraint for the sake of f.

Every formula is written from the publication it names; constraints are at most 0, or ratios at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet

Point = NDArray[np.float64]

OBJECTIVE = "f"


@dataclass(frozen=True)
class Problem:
    """Minimise f over a box, where every constraint holds.

    Attributes:
        metrics: f and every constraint at a point of the box, shape (d,).
        optimum: the least f that is known, and `argmin` where it is, shape (d,).
        budget: evaluations of a run.
    """

    name: str
    space: DesignSpace
    specs: SpecSheet
    metrics: Callable[[Point], Mapping[str, float]]
    optimum: float
    argmin: tuple[float, ...]
    budget: int

    @property
    def constraints(self) -> tuple[Spec, ...]:
        return tuple(s for s in self.specs if s.metric != OBJECTIVE)

    @property
    def target(self) -> float:
        """What f should be at most."""
        return self.specs.targets[OBJECTIVE]

    def evaluate(self, design: Design) -> Evaluation:
        canonical = self.space.canonicalize(design)
        metrics = self.metrics(np.array(list(canonical.values())))
        return Evaluation.judged(canonical, Status.OK, metrics, self.specs)

    def allowed(self, evaluation: Evaluation) -> bool:
        """Whether every constraint holds, whatever f is."""
        return all(evaluation.margins[s.metric] >= 0.0 for s in self.constraints)


def _box(low: float, high: float, n: int) -> DesignSpace:
    return DesignSpace(tuple(Parameter(f"x{k + 1}", low, high) for k in range(n)))


_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_CURVATURES = np.array([
    [10.0, 3.0, 17.0, 3.5, 1.7, 8.0], [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
    [3.0, 3.5, 1.7, 10.0, 17.0, 8.0], [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
])  # fmt: skip
_CENTRES = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])  # fmt: skip


def _hartmann6(x: Point) -> Mapping[str, float]:
    """Four bumps in six dimensions (Dixon and Szegö, "The Global Optimization Problem", 1978)."""
    distance = (_CURVATURES * (x - _CENTRES) ** 2).sum(axis=1)
    return {OBJECTIVE: -float(_WEIGHTS @ np.exp(-distance))}


def _ackley(x: Point) -> float:
    """Ripples on a funnel (Ackley, "A Connectionist Machine for Genetic Hillclimbing", 1987)."""
    funnel = -20.0 * math.exp(-0.2 * math.sqrt(float(np.mean(x**2))))
    ripples = -math.exp(float(np.mean(np.cos(2.0 * math.pi * x))))
    return funnel + ripples + 20.0 + math.e


def _plain_ackley(x: Point) -> Mapping[str, float]:
    return {OBJECTIVE: _ackley(x)}


def _constrained_ackley(x: Point) -> Mapping[str, float]:
    """Within half a ball around the optimum (Eriksson and Poloczek, "SCBO", AISTATS 2021)."""
    return {
        OBJECTIVE: _ackley(x),
        "sum": float(x.sum()),
        "radius": float(np.linalg.norm(x)) - 5.0,
    }


def _welded_beam(x: Point) -> Mapping[str, float]:
    """Cost of a beam under a load at its end (Coello Coello and Mezura Montes, Advanced Engineering
    Informatics 16, 2002): height and length of the weld, height and thickness of the beam, inches."""
    weld, length, height, thickness = (float(v) for v in x)
    load, span, young, shear = 6000.0, 14.0, 30e6, 12e6
    moment = load * (span + length / 2.0)
    arm = math.hypot(length / 2.0, (weld + height) / 2.0)
    polar = 2.0 * math.sqrt(2.0) * weld * length * (length**2 / 12.0 + ((weld + height) / 2.0) ** 2)
    direct = load / (math.sqrt(2.0) * weld * length)
    twisting = moment * arm / polar
    stress = math.sqrt(direct**2 + direct * twisting * length / arm + twisting**2)
    buckling = (
        4.013 * young * height * thickness**3 / (6.0 * span**2)
        * (1.0 - height / (2.0 * span) * math.sqrt(young / (4.0 * shear)))
    )  # fmt: skip
    beam = 0.04811 * height * thickness * (14.0 + length)
    return {
        OBJECTIVE: 1.10471 * weld**2 * length + beam,
        "shear": stress / 13600.0,
        "bending": 6.0 * load * span / (thickness * height**2) / 30000.0,
        "weld": weld / thickness,
        "cost": (0.10471 * weld**2 + beam) / 5.0,
        "deflection": 4.0 * load * span**3 / (young * height**3 * thickness) / 0.25,
        "buckling": load / buckling,
    }


def _speed_reducer(x: Point) -> Mapping[str, float]:
    """Weight of a gear box (Golinski, Journal of Mechanisms 5, 1970): face width, module, teeth of the
    pinion, the shafts' lengths and diameters, centimetres."""
    face, module, teeth, l1, l2, d1, d2 = (float(v) for v in x)
    weight = (
        0.7854 * face * module**2 * (3.3333 * teeth**2 + 14.9334 * teeth - 43.0934)
        - 1.508 * face * (d1**2 + d2**2)
        + 7.4777 * (d1**3 + d2**3)
        + 0.7854 * (l1 * d1**2 + l2 * d2**2)
    )
    return {
        OBJECTIVE: weight,
        "bending": 27.0 / (face * module**2 * teeth),
        "contact": 397.5 / (face * module**2 * teeth**2),
        "deflection_1": 1.93 * l1**3 / (module * teeth * d1**4),
        "deflection_2": 1.93 * l2**3 / (module * teeth * d2**4),
        "stress_1": math.sqrt((745.0 * l1 / (module * teeth)) ** 2 + 16.9e6) / (110.0 * d1**3),
        "stress_2": math.sqrt((745.0 * l2 / (module * teeth)) ** 2 + 157.5e6) / (85.0 * d2**3),
        "size": module * teeth / 40.0,
        "narrow": 5.0 * module / face,
        "wide": face / (12.0 * module),
        "shaft_1": (1.5 * d1 + 1.9) / l1,
        "shaft_2": (1.1 * d2 + 1.9) / l2,
    }


def _ratios(names: tuple[str, ...]) -> tuple[Spec, ...]:
    return tuple(Spec(name, "<=", 1.0) for name in names)


PROBLEMS = (
    Problem(
        "hartmann-6", _box(0.0, 1.0, 6),
        SpecSheet((Spec(OBJECTIVE, "<=", -3.32237, tolerance=10.0),)),
        _hartmann6, -3.32237, (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573), budget=50,
    ),
    *(
        Problem(
            f"ackley-{n}", _box(-5.0, 10.0, n),
            SpecSheet((Spec(OBJECTIVE, "<=", 0.0, tolerance=20.0),)),
            _plain_ackley, 0.0, (0.0,) * n, budget=100,
        )
        for n in (10, 20)
    ),
    Problem(
        "constrained-ackley-10", _box(-5.0, 10.0, 10),
        SpecSheet((
            Spec(OBJECTIVE, "<=", 3.0, tolerance=5.0), Spec("sum", "<=", 0.0, tolerance=5.0),
            Spec("radius", "<=", 0.0, tolerance=5.0),
        )),
        _constrained_ackley, 0.0, (0.0,) * 10, budget=100,
    ),
    Problem(
        "welded-beam",
        DesignSpace((
            Parameter("weld", 0.125, 10.0), Parameter("length", 0.1, 10.0),
            Parameter("height", 0.1, 10.0), Parameter("thickness", 0.1, 10.0),
        )),
        SpecSheet((
            Spec(OBJECTIVE, "<=", 2.5),
            *_ratios(("shear", "bending", "weld", "cost", "deflection", "buckling")),
        )),
        _welded_beam, 1.724852, (0.20572964, 3.47048867, 9.03662391, 0.20572964), budget=60,
    ),
    Problem(
        "speed-reducer",
        DesignSpace((
            Parameter("face", 2.6, 3.6), Parameter("module", 0.7, 0.8),
            Parameter("teeth", 17, 28, integer=True), Parameter("length_1", 7.3, 8.3),
            Parameter("length_2", 7.3, 8.3), Parameter("diameter_1", 2.9, 3.9),
            Parameter("diameter_2", 5.0, 5.5),
        )),
        SpecSheet((
            Spec(OBJECTIVE, "<=", 3024.0),
            *_ratios((
                "bending", "contact", "deflection_1", "deflection_2", "stress_1", "stress_2", "size",
                "narrow", "wide", "shaft_1", "shaft_2",
            )),
        )),
        _speed_reducer, 2994.4711, (3.5, 0.7, 17, 7.3, 7.71532, 3.350215, 5.286655), budget=60,
    ),
)  # fmt: skip


def get_problem(name: str) -> Problem:
    """Raises KeyError naming those there are."""
    for problem in PROBLEMS:
        if problem.name == name:
            return problem
    raise KeyError(f"no problem called {name!r}; problems: {', '.join(p.name for p in PROBLEMS)}")
