"""The report holds what it must, opens without a network, and trusts no text from outside.

What a browser makes of it is in test_report_browser.py.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import pytest

from acs_gym.evaluation import worst_conditions
from acs_gym.task import make_task
from leaderboard.board.chosen import choose
from leaderboard.board.standings import BestDesign, standings
from leaderboard.cells.records import ConditionsRecord
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store, StoredCell
from leaderboard.cells.waveforms import WAVEFORMS
from leaderboard.errors import LeaderboardError
from leaderboard.reporting.figures import COLOURS, DASHES, colour, dash
from leaderboard.reporting.page import FEATURED_CHARTS, HEAT_STEPS, Scale, render
from leaderboard.reporting.report import REPORT, STATIC_REPORT, best_waveforms
from leaderboard.reporting.summary import to_json
from tests.leaderboard.conftest import AGENTS, ROOT, plan
from tests.leaderboard.tampering import run_and_store

TASK = "ACS-OTA5T-v0"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store with one cell of each of three agents."""
    store = Store(tmp_path_factory.mktemp("runs"))
    for agent in ("random", "sobol", "Idle"):
        cell = plan(agent)[0]
        store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
    return store


@pytest.fixture(scope="module")
def chosen(runs):
    return choose(runs.folder)


@pytest.fixture(scope="module")
def cells(chosen):
    return chosen.cells


@pytest.fixture(scope="module")
def sobol(cells):
    return next(c for c in cells if c.result.spec.agent == "sobol")


@pytest.fixture(scope="module")
def board(cells):
    return standings(cells)


@pytest.fixture(scope="module")
def waves(board, chosen):
    return best_waveforms(board, chosen)


@pytest.fixture(scope="module")
def page(board, waves):
    return render(board, waves)


@pytest.fixture(scope="module")
def static_page(board, waves):
    return render(board, waves, static=True)


@pytest.fixture(params=["page", "static_page"])
def either(request):
    return request.getfixturevalue(request.param)


def without_plotly(page):
    """The page less the library, which mentions addresses in its own text."""
    scripts = re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)
    return page.replace(max(scripts, key=len), "") if scripts else page


def section(page, first, after):
    return page[page.index(f'id="{first}"') : page.index(f'id="{after}"')]


def cell_with(cell, **changes):
    """The same stored cell with parts of its result replaced."""
    return StoredCell(cell.result.model_copy(update=changes), cell.trace)


def test_it_names_the_conditions_and_that_the_models_are_not_sky130(either):
    text = html.unescape(either)
    assert "generic PDK (bundled models, not SKY130)" in text and "Not SKY130." in text
    assert "6 simulations" in text and "ngspice " in text
    assert "3 of 3 agents have a rank marked ~" in text


def test_it_ranks_every_agent_in_order_and_says_why_none_is_ranked(either, board):
    table = section(either, "ranking-rows", "anytime")
    places = [table.index(f'data-name="{html.escape(row.agent)}"') for row in board.rows]
    assert places == sorted(places) and len(places) == 3
    assert all(f"{row.overall.score:.4f}" in table for row in board.rows)
    assert all(reason in html.unescape(table) for row in board.rows for reason in row.reasons)


def test_every_part_is_there_and_in_the_contents(either):
    contents = either[either.index('aria-label="Contents"') : either.index("</nav>")]
    parts = re.findall(r'<a href="#(\w+)">', contents)
    assert parts == [
        "conclusions", "ranking", "anytime", "targets", "solved", "profile", "heat", "pairs", "tasks",
        "costs", "reading",
    ]  # fmt: skip
    assert all(either.count(f'<h2 id="{part}">') == 1 for part in parts)


def test_the_best_design_is_shown_in_engineering_units_with_a_verdict_on_every_spec(either, board):
    best = board.best[TASK].evaluation
    shown = section(either, "best-0", "costs")
    table = shown[: shown.index("Its waveforms")]
    verdicts = re.findall(r'class="verdict (met|missed)"', table)
    assert len(verdicts) == len(board.tasks[TASK].specs)
    met = sum(margin is not None and margin >= 0 for margin in best.margins.values())
    assert verdicts.count("met") == met
    for word in ("w_pair", "i_bias", " uA", " MHz", "✓ met" if met else "✗ missed"):
        assert word in table


