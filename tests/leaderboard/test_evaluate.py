"""`leaderboard.evaluate`: the command's run as one Python call."""

from __future__ import annotations

import pytest

import leaderboard
from leaderboard.running.evaluate import agent_name
from tests.leaderboard.agents import Walker
from tests.leaderboard.conftest import AGENTS

SMALL = {"pdk": "generic", "budget": 6, "seeds": 1, "jobs": 1}


def test_agents_by_name_or_class_are_compared_and_a_second_call_simulates_nothing(tmp_path):
    board = leaderboard.evaluate(["random", Walker], ["ota5t"], out=tmp_path, **SMALL)
    assert {row.agent for row in board.rows} == {"random", f"{AGENTS}:Walker"}
    assert all(row.overall.cells == 1 and row.unwitnessed == 0 for row in board.rows)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*")}
    again = leaderboard.evaluate(["random", Walker], ["ota5t"], out=tmp_path, **SMALL)
    assert [row.overall.score for row in again.rows] == [row.overall.score for row in board.rows]
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*")}


def test_what_cannot_run_is_said_before_anything_does(tmp_path):
    with pytest.raises(leaderboard.LeaderboardError, match="did you mean"):
        leaderboard.evaluate(["randon"], ["ota5t"], out=tmp_path, **SMALL)
    assert not list(tmp_path.glob("*/result.json"))


def test_an_agent_of_this_very_session_cannot_be_found_by_other_processes():
    class Mine:
        def run(self, session):
            session.simulate(session.task.reference)

    with pytest.raises(leaderboard.LeaderboardError, match="put it into a module"):
        agent_name(Mine)
    assert agent_name(Walker) == f"{AGENTS}:Walker"


def test_only_what_is_offered_is_there():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        leaderboard.evaluat  # noqa: B018
