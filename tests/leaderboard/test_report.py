"""The report holds what it must, opens without a network, and trusts no text from outside."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import pytest

from leaderboard.errors import LeaderboardError
from leaderboard.report import load_comparable, render
from leaderboard.standings import BestDesign, standings
from leaderboard.statistics import ENOUGH_SEEDS
from leaderboard.store import StoredCell
from leaderboard.summary import to_json
from tests.leaderboard.conftest import AGENTS, ROOT


@pytest.fixture
def board(store, finish):
    for agent in ("random", "sobol", "Idle"):
        finish(agent)
    return standings(load_comparable(store)[0])


@pytest.fixture
def page(board):
    return render(board)


def without_plotly(page):
    """The page less the library, which mentions addresses in its own text."""
    scripts = re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)
    return page.replace(max(scripts, key=len), "")


def cell_with(cell, **changes):
    """The same stored cell with parts of its result replaced."""
    return StoredCell(cell.result.model_copy(update=changes), cell.trace)


def test_it_names_the_conditions_and_that_the_models_are_not_sky130(page):
    text = html.unescape(page)
    assert "generic PDK (bundled models, not SKY130)" in text and "Not SKY130." in text
    assert "6 simulations" in text and "ngspice " in text
    assert "Provisional." in text and f"fewer than {ENOUGH_SEEDS} seeds" in text


def test_it_ranks_every_agent_in_order(page, board):
    table = page[page.index('id="ranking"') : page.index('id="anytime"')]
    places = [table.index(f"{row.agent}</th>") for row in board.rows]
    assert places == sorted(places) and len(places) == 3
    assert all(f"{row.overall.score:.4f}" in table for row in board.rows)


def test_the_best_design_is_shown_in_engineering_units_with_a_verdict_on_every_spec(page, board):
    best = board.best["ACS-OTA5T-v0"].evaluation
    verdicts = re.findall(r'class="verdict (met|missed)"', page)
    assert len(verdicts) == len(board.tasks["ACS-OTA5T-v0"].specs)
    met = sum(margin is not None and margin >= 0 for margin in best.margins.values())
    assert verdicts.count("met") == met
    for word in ("w_pair", "i_bias", " uA", " MHz", "✓ met" if met else "✗ missed"):
        assert word in page


def test_it_loads_nothing_from_anywhere(page):
    assert not re.search(r"(?:src|href|action)\s*=|@import|url\(", without_plotly(page))
    assert "http" not in without_plotly(page).replace("http-equiv", "")
    assert "default-src 'none'" in page
    assert page.count("Plotly.react") == 1 and page.count('id="charts"') == 1


def test_the_curves_are_those_of_the_traces(page, store):
    data = re.search(r'id="charts">(.*?)</script>', page, flags=re.DOTALL)[1]
    charts = json.loads(data)
    cells, _ = load_comparable(store)
    sobol = next(c for c in cells if c.result.spec.agent == "sobol")
    curve = next(s for s in charts["overall"]["series"] if s["name"] == "sobol")
    assert curve["x"] == [1, 2, 3, 4, 5, 6]
    assert curve["y"][-1] == pytest.approx(sobol.result.score, abs=1e-5)
    assert curve["y"] == sorted(curve["y"])


def test_the_same_results_give_the_same_bytes(board, page):
    assert render(board) == page


def test_foreign_text_is_escaped(store, finish):
    evil = "</script><img src=x onerror=alert(1)>"
    finish("sobol")
    cells = load_comparable(store)[0]
    spec = cells[0].result.spec.model_copy(update={"agent": evil})
    page = render(standings([cell_with(cells[0], spec=spec)]))
    assert "<img" not in page and "alert(1)" in page


def test_headings_captions_and_labels_are_there_for_a_screen_reader(page):
    assert page.count("<table>") == page.count("<caption>") > 3
    assert page.count("data-chart=") == page.count('role="img" aria-label=')
    assert page.count("<h1>") == 1 and '<html lang="en">' in page


def test_a_better_score_ranks_first_and_equal_merit_shares_a_rank(store, finish):
    finish("sobol")
    cell = load_comparable(store)[0][0]

    def agent(name, score):
        spec = cell.result.spec.model_copy(update={"agent": name})
        return cell_with(cell, spec=spec, score=score)

    board = standings([agent("c", 0.5), agent("b", 0.9), agent("a", 0.5), agent("d", 0.1)])
    assert [(r.rank, r.agent) for r in board.rows] == [(1, "b"), (2, "a"), (2, "c"), (4, "d")]


def test_an_agent_with_missing_cells_ranks_below_complete_ones(store, finish):
    finish("sobol")
    cell = load_comparable(store)[0][0]

    def place(agent, repetition, score):
        changes = {"agent": agent, "repetition": repetition}
        return cell_with(cell, spec=cell.result.spec.model_copy(update=changes), score=score)

    board = standings([place("lucky", 0, 1.0), place("whole", 0, 0.5), place("whole", 1, 0.5)])
    assert [(r.agent, r.missing) for r in board.rows] == [("whole", 0), ("lucky", 1)]


def test_only_the_newest_of_a_repeated_cell_counts(store, finish):
    finish("sobol")
    cell = load_comparable(store)[0][0]
    timing = cell.result.timing.model_copy(update={"finished": "2999-01-01T00:00:00+00:00"})
    board = standings([cell_with(cell, score=0.25, timing=timing), cell])
    assert board.rows[0].overall.score == 0.25 and board.omitted == 1


def test_crashed_cells_count_as_zero_in_score_and_curve(store, finish):
    finish("sobol")
    cell = load_comparable(store)[0][0]
    row = standings([cell_with(cell, status="crashed", score=0.0)]).rows[0]
    assert row.overall.score == row.overall.area == 0
    assert row.statuses == {"crashed": 1}


def test_an_agent_that_simulated_nothing_has_no_best_design(store, finish):
    finish("Idle")
    board = standings(load_comparable(store)[0])
    assert board.best == {}
    assert "No agent has a verified design" in render(board)


def test_the_json_summary_is_strict_and_agrees_with_the_table(board):
    data = json.loads(json.dumps(to_json(board), allow_nan=False))
    assert [a["agent"] for a in data["agents"]] == [r.agent for r in board.rows]
    assert data["agents"][0]["score_interval"] is None  # One seed.
    best = board.best["ACS-OTA5T-v0"]
    assert isinstance(best, BestDesign)
    assert data["best"]["ACS-OTA5T-v0"]["score"] == best.evaluation.score


def test_runs_that_cannot_be_compared_are_not(store, finish):
    finish("sobol")
    finish("sobol", budget=3)
    with pytest.raises(LeaderboardError, match=r"--budget 3 .*\n.*--budget 6 "):
        load_comparable(store)
    assert len(load_comparable(store, budget=3)[0]) == 1


def test_the_command_regenerates_the_report_and_names_what_is_damaged(store, finish):
    kept, broken = finish("sobol"), finish("random")
    path = store.cell(broken.key) / "result.json"
    path.write_text("{")
    command = [sys.executable, "-m", "leaderboard.report", str(store.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"corrupt, left out: {path}" in done.stderr
    page = (store.folder / "report.html").read_text()
    assert kept.spec.agent in page and done.stdout.strip() == str(store.folder / "report.html")


def test_a_folder_without_results_is_an_error_that_says_what_to_do(tmp_path):
    command = [sys.executable, "-m", "leaderboard.report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no finished cells") and AGENTS not in done.stderr
