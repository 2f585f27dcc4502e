"""Operating points: what a designer reads off each transistor, for nothing."""

import pytest

import acs_gym
from acs_gym.simulation.operating_point import OperatingPoint


@pytest.fixture
def points(task_id, pdk):
    task = acs_gym.make_task(task_id, pdk=pdk)
    with task.session(1) as session:
        evaluation = session.simulate(task.reference)
        found = {p.name: p for p in session.operating_points(task.reference)}
    return task, evaluation, found, session


def test_every_transistor_has_one_and_none_is_charged(points):
    task, _, found, session = points
    wanted = {
        p.name.lower(): p.kind for p in task.circuit.dut.primitives if p.kind in ("nfet", "pfet")
    }
    assert {p.name: p.kind for p in found.values()} == wanted
    assert session.meter.used == 1 and len(session.history) == 1


@pytest.mark.parametrize("pdk", ["generic"])
@pytest.mark.parametrize("task_id", ["ACS-OTA5T-v0", "ACS-OpAmp-v0", "ACS-SymmetricalOTA-v0"])
def test_matched_devices_share_their_tail_current(points):
    _, _, found, _ = points
    assert found["pair_p"].id + found["pair_n"].id == pytest.approx(found["tail"].id, rel=1e-3)


def test_the_supply_current_is_that_of_the_devices():
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="generic")
    with task.session(1) as session:
        evaluation = session.simulate(task.reference)
        found = {p.name: p for p in session.operating_points(task.reference)}
    total = found["load_ref"].id + found["load_out"].id
    assert evaluation.metrics["power"] == pytest.approx(1.8 * total, rel=1e-3)


def test_both_kinds_have_the_signs_of_an_n_channel_device(points):
    task, _, found, _ = points
    on = [p for p in found.values() if p.region != "off"]
    # The comparator's devices are off between two clocks, whatever leaks.
    assert len(on) >= 3 or "Comparator" in task.id
    for p in on:
        assert p.id > 0 and p.gm > 0 and p.vgs > 0 and p.vds > 0 and p.vth > 0 and p.vdsat > 0
        assert 0 < p.gm_over_id < 40  # Below 1/(n Ut), 1/V.


def test_the_small_signal_gain_is_that_of_the_operating_point():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    with task.session(1) as session:
        evaluation = session.simulate(task.reference)
        found = {p.name: p for p in session.operating_points(task.reference)}
    pair, load = found["pair_n"], found["load_n"]
    gain = pair.gm / (pair.gds + load.gds)
    assert 10 ** (evaluation.metrics["gain"] / 20) == pytest.approx(gain, rel=0.05)


def test_it_is_the_same_whatever_was_simulated_in_between():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    with task.session(3) as session:
        session.simulate(task.reference)
        first = session.operating_points(task.reference)
        session.simulate([task.space.from_unit([u] * len(task.space)) for u in (0.2, 0.8)])
        assert session.operating_points(task.reference) == first


@pytest.mark.parametrize("design", [{}, {"w_pair": 1}, "the middle"])
def test_a_design_that_was_not_simulated_has_none(design):
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    if design == "the middle":
        design = task.space.from_unit([0.5] * len(task.space))
    with task.session(1) as session, pytest.raises(ValueError, match="simulate"):
        session.operating_points(design)


def test_a_closed_session_has_none():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    with task.session(1) as session:
        session.simulate(task.reference)
    with pytest.raises(RuntimeError, match="closed"):
        session.operating_points(task.reference)


@pytest.mark.parametrize(
    ("change", "region"),
    [({}, "saturation"), ({"vds": 0.05}, "triode"), ({"id": 1e-10}, "off"), ({"id": -1.0}, "off")],
)
def test_regions(change, region):
    values = {
        "id": 1e-6, "gm": 2e-5, "gds": 1e-7, "vgs": 0.6, "vds": 0.5, "vth": 0.5, "vdsat": 0.1
    }  # fmt: skip
    assert OperatingPoint(name="m", kind="nfet", **(values | change)).region == region
