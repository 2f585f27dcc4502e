"""Cells whose agent asks for single conditions: charged, recorded, resumed, and held to all of it."""

from __future__ import annotations

import json

import pytest

from acs_gym.task import make_task
from leaderboard.board.cell_figures import curve, first_met
from leaderboard.cells.records import CellStatus
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store
from leaderboard.running.plan import plan_cells
from leaderboard.trust.verification import of_cell, of_files
from leaderboard.trust.verify import verify_cell
from tests.leaderboard.tampering import ALL, edit_trace
from tests.leaderboard.test_long_runs import Counting

AGENT = f"{__name__}:Piecewise"
BUDGET = 14


class Piecewise:
    """Draws of mc4 one or two at a time; two designs at all of them in the end, one only in part."""

    def run(self, session):
        task = session.task
        names = [c.name for c in task.conditions.conditions]
        first, second, third = (task.space.sample(session.rng) for _ in range(3))
        part = session.simulate(first, conditions=names[:1])
        session.simulate([first, second], conditions=names[:2])  # What is known is charged again.
        session.simulate({"w_pair": 1.0}, conditions=names[:1])  # No design.
        session.simulate(first, conditions=names[2:])
        session.simulate(third, conditions=names[3:])
        assert part.unknown == 3
        session.simulate(second)  # Everything, half of which is known.


@pytest.fixture
def cell():
    (found,) = plan_cells(
        ["ACS-OTA5T-v0"], [AGENT], repetitions=1, pdk="generic", tier="mc4", budget=BUDGET,
        suite_seed=0,
    )  # fmt: skip
    return found


@pytest.fixture
def finished(cell, store):
    spent = []
    result = run_cell(cell.spec, cell.key, store, lambda n, _best: spent.append(n))
    store.finish(result)
    return result, spent


def test_each_condition_is_charged_and_said(cell, store, finished):
    result, spent = finished
    assert result.status is CellStatus.COMPLETE
    assert result.usage.simulations == 13 == spent[-1] == store.recorded(cell.key)
    lines = store.load(cell.key).trace
    assert [line.evaluation.cost for line in lines] == [1, 2, 2, 1, 2, 1, 4]
    assert [len(line.conditions or ()) for line in lines] == [1, 2, 2, 1, 2, 1, 0]
    assert [line.evaluation.unknown for line in lines] == [3, 2, 2, 0, 0, 3, 0]
    assert not any(line.duplicate for line in lines)


def test_only_a_design_at_every_condition_counts(cell, store, finished):
    result, _ = finished
    stored = store.load(cell.key)
    whole = [line.evaluation for line in stored.trace if line.index in (4, 6)]
    assert result.score == max(e.score for e in whole)
    assert result.best == max(whole, key=lambda e: e.score)
    # The first of them is complete when eight simulations are spent.
    assert curve(stored).tolist()[:8] == [0.0] * 7 + [whole[0].score]
    assert first_met(stored) is None


def test_it_holds_though_every_design_is_simulated_again(cell, store, finished):
    assert verify_cell(store, cell.key, ALL).findings == ()


def test_interrupted_it_simulates_what_it_lacks_and_ends_the_same(
    cell, store, finished, tmp_path, monkeypatch
):
    whole = (store.cell(cell.key) / "trace.jsonl").read_bytes()
    other = Store(tmp_path / "other")

    def interrupt(n, _best):
        if n == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(cell.spec, cell.key, other, interrupt)
    counting = Counting()
    monkeypatch.setattr("acs_gym.session.shared_pool", lambda _workers: counting)
    run_cell(cell.spec, cell.key, other, lambda _n, _best: None)
    seconds = [json.loads(line) | {"seconds": 0} for line in whole.splitlines()]
    again = (other.cell(cell.key) / "trace.jsonl").read_bytes()
    assert [json.loads(line) | {"seconds": 0} for line in again.splitlines()] == seconds
    assert counting.jobs == 3, "one of the third design and two of the second"


def checks(cell, store, change):
    """Which checks fail when the trace's lines are changed, and their digest with them."""
    edit_trace(store.cell(cell.key), change)
    found = of_cell(
        of_files(store, cell.key)[0], make_task(cell.spec.task, pdk="generic", tier="mc4")
    )
    return {finding.check for finding in found}


@pytest.mark.parametrize(
    ("line", "change", "check"),
    [
        (1, {"unknown": 0}, "judgement"),
        (1, {"score": 0.9}, "judgement"),
        (1, {"cost": 0}, "budget"),
        (4, {"unknown": 1}, "judgement"),
        (5, {"feasible": True}, "judgement"),
    ],
)
def test_a_part_that_is_said_to_be_more_is_found(cell, store, finished, line, change, check):
    assert check in checks(cell, store, lambda lines: lines[line]["evaluation"].update(change))


def test_conditions_that_were_not_asked_for_are_found(cell, store, finished):
    assert "budget" in checks(cell, store, lambda lines: lines[1].pop("conditions"))


def test_a_design_that_says_something_else_of_a_condition_later_is_found(cell, store, finished):
    def other(lines):
        lines[4]["evaluation"]["by_condition"]["metrics"]["gain"][0] += 1.0

    assert "duplicate" in checks(cell, store, other)