def test_the_best_design_has_its_waveforms(either, waves):
    shown = section(either, "tasks", "costs")
    for panel in waves[TASK].panels:
        assert f"<strong>{html.escape(panel.title)}</strong>" in shown
        assert all(html.escape(note.text) in shown for note in panel.notes)
    charts = sum(len(panel.axes) for panel in waves[TASK].panels)
    assert shown.count('aria-label="') >= charts > 1


def test_it_opens_on_a_sized_circuit_with_its_specs_and_first_waveforms(either, board, waves):
    opening = section(either, "conclusions", "ranking")
    best, title = board.best[TASK], board.tasks[TASK].title
    assert (
        f"{title}, sized by {html.escape(best.agent)} in {best.simulations} simulations" in opening
    )
    verdicts = re.findall(r'class="verdict (?:met|missed)">\S (met|missed)<', opening)
    assert len(verdicts) == len(board.tasks[TASK].specs) and "no spec" not in opening
    assert f"<strong>{waves[TASK].panels[0].title}</strong>" in opening
    assert opening.count('role="img"') == FEATURED_CHARTS
    assert 'href="#best-0"' in opening and either.count('id="best-0"') == 1
    # The first picture of the page is this one.
    assert either.index('role="img"') > either.index('id="conclusions"')


def test_without_a_picture_it_opens_on_the_conclusions_alone(board):
    opening = section(render(board), "conclusions", "ranking")
    assert board.rows[0].agent in opening and "sized by" not in opening


def test_the_number_of_simulations_is_that_of_the_best_design_in_the_trace(board, sobol):
    best = next(d for d in board.best_of_agents[TASK] if d.agent == "sobol")
    line = sobol.trace[best.simulations - 1]
    assert line.evaluation.design == best.evaluation.design
    assert line.evaluation.score == max(other.evaluation.score for other in sobol.trace)


def test_waveforms_that_are_missing_or_damaged_are_a_note(board, chosen, runs):
    assert "Not shown: no waveforms were kept." in render(board, {TASK: "no waveforms were kept"})
    best = board.best[TASK]
    key = next(c.result.key for c in chosen.cells if c.result.spec.agent == best.agent)
    path = runs.cell(key) / WAVEFORMS
    kept = path.read_bytes()
    try:
        path.write_text('{"key": "<b>"}')
        found = best_waveforms(board, chosen)
    finally:
        path.write_bytes(kept)
    assert f"Not shown: {WAVEFORMS} is damaged" in render(board, found)


def test_it_loads_nothing_from_anywhere(either):
    page = without_plotly(either)
    assert not re.search(r"(?:src|action)\s*=|@import|url\((?!#)", page)
    assert set(re.findall(r"href\s*=\s*.(.)", page)) == {"#"}
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in html.unescape(page)


def test_the_page_has_plotly_once_and_a_chart_for_every_place(page):
    assert page.count("Plotly.react") == 1 and page.count('id="charts"') == 1
    places = re.findall(r'data-chart="([\w-]+)"', page)
    assert len(places) == len(set(places)) and set(places) == set(charts_of(page))


def test_the_static_page_has_no_script_and_is_small(static_page, page):
    assert "<script" not in static_page and "Plotly" not in static_page
    assert not re.search(r"\son\w+\s*=", static_page)
    assert "script-src" not in static_page
    assert static_page.count('<div class="drawn"') == page.count('class="chart"')
    assert len(static_page) < 1_000_000


def charts_of(page):
    return json.loads(re.search(r'id="charts">(.*?)</script>', page, flags=re.DOTALL)[1])


def test_the_curves_are_those_of_the_traces(page, sobol):
    charts = charts_of(page)
    curve = next(s for s in charts["curve"]["series"] if s["name"] == "sobol")
    assert len(curve["y"]) == 6 and "x" not in curve
    assert curve["y"][-1] == pytest.approx(sobol.result.score, abs=1e-4)
    assert curve["y"] == sorted(curve["y"])
    assert charts["curve-0"]["series"] == charts["curve"]["series"]  # There is one task.


def test_the_same_results_give_the_same_bytes(board, waves, page, static_page):
    assert render(board, waves) == page
    assert render(board, waves, static=True) == static_page


