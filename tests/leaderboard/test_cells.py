"""A cell's key changes with everything that decides its result, and its seed with nothing else."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from leaderboard.cells.spec import CellSpec, canonical_json, grid, run_key, session_seed
from leaderboard.errors import LeaderboardError
from leaderboard.running.plan import plan_cells

SPEC = CellSpec(
    task="ACS-OTA5T-v0",
    pdk="generic",
    tier="tt",
    agent="sobol",
    repetition=0,
    budget=10,
    suite_seed=0,
)


def test_key_is_sixteen_hex_digits_and_the_same_every_time():
    key = run_key(SPEC, {"a": 1, "b": 2}, "digest", "ngspice 39")
    assert re.fullmatch(r"[0-9a-f]{16}", key)
    assert key == run_key(SPEC, {"b": 2, "a": 1}, "digest", "ngspice 39")


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ACS-OpAmp-v0"}, {"pdk": "sky130"}, {"agent": "random"}, {"repetition": 1},
        {"budget": 11}, {"suite_seed": 1},
    ],
)  # fmt: skip
def test_key_changes_with_every_field_of_the_spec(change):
    other = SPEC.model_copy(update=change)
    assert run_key(other, {}, "d", "s") != run_key(SPEC, {}, "d", "s")


def test_key_changes_with_the_agents_configuration_the_task_and_the_simulator():
    keys = {
        run_key(SPEC, {}, "d", "s"), run_key(SPEC, {"n": 1}, "d", "s"),
        run_key(SPEC, {}, "e", "s"), run_key(SPEC, {}, "d", "t"),
    }  # fmt: skip
    assert len(keys) == 4


def test_every_agent_has_the_same_seed_at_a_task_and_repetition():
    assert session_seed(SPEC) == session_seed(
        SPEC.model_copy(update={"agent": "random", "budget": 99})
    )


def test_tasks_repetitions_and_suites_have_seeds_of_their_own():
    specs = [
        SPEC.model_copy(update={"task": t, "repetition": r, "suite_seed": s})
        for t in ("ACS-OTA5T-v0", "ACS-OpAmp-v0") for r in range(3) for s in range(3)
    ]  # fmt: skip
    assert len({session_seed(s) for s in specs}) == len(specs)


def test_the_seed_of_a_cell_is_fixed_for_good():
    # A changed derivation would silently make old and new results incomparable.
    assert session_seed(SPEC) == 12298411255298772552


def test_every_agent_runs_at_the_first_seed_before_the_second_begins():
    cells = grid(["T", "U"], ["a", "b"], repetitions=2, pdk="p", tier="tt", budget=1, suite_seed=0)
    assert [(c.repetition, c.agent, c.task) for c in cells] == [
        (repetition, agent, task) for repetition in (0, 1) for agent in "ab" for task in "TU"
    ]


@pytest.mark.parametrize("change", [{"budget": 0}, {"repetition": -1}, {"budget": "10"}, {"x": 1}])
def test_a_spec_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValidationError):
        CellSpec.model_validate(SPEC.model_dump() | change)


def test_json_never_holds_nan():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "a\u200bb"}, {"agent": "a\u202eb"}, {"agent": "e\u0301"}, {"agent": "a\nb"},
        {"agent": ""}, {"agent": "a" * 5000}, {"task": "x\x1b[2J"}, {"repetition": 4 * 10**9},
        {"budget": 10**30}, {"suite_seed": 2**63},
    ],
)  # fmt: skip
def test_names_that_read_as_others_and_numbers_without_end_are_no_spec(change):
    with pytest.raises(ValidationError):
        CellSpec.model_validate(SPEC.model_dump() | change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repetitions": 10**6}, "--seeds is 1000000; it must be at most 100000"),
        ({"budget": 10**12}, "--budget is 1000000000000; it must be at most"),
        ({"agents": ["sobol\u200b"]}, "its name has characters that are not seen"),
    ],
)
def test_they_are_refused_before_anything_runs(change, reason):
    given = {"agents": ["sobol"], "repetitions": 1, "budget": 5} | change
    with pytest.raises(LeaderboardError, match=reason):
        plan_cells(["ACS-OTA5T-v0"], pdk="generic", tier="tt", suite_seed=0, **given)
