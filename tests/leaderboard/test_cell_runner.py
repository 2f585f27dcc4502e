"""One cell: nothing an agent does ends the harness, and nothing it says is believed."""

from __future__ import annotations

import sys

import pytest

import leaderboard.cells.runner as cell_runner
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from leaderboard.cells.memory import forget_peak, peak_memory_mib
from leaderboard.cells.records import CellStatus
from leaderboard.cells.runner import CellChanged, run_cell
from leaderboard.cells.waveforms import WAVEFORMS
from tests.leaderboard.conftest import plan


def test_a_sound_agent_is_complete_and_its_winner_verified(finish):
    result = finish("Walker")
    assert result.status is CellStatus.COMPLETE
    assert result.usage.simulations == 6
    assert result.score == result.best.score > 0
    assert result.verified.design == result.best.design
    assert result.fingerprint["isolation"] == {"level": "inprocess"}
    assert result.fingerprint["simulator"].startswith("ngspice ")


def test_an_agent_may_keep_files_beside_its_result(finish, store):
    result = finish("KeepsFiles")
    assert (store.cell(result.key) / "notes.txt").read_text() == "what I thought"


def test_an_agent_that_raises_keeps_what_it_had_and_its_traceback_is_recorded(finish):
    result = finish("Raises")
    assert result.status is CellStatus.AGENT_ERROR
    assert "RuntimeError: the agent has a bug" in result.message
    assert result.usage.simulations == 3 and result.score > 0


def test_an_agent_that_exits_does_not_take_the_harness_with_it(finish):
    result = finish("Exits")
    assert result.status is CellStatus.AGENT_ERROR and "I leave" in result.message


def test_an_agent_that_asks_for_more_gets_nothing_more(finish):
    result = finish("Overspends")
    assert result.status is CellStatus.OVER_BUDGET
    assert result.usage.simulations == 6 and result.score > 0


def test_an_agent_that_does_nothing_scores_nothing(finish):
    result = finish("Idle")
    assert result.status is CellStatus.COMPLETE
    assert (result.score, result.best, result.verified) == (0.0, None, None)


def test_an_agent_that_simulated_nothing_may_say_why(finish):
    result = finish("OnlyTalks")
    assert (result.status, result.score) == (CellStatus.COMPLETE, 0.0)
    assert "wrote 'I would rather talk.', and called no tool" in result.message


def test_what_is_no_design_is_charged_and_wins_nothing(finish):
    result = finish("Nonsense")
    assert result.usage.simulations == 6
    assert result.usage.failed == {"invalid_design": 6}
    assert result.best is None and result.score == 0


def test_a_constant_agents_repetitions_are_counted(finish):
    assert finish("constant").usage.duplicates == 5


def test_the_declared_configuration_and_track_are_recorded(finish):
    result = finish("Configured")
    assert result.agent_config == {"step": 1} and result.track == "score"


def test_a_winner_that_simulates_differently_is_invalid_and_counts_as_zero(store, monkeypatch):
    cell = plan("Walker")[0]

    def other(task, design):
        nearby = task.space.from_unit(task.space.to_unit(design) * 0.9)
        with task.session(1) as session:
            return session.simulate(nearby), None

    monkeypatch.setattr(cell_runner, "_simulate_afresh", other)
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert result.status is CellStatus.INVALID
    assert "simulates differently" in result.message
    assert result.score == 0 and not result.feasible
    assert not (store.cell(cell.key) / WAVEFORMS).exists()


def test_a_simulator_that_fails_makes_the_cell_invalid_not_the_agent_bad(store, monkeypatch):
    class Broken:
        def run(self, jobs):
            return [Outcome(Status.INFRA_ERROR, {}, "no licence server") for _ in jobs]

    monkeypatch.setattr("acs_gym.session.shared_pool", lambda _workers: Broken())
    cell = plan("sobol")[0]
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert result.status is CellStatus.INVALID
    assert result.message == "the simulator failed: no licence server"
    assert result.usage.simulations == 0


def test_a_cell_whose_task_changed_since_the_plan_is_not_run(store):
    cell = plan("Walker")[0]
    with pytest.raises(CellChanged):
        run_cell(cell.spec, "0" * 16, store, lambda _n, _best: None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_a_cell_held_at_most_is_recorded_and_not_what_was_held_before_it(finish):
    forget_peak()
    before = peak_memory_mib()
    held = b"1" * (256 << 20)  # More than a cell imports.
    after = peak_memory_mib()
    assert before is not None and after is not None and after > before + 200
    del held
    most = finish("random").timing.peak_memory_mib
    assert most is not None and most < after


def test_progress_is_told_after_every_simulation(store):
    cell = plan("Walker")[0]
    told = []
    run_cell(cell.spec, cell.key, store, lambda n, best: told.append((n, best)))
    assert [n for n, _ in told] == [1, 2, 3, 4, 5, 6]
    assert [b for _, b in told] == sorted(b for _, b in told)


def test_a_trace_that_cannot_be_written_is_the_harness_failing_not_the_agent(store, monkeypatch):
    def full(_self, *_line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("leaderboard.cells.store.TraceWriter.write", full)
    cell = plan("Walker")[0]
    with pytest.raises(cell_runner.TraceFailed, match="No space left"):
        run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