@pytest.mark.parametrize("static", [False, True])
def test_foreign_text_is_escaped(sobol, waves, static):
    evil = "</script></style><img src=x onerror=alert(1)>{{7*6}}$\\frac${7*6}"
    spec = sobol.result.spec.model_copy(update={"agent": evil})
    panel = waves[TASK].panels[0]
    axes = panel.axes[0].model_copy(update={"y_label": evil, "x_unit": "<b>"})
    notes = (panel.notes[0].model_copy(update={"text": evil}),)
    panels = (panel.model_copy(update={"title": evil, "axes": (axes,), "notes": notes}),)
    hostile = {TASK: waves[TASK].model_copy(update={"panels": panels})}
    page = render(standings([cell_with(sobol, spec=spec)]), hostile, static=static)
    assert "<img" not in page and "<b>" not in without_plotly(page)
    assert html.unescape(page).count(evil) > 5


def test_the_name_of_an_agent_breaks_between_its_parts(sobol, waves):
    spec = sobol.result.spec.model_copy(update={"agent": "tlgrpo:pretrained+composite-ei"})
    page = render(standings([cell_with(sobol, spec=spec)]), waves, static=True)
    assert "tlgrpo:<wbr>pretrained+<wbr>composite-ei</span>" in page


def test_headings_captions_and_labels_are_there_for_a_screen_reader(either):
    tables = re.findall(r"<table.*?</table>", either, flags=re.DOTALL)
    assert len(tables) > 5 and all(t.count("<caption>") == 1 for t in tables)
    assert all('scope="col"' in t and 'scope="row"' in t for t in tables)
    charts = re.findall(r'<div class="(?:chart|drawn)"[^>]*>', either)
    assert charts and all('role="img"' in c and 'aria-label="' in c for c in charts)
    assert either.count("<h1>") == 1 and '<html lang="en">' in either


def test_no_two_of_forty_agents_look_alike():
    looks = [(colour(k), dash(k)) for k in range(COLOURS * len(DASHES))]
    assert len(set(looks)) == len(looks)


def test_the_heat_scale_covers_every_score():
    scale = Scale.of([0.62, 0.9])
    assert scale.lowest == 0.6
    assert [scale.step(v) for v in (0.0, 0.6, 0.62, 0.99, 1.0)] == [0, 0, 0, 6, 6]
    assert all(scale.step(scale.bound(k) + 1e-9) == k for k in range(HEAT_STEPS))
    assert Scale.of([1.0]).step(1.0) == HEAT_STEPS - 1


def test_a_better_score_ranks_first_and_equal_merit_shares_a_rank(sobol):
    cell = sobol

    def agent(name, score):
        spec = cell.result.spec.model_copy(update={"agent": name})
        return cell_with(cell, spec=spec, score=score)

    board = standings([agent("c", 0.5), agent("b", 0.9), agent("a", 0.5), agent("d", 0.1)])
    assert [(r.rank, r.agent) for r in board.rows] == [(1, "b"), (2, "a"), (2, "c"), (4, "d")]


def test_an_agent_with_missing_cells_ranks_below_complete_ones(sobol):
    cell = sobol

    def place(agent, repetition, score):
        changes = {"agent": agent, "repetition": repetition}
        return cell_with(cell, spec=cell.result.spec.model_copy(update=changes), score=score)

    board = standings([place("lucky", 0, 1.0), place("whole", 0, 0.5), place("whole", 1, 0.5)])
    assert [(r.agent, r.missing) for r in board.rows] == [("whole", 0), ("lucky", 1)]


def test_only_the_newest_of_a_repeated_cell_counts(sobol):
    cell = sobol
    timing = cell.result.timing.model_copy(update={"finished": "2999-01-01T00:00:00+00:00"})
    board = standings([cell_with(cell, score=0.25, timing=timing), cell])
    assert board.rows[0].overall.score == 0.25 and board.omitted == 1


def test_crashed_cells_count_as_zero_in_score_and_curve(sobol):
    cell = sobol
    row = standings([cell_with(cell, status="crashed", score=0.0)]).rows[0]
    assert row.overall.score == row.overall.area == 0
    assert row.statuses == {"crashed": 1}


