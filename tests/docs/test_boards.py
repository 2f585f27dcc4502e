"""The page of the current results is made from what the boards say."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import boards
import pytest

import leaderboard.run
from leaderboard.board.standings import standings
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store
from leaderboard.running.evaluate import Request
from leaderboard.suites import proved_tasks, suite_tasks
from leaderboard.trust.perturbations import PUBLIC
from tests.leaderboard.boards import cell, grid
from tests.leaderboard.conftest import plan

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/boards.py"


def test_both_splits_are_run_in_both_tiers_and_wherever_targets_are_held_out():
    planned = [(b.tier, b.targets, b.suite) for b in boards.boards()]
    kinds = {"tt": ("held-out", "fixed"), "pvt": ("fixed",)}
    assert planned == [
        (tier, targets, suite)
        for tier in kinds
        for targets in kinds[tier]
        for suite in ("training", "held-out")
    ]


@pytest.mark.parametrize(("tier", "left_out"), [("tt", set()), ("pvt", {"ClassAB", "VCO"})])
def test_what_is_asked_for_has_a_sizing_that_is_known_to_meet_the_tier(tier, left_out):
    missing = set(suite_tasks("held-out")) - set(proved_tasks("held-out", tier=tier))
    assert missing == {f"ACS-{name}-v0" for name in left_out}


@pytest.mark.parametrize("board", boards.boards(), ids=str)
def test_what_a_board_asks_for_can_be_run(board):
    salt = PUBLIC if board.targets == "held-out" else None
    cells = Request(
        tasks=board.tasks, agents=boards.AGENTS[board.tier], budget=boards.BUDGETS[board.tier], seeds=5,
        out=board.folder, tier=board.tier, salt=salt,
    ).plan()  # fmt: skip
    assert len(cells) == len(board.tasks) * len(boards.AGENTS[board.tier]) * 5


def test_the_commands_are_those_that_the_leaderboard_understands():
    options = inspect.signature(leaderboard.run.main).parameters
    installed = {found.name for found in entry_points(group="leaderboard.agents")}
    for board in boards.boards():
        _, _, module, *given = board.command(seeds=10, jobs=2)
        assert module == "leaderboard.run"
        pairs = dict(zip(given[::2], given[1::2], strict=True))
        assert {name.removeprefix("--") for name in pairs} <= set(options)
        assert {agent.partition(":")[0] for agent in pairs["--agents"].split(",")} <= installed
        assert set(pairs["--tasks"].split(",")) <= set(suite_tasks(board.suite))


def test_a_page_says_what_its_boards_say():
    open_board = standings(grid({"good": {"ACS-A-v0": [1.0] * 3}, "bad": {"ACS-A-v0": [0.5] * 3}}))
    hidden = [cell("good", "ACS-A-v0", k, (0.5,), targets="held-out:" + "ab" * 32) for k in (0, 1)]
    made = {
        "command": "python benchmarks/boards.py run",
        "boards": [boards.summary(standings(hidden)), boards.summary(open_board)],
    }
    text = boards.page(json.loads(json.dumps(made)))
    first, second = (
        text.index(f"## Circuits, tt, {kind} targets") for kind in ("held-out", "fixed")
    )
    assert first < second
    assert "* good is first, with a score of 1.0000 of 1" in text[second:]
    assert "| `bad` | 4 | 0.00 | 1.00 | 100 | 3 |" in text[second:]
    assert "so no design is shown" in text[first:second]
    assert made["boards"][1]["ranking"].strip() in text
    glance = text[text.index("## At a glance") : first]
    assert "| `good` | 0.500, 0 of 2 | 1.000, 3 of 3 |" in glance
    assert "| `bad` | – | 0.500, 0 of 3 |" in glance
    assert "Not run yet: Training circuits, tt, held-out targets; Held-out circuits, tt" in text


def test_what_is_known_of_one_board_alone_is_said_with_its_costs():
    made = boards.summary(standings(grid({"good": {"ACS-OTA5T-v0": [1.0] * 3}})))
    noted = boards.page({"command": "x", "boards": [{**made, "note": "Its clock was slow."}]})
    assert "Its clock was slow." in noted
    assert noted.replace("\nIts clock was slow.\n", "") == boards.page(
        {"command": "x", "boards": [made]}
    )


def test_a_board_that_was_run_is_not_said_to_be_missing():
    made = boards.summary(standings(grid({"good": {"ACS-OTA5T-v0": [1.0] * 3}})))
    before, _, _ = boards.page({"command": "x", "boards": [made]}).partition("\n## ")
    assert "Training circuits, tt, held-out targets" in before
    assert "Training circuits, tt, fixed targets" not in before


def test_a_board_that_is_run_anew_takes_the_place_of_itself_alone():
    """Boards may be run on several machines, so a summary keeps those it has no cells of."""

    def a_board(suite: str, tier: str = "tt", *, held_out: bool = False, score: float) -> dict:
        return {"suite": suite, "tier": tier, "held_out": held_out, "score": score}

    kept = [
        a_board("custom", score=0.1),
        a_board("held-out", "pvt", score=0.2),
        a_board("training", score=0.3),
    ]
    found = [a_board("training", score=0.4), a_board("training", held_out=True, score=0.5)]
    assert [board["score"] for board in boards.merged(kept, found)] == [0.5, 0.4, 0.2, 0.1]
    assert boards.merged(kept, []) == [kept[2], kept[1], kept[0]]


def test_a_folder_becomes_a_page(tmp_path):
    store = Store(tmp_path / "runs")
    for agent in ("random", "sobol"):
        (one,) = plan(agent)
        store.finish(run_cell(one.spec, one.key, store, lambda _n, _best: None))
    kept, page = tmp_path / "boards.json", tmp_path / "boards.md"
    for step in (
        ["summarise", str(store.folder), "--json", str(kept)],
        ["page", "--json", str(kept), "--output", str(page)],
    ):
        subprocess.run([sys.executable, SCRIPT, *step], check=True, capture_output=True, cwd=ROOT)
    text = page.read_text()
    assert "| `sobol` | 6 |" in text and "Five-transistor OTA" in text


def test_a_committed_page_is_of_the_committed_result():
    """Both or neither, and one says what the other says."""
    assert boards.RESULT.exists() == boards.PAGE.exists()
    if boards.RESULT.exists():
        made = boards.page(json.loads(boards.RESULT.read_text()))
        assert boards.PAGE.read_text() == made, "stale: run python benchmarks/boards.py page"
