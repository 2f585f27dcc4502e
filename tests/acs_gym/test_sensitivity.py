"""What a size does to each margin, and which step to take next."""

from __future__ import annotations

import math

import pytest

import acs_gym
from acs_gym.evaluation import hardest_condition
from acs_gym.sensitivity import Sensitivity, conflicts, sensitivities, suggestions

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


def test_specs_that_every_size_pulls_apart_fight():
    wide = Sensitivity("w", "+5 %", {"gain": 0.03, "area": -0.05, "noise": 0.0, "swing": 0.001})
    long = Sensitivity("l", "+5 %", {"gain": 0.01, "area": -0.02, "noise": 0.02, "swing": math.nan})
    (fight,) = conflicts([wide, long])
    assert fight.metrics == ("gain", "area") and fight.correlation == pytest.approx(-1.0, abs=0.01)
    assert (fight.parameter, fight.step, fight.gain, fight.loss) == ("w", "+5 %", 0.03, -0.05)
    assert fight.words.startswith("gain and area fight (correlation -1.00): w +5 % changes")


def test_a_count_weighs_as_a_width_does(found):
    """The supply feeds the bias once and the tail m times: 5 % more of m is no step of 1."""
    m = TASK.reference["m_tail"]
    assert found["m_tail"].step == "+1"
    assert found["m_tail"].share * found["m_tail"].margins["power"] == pytest.approx(
        -math.log(1.05) * m / (1 + m), rel=0.1
    )
    # As a step of 1 the count would outvote both widths, which help the two specs alike.
    widths = [Sensitivity(n, "+5 %", {"gain": 0.02, "swing": 0.02}) for n in ("w", "l")]
    count = {"gain": 0.05, "swing": -0.05}
    assert conflicts([*widths, Sensitivity("m", "+1", count)])
    assert not conflicts([*widths, Sensitivity("m", "+1", count, share=0.2)])


def test_power_fights_bandwidth_in_an_ota(found):
    fights = {frozenset(c.metrics): c for c in conflicts(list(found.values()), least=0.0)}
    assert fights[frozenset(("power", "ugbw"))].parameter in ("i_bias", "m_tail")


def test_what_a_size_does_is_told_of_the_condition_asked_for(found, in_process):
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="pvt")
    names = [c.name for c in task.conditions.conditions]
    with task.session(len(names), simulator=in_process) as session:
        at = session.simulate(task.reference).by_condition
    number = names.index(hardest_condition(at))
    there = {
        s.parameter: s for s in sensitivities(task, TASK.reference, in_process, condition=number)
    }
    assert there != found
    least = {name: min(one.margins.values()) for name, one in at.items()}
    assert least[names[number]] == min(least.values()) < least[names[0]]
