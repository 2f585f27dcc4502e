"""Knobs and designs say the same; the technology is what the operating point says."""

from __future__ import annotations

from dataclasses import replace

import pytest

import acs_gym
from acs_gym.simulation.pool import Simulator
from agents.scripted.circuits import PLANS
from agents.scripted.generic import plan_from_netlist
from agents.scripted.gm_id import inversion
from agents.scripted.notebook import Point
from agents.scripted.plans import Role
from agents.scripted.sizing import Calibration, Sizing
from tests.conftest import ALL_TASKS

PLANNED = tuple(PLANS)
SIZED = [t for t in PLANNED if PLANS[t].roles]


def points_of(session: acs_gym.Session, design: acs_gym.Design) -> dict[str, Point]:
    return {
        p.name: Point(p.id, p.gm_over_id, p.saturation_margin, p.region == "saturation")
        for p in session.operating_points(design)
    }


def test_circuits_to_learn_from_have_a_plan_and_held_out_ones_have_none() -> None:
    """A plan is what is known of a circuit beforehand; of a held-out one nothing is."""
    splits = {t: acs_gym.make_task(t, pdk="generic").circuit.file.split for t in ALL_TASKS}
    assert set(PLANS) == {t for t, split in splits.items() if split == "training"}


@pytest.mark.parametrize("task_id", PLANNED)
def test_a_plan_sets_every_parameter(task_id: str) -> None:
    task = acs_gym.make_task(task_id, pdk="generic")
    sizing = Sizing(task, PLANS[task_id])
    design = sizing.design(sizing.start, Calibration())
    assert task.space.canonicalize(design) == design
    devices = {p.name: p.parameters for p in task.circuit.dut.primitives}
    widths = {devices[r.device]["w"].text for r in PLANS[task_id].roles}
    lengths = {devices[s.device]["l"].text for s in PLANS[task_id].shifts}
    assert set(task.space.names) <= set(sizing.start) | widths | lengths


@pytest.mark.parametrize("task_id", PLANNED)
def test_a_plan_speaks_of_metrics_and_knobs_that_there_are(task_id: str) -> None:
    task = acs_gym.make_task(task_id, pdk="generic")
    plan = PLANS[task_id]
    parts = {r.part for r in plan.roles}
    known = {*plan.start, *(f"w_{p}" for p in parts)}
    assert set(plan.effects) <= set(task.metric_units)
    assert set(task.specs.metrics) <= set(plan.effects)
    assert {knob for effects in plan.effects.values() for knob in effects} <= known


@pytest.mark.parametrize("task_id", PLANNED)
def test_knobs_and_design_map_back(task_id: str) -> None:
    sizing = Sizing(acs_gym.make_task(task_id, pdk="generic"), PLANS[task_id])
    design = sizing.design(sizing.start, Calibration())
    again = sizing.design(sizing.knobs(design, Calibration()), Calibration())
    assert again == pytest.approx(design, rel=0.02)


@pytest.mark.parametrize("task_id", SIZED)
def test_after_a_look_the_parts_come_to_their_efficiencies(
    task_id: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task(task_id, pdk="generic")
    sizing = Sizing(task, PLANS[task_id])
    calibration = Calibration()
    with task.session(budget=3, simulator=in_process) as session:
        for _ in range(3):
            design = sizing.design(sizing.start, calibration)
            session.simulate(design)
            points = points_of(session, design)
            calibration = sizing.calibrate(design, points, calibration)
    first = {role.part: role for role in reversed(PLANS[task_id].roles)}
    for part, role in first.items():
        point = points[role.device]
        if point.saturated and role.device != "tail":
            wanted = sizing.start["ic_" + part]
            assert inversion(point.gm_id) == pytest.approx(wanted, rel=0.5), part


def test_what_an_operating_point_says_of_the_technology_is_believed_within_reason() -> None:
    task = acs_gym.make_task("ota5t", pdk="generic")
    sizing = Sizing(task, PLANS[task.id])
    design = sizing.design(sizing.start, Calibration())
    sane = Point(id=10e-6, gm_id=15.0, room=0.2, saturated=True)
    found = sizing.calibrate(design, {"pair_p": sane}, Calibration())
    assert set(found.currents) == {"pair"}
    for nonsense in (
        replace(sane, saturated=False), replace(sane, gm_id=0.0), replace(sane, gm_id=40.0),
    ):  # fmt: skip
        assert sizing.calibrate(design, {"pair_p": nonsense}, found) == found
    wild = sizing.calibrate(design, {"pair_p": replace(sane, id=1.0)}, Calibration())
    assert wild.currents["pair"] < 1e-5


def test_a_device_in_the_triode_region_is_given_room() -> None:
    task = acs_gym.make_task("ota5t", pdk="generic")
    sizing = Sizing(task, PLANS[task.id])
    squeezed = {"tail": Point(id=10e-6, gm_id=10.0, room=-0.05, saturated=False)}
    knobs = sizing.relieved(sizing.start, squeezed)
    changed = {k for k in knobs if knobs[k] < sizing.start[k]}
    assert changed == {"ic_bias", "ic_pair"}
    assert sizing.relieved(sizing.start, {}) == sizing.start


def test_a_plan_of_another_circuit_is_refused_by_the_names_of_its_devices() -> None:
    task = acs_gym.make_task("ota5t", pdk="generic")
    stranger = replace(PLANS[task.id], roles=(Role("m1", "i_bias", "pair"),))
    with pytest.raises(ValueError, match="ACS-OTA5T-v0 has no device called m1"):
        Sizing(task, stranger)


@pytest.mark.parametrize("task_id", ALL_TASKS)
def test_a_circuit_without_a_plan_starts_in_the_middle_of_its_ranges(task_id: str) -> None:
    task = acs_gym.make_task(task_id, pdk="generic")
    sizing = Sizing(task, plan_from_netlist(task))
    middle = task.space.from_unit([0.5] * len(task.space))
    assert sizing.design(sizing.start, Calibration()) == pytest.approx(middle, rel=1e-3)


@pytest.mark.parametrize("knob", ["i_bias", "m_tail", "ic_pair"])
def test_coordinates_of_a_knob_map_back_and_stay_in_its_range(knob: str) -> None:
    task = acs_gym.make_task("ota5t", pdk="generic")
    sizing = Sizing(task, PLANS[task.id])
    value = sizing.start[knob]
    assert sizing.value(knob, sizing.coordinate(knob, value)) == pytest.approx(value)
    low, high = sizing.limits(knob)
    assert sizing.value(knob, low - 9.0) == pytest.approx(sizing.value(knob, low))
    assert sizing.value(knob, high + 9.0) == pytest.approx(sizing.value(knob, high))
