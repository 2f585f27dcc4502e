"""What a model is told before its first turn."""

import math

import pytest

import acs_gym
from acs_gym.tools.definitions import definitions
from agents.prompts import system_prompt


def test_it_states_circuit_netlist_parameters_specs_and_budget(task_id, pdk):
    task = acs_gym.make_task(task_id, pdk=pdk)
    text = system_prompt(task, 37)
    assert task.title in text and task.description in text
    assert (task.circuit.folder / "dut.spice").read_text().strip() in text
    assert all(f"- {p.name}: {p.range_text()}" in text for p in task.space)
    assert all(f"- {s.metric} {s.text()}" in text for s in task.specs)
    assert "37 designs" in text


def test_it_gives_no_solution_away(task_id):
    task = acs_gym.make_task(task_id, pdk="generic")
    text = system_prompt(task, 10)
    for name, value in task.reference.items():
        parameter = task.space[name]
        if not parameter.integer:
            from acs_gym.units import format_si

            assert f"{name} = {format_si(value, parameter.unit)}" not in text
    assert "reference sizing" not in text


def test_it_says_what_the_tier_means():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="pvt")
    assert "worst condition" in system_prompt(task, 10)
    assert "25 simulations" in str(definitions(task))


def test_an_unlimited_budget_is_said_so(task):
    assert "any number of designs" in system_prompt(task, math.inf)


def test_other_targets_are_stated(task):
    assert "ugbw ≥ 50 MHz" in system_prompt(task.with_specs({"ugbw": 50e6}), 10)


@pytest.mark.parametrize("tool_format", ["tools", "text"])
def test_the_text_format_adds_how_to_call(task, tool_format):
    text = system_prompt(task, 10, tool_format=tool_format, tools=definitions(task))
    assert ("<tool_call>" in text) is (tool_format == "text")


def test_same_task_same_words(task):
    again = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    assert system_prompt(task, 10) == system_prompt(again, 10)
