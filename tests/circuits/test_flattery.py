"""Designs that earlier tasks took for good ones, and that no task may take for good again.

Each was found by a search for what the specs of then let through (seeded CMA-ES on the margins, with a
bonus for the vice), or was shipped as a reference. A designer who opens one does not accept it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import acs_gym
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, Status
from acs_gym.simulation.pool import Job, Simulator


@dataclass(frozen=True)
class Flattered:
    """A design, what it looks like, and the specs that it must miss."""

    vice: str
    circuit: str
    design: Design
    looks: dict[str, float]
    misses: set[str]


RINGING_OP_AMP = {
    "w_pair": 16.6e-6, "l_pair": 1.15e-6, "w_load": 15.8e-6, "l_load": 0.51e-6, "w_driver": 66.8e-6,
    "w_bias": 8.21e-6, "l_bias": 1.73e-6, "m_tail": 6, "m_out": 16, "i_bias": 4.62e-6,
    "c_comp": 0.857e-12, "r_zero": 5.43e3,
}  # fmt: skip
SPRAWLING_OP_AMP = {
    "w_pair": 96.8e-6, "l_pair": 4e-6, "w_load": 39.1e-6, "l_load": 0.35e-6, "w_driver": 164e-6,
    "w_bias": 50e-6, "l_bias": 4e-6, "m_tail": 16, "m_out": 40, "i_bias": 2.38e-6,
    "c_comp": 4.18e-12, "r_zero": 4.55e3,
}  # fmt: skip
# Once the nominal reference: 67° at light load, 96° at full load, and near oscillation in between.
NERVOUS_REGULATOR = {
    "w_pair": 80e-6, "l_pair": 0.15e-6, "w_load": 30e-6, "l_load": 1.25e-6, "w_sink": 3.3e-6,
    "l_sink": 0.75e-6, "k_out": 7, "w_bias": 0.6e-6, "l_bias": 2e-6, "m_tail": 6, "i_bias": 3e-6,
    "m_pass": 80, "l_pass": 0.15e-6, "r_div": 42e3, "c_comp": 22e-12, "r_zero": 1.9e3,
}  # fmt: skip
# Meets every spec of then with a tail whose Vds is a twelfth of its Vdsat: a resistor.
TRIODE_REGULATOR = {
    "w_pair": 8.41e-6, "l_pair": 0.245e-6, "w_load": 16.2e-6, "l_load": 1.34e-6, "w_sink": 8.94e-6,
    "l_sink": 2.05e-6, "k_out": 3, "w_bias": 0.545e-6, "l_bias": 3.89e-6, "m_tail": 4,
    "i_bias": 33.1e-6, "m_pass": 39, "l_pass": 0.15e-6, "r_div": 73.9e3, "c_comp": 24e-12,
    "r_zero": 2.8e3,
}  # fmt: skip
# Once the nominal reference: quick and quiet, until its devices differ.
UNMATCHED_COMPARATOR = {
    "w_tail": 11e-6, "w_pair": 3.5e-6, "l_pair": 0.15e-6, "w_ncross": 1.3e-6, "w_pcross": 1.35e-6,
    "l_cross": 0.15e-6, "w_reset": 2e-6,
}  # fmt: skip

FLATTERED = (
    Flattered("rings after a step", "opamp", RINGING_OP_AMP, {"pm": 60}, {"overshoot"}),
    Flattered(
        "takes fifteen times the area", "opamp", SPRAWLING_OP_AMP, {"pm": 60},
        {"area", "modulus_margin"},
    ),
    Flattered(
        "has no margin at a middle load", "ldo", NERVOUS_REGULATOR,
        {"pm_light": 60, "pm_full": 60}, {"pm_middle", "modulus_margin", "saturation"},
    ),
    Flattered(
        "has its tail in triode", "ldo", TRIODE_REGULATOR,
        {"pm_light": 60, "pm_middle": 60, "pm_full": 60}, {"saturation"},
    ),
    Flattered(
        "decides wrongly under mismatch", "comparator", UNMATCHED_COMPARATOR, {}, {"pair_area"},
    ),
)  # fmt: skip


def evaluated(task: acs_gym.Task, design: Design, simulator: Simulator) -> Evaluation:
    design = task.space.canonicalize(design)
    return task.judge(design, *simulator.run([Job(task.program, design)]))


@pytest.mark.parametrize("case", FLATTERED, ids=lambda c: f"{c.circuit} {c.vice}")
def test_a_design_that_flattered_an_earlier_task_misses_a_spec(
    case: Flattered, in_process: Simulator
) -> None:
    task = acs_gym.make_task(case.circuit, pdk="sky130")
    evaluation = evaluated(task, case.design, in_process)
    assert evaluation.status is Status.OK
    for metric, value in case.looks.items():
        assert evaluation.metrics[metric] >= value
    missed = {s for s, margin in evaluation.margins.items() if margin < 0}
    assert case.misses <= missed and not evaluation.feasible and evaluation.score < 1.0


@pytest.mark.parametrize("pdk", ["sky130", "generic"])
@pytest.mark.parametrize("tier", ["tt", "mc"])
def test_a_comparator_s_reference_decides_right_in_a_hundred_mismatch_draws(
    pdk: str, tier: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task("comparator", pdk=pdk, tier="mc100")
    reference = task.circuit.reference(pdk, tier)  # type: ignore[arg-type]
    assert reference is not None
    design = task.space.canonicalize(reference)
    outcomes = in_process.run([task.job(design, draw) for draw in range(100)])
    assert [k for k, o in enumerate(outcomes) if o.status is not Status.OK] == []


def test_an_unmatched_comparator_decides_wrongly_in_some_of_them(in_process: Simulator) -> None:
    task = acs_gym.make_task("comparator", pdk="sky130", tier="mc100")
    design = task.space.canonicalize(UNMATCHED_COMPARATOR)
    [outcome] = in_process.run([task.job(design, 25)])
    assert "wrong" in outcome.message


@pytest.mark.parametrize("pdk", ["sky130", "generic"])
def test_the_regulator_s_middle_load_is_where_its_margins_are_least(
    pdk: str, in_process: Simulator
) -> None:
    """From 0.2 mA to 20 mA nothing is much worse than what the three measured loads show."""
    task = acs_gym.make_task("ldo", pdk=pdk)
    assert task.reference is not None
    loads = [0.2e-3 * 100 ** (k / 12) for k in range(13)]
    jobs = [Job(task.program, task.reference, conditions={"i_middle": i}) for i in loads]
    outcomes = in_process.run(jobs)
    shown = evaluated(task, task.reference, in_process).metrics["modulus_margin"]
    assert min(o.metrics["mm_middle"] for o in outcomes) > 0.95 * shown
    assert min(o.metrics["pm_middle"] for o in outcomes) > 45