def test_an_agent_that_simulated_nothing_has_no_best_design(cells):
    board = standings([c for c in cells if c.result.spec.agent == f"{AGENTS}:Idle"])
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
        choose(store.folder)
    assert len(choose(store.folder, budget=3).cells) == 1


def test_the_command_regenerates_the_report_and_names_what_is_damaged(store, finish):
    kept, broken = finish("sobol"), finish("random")
    path = store.cell(broken.key) / "result.json"
    path.write_text("{")
    command = [sys.executable, "-m", "leaderboard.report", str(store.folder)]
    for options, name in (([], REPORT), (["--static"], STATIC_REPORT)):
        done = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0
        assert f"left out: {path}" in done.stderr
        assert done.stdout.strip() == str(store.folder / name)
        assert kept.spec.agent in (store.folder / name).read_text()


def test_a_folder_without_results_is_an_error_that_says_what_to_do(tmp_path):
    command = [sys.executable, "-m", "leaderboard.report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no finished cells") and AGENTS not in done.stderr


# A tier of several conditions


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The cells of two agents in a tier of three mismatch draws."""
    store = Store(tmp_path_factory.mktemp("drawn"))
    for agent in ("random", "sobol"):
        run_and_store(store, agent, tier="mc3", budget=6)
    return choose(store.folder).cells


@pytest.fixture(params=[False, True], ids=["scripts", "static"])
def drawn_page(request, drawn):
    return render(standings(drawn), static=request.param)


def test_the_worst_condition_of_each_spec_is_shown_for_every_agent(drawn, drawn_page):
    board = standings(drawn)
    shown = drawn_page[drawn_page.index("Worst conditions") : drawn_page.index("Its waveforms")]
    table, *folded = shown.split("<details")
    task = make_task(TASK, pdk="generic", tier="mc3")
    assert [html.unescape(a) for a in re.findall(r'data-value="([^"]+)"', table)] == [
        design.agent for design in board.best_of_agents[TASK]
    ]
    assert board.best_of_agents[TASK][0] == board.best[TASK]
    for design, row, conditions in zip(
        board.best_of_agents[TASK], table.split("<tr data-agent")[1:], folded, strict=True
    ):
        found = design.evaluation.evaluation(task.specs).by_condition
        worst = worst_conditions(found)
        assert re.findall(r'class="soft">(draw \d)<', row) == list(worst.values())
        misses = sum(not found[name].margins[metric] >= 0 for metric, name in worst.items())
        assert row.count("✗") == misses
        assert f"{sum(at.feasible for at in found.values())} of 3" in row
        assert f"{design.agent}, seed 0" in conditions
        assert re.findall(r'class="stick">(draw \d)<', conditions) == list(found)
        assert conditions.count("worst") == 1 + len(worst), "one a spec, and the caption"
        missed = sum(not m >= 0 for at in found.values() for m in at.margins.values())
        assert conditions.count("✗") == missed + 1


def test_a_condition_that_failed_says_how_it_ended(drawn):
    cell = drawn[0]
    record = cell.result.verified.by_condition
    numbers = {name: (None, *column[1:]) for name, column in record.metrics.items()}
    lost = {"draw 0": {"status": "nonconverged", "message": "<b>no solution</b>"}}
    data = record.model_dump() | {"metrics": numbers, "not_ok": lost}
    verified = cell.result.verified.model_copy(
        update={"by_condition": ConditionsRecord.model_validate(data)}
    )
    page = render(standings([cell_with(cell, verified=verified)]))
    assert 'draw 0<span class="tag">nonconverged</span>' in page and "<b>no" not in page


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": ("<script>", "draw 1")},
        {"metrics": {}},
        {"conditions": (), "metrics": {}},
        {"not_ok": {"draw 9": {"status": "ok", "message": ""}}},
    ],
)
def test_conditions_from_elsewhere_that_make_no_sense_are_not_shown(drawn, change):
    cell = drawn[0]
    record = cell.result.verified.by_condition.model_dump() | change
    verified = cell.result.verified.model_copy(
        update={"by_condition": ConditionsRecord.model_validate(record)}
    )
    page = render(standings([cell_with(cell, verified=verified)]))
    assert "Worst conditions" not in page and "Best design" in page


def test_a_tier_of_one_condition_has_no_table_of_conditions(either):
    assert "Worst conditions" not in either
