"""What a size does to each margin, and which step to take next."""

from __future__ import annotations

import math

import pytest

import acs_gym
from acs_gym.sensitivity import Sensitivity, sensitivities, suggestions

TASK = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


@pytest.fixture(scope="module")
def found(in_process):
    return {s.parameter: s for s in sensitivities(TASK, TASK.reference, in_process)}


def test_every_parameter_has_a_change_of_every_margin(found):
    assert list(found) == list(TASK.space.names)
    assert all(set(s.margins) == set(TASK.specs.metrics) for s in found.values())
    assert not any(math.isnan(m) for s in found.values() for m in s.margins.values())


def test_more_current_costs_power_by_its_own_share(found):
    """Power is proportional to the bias current; its margin is a logarithm."""
    assert found["i_bias"].step == "+5 %"
    assert found["i_bias"].margins["power"] == pytest.approx(-math.log(1.05), rel=0.05)


def test_a_suggested_step_does_what_it_says(found, in_process):
    with TASK.session(2, simulator=in_process) as session:
        margins = session.simulate(TASK.reference).margins
        best = suggestions(margins, list(found.values()))[0]
        factor = 1.05 if best.step.startswith("+") else 1 / 1.05
        step = {**TASK.reference, best.parameter: TASK.reference[best.parameter] * factor}
        after = min(session.simulate(step).margins.values())
    assert best.before == min(margins.values()) < after
    assert after == pytest.approx(best.after, abs=0.3 * (best.after - best.before))


def test_nothing_is_suggested_where_no_step_helps():
    stuck = Sensitivity("w", "+5 %", {"gain": 0.0})
    assert suggestions({"gain": -0.1}, [stuck]) == ()
    other = Sensitivity("l", "+5 %", {"gain": 0.05})
    (one,) = suggestions({"gain": -0.1}, [stuck, other])
    assert (one.parameter, one.step, one.after) == ("l", "+5 %", pytest.approx(-0.05))
