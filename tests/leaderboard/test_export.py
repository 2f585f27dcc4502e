"""One row a cell with the columns that are documented, and a ranking that fits into a README."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.board.chosen import choose
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import RESULT, Store
from leaderboard.export import main
from leaderboard.reporting.export import COLUMNS, CellRow, rows, to_csv, to_jsonl, to_markdown
from leaderboard.trust.verify import ROBUST, Thoroughness, verify_cell
from tests.leaderboard.conftest import ROOT, plan
from tests.leaderboard.tampering import edit_result, invoke


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """Two seeds of a walker and one of an agent that has nothing to show."""
    store = Store(tmp_path_factory.mktemp("runs"))
    for cell in [*plan("Walker", repetitions=2), *plan("Idle")]:
        store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
    return store.folder


@pytest.fixture
def runs(ran: Path, tmp_path: Path) -> Store:
    return Store(Path(shutil.copytree(ran, tmp_path / "runs")))


def table(store: Store) -> list[CellRow]:
    return rows(choose(store.folder))


def export(*arguments: object):
    return invoke(main, *arguments)


def test_every_column_is_documented():
    assert CellRow.__doc__ is not None
    described = CellRow.__doc__.replace(":", ",").replace(";", ",").replace("`", "")
    named = {word.strip() for word in described.replace("\n", " ").split(",")}
    words = {w for text in named for w in text.split()}
    assert [c for c in COLUMNS if c not in words] == []
    page = (ROOT / "docs" / "verification.md").read_text()
    assert [c for c in COLUMNS if f"`{c}`" not in page] == []


def test_a_row_holds_what_the_result_holds(runs):
    for row in table(runs):
        result = json.loads((runs.cell(row.key) / RESULT).read_text())
        assert {n: getattr(row, n) for n in result["spec"]} == result["spec"]
        for name in ("track", "status", "message", "score", "feasible"):
            assert getattr(row, name) == result[name]
        for name in ("simulations", "calls", "duplicates", "tokens", "money"):
            assert getattr(row, name) == result["usage"][name]
        assert row.failed == sum(result["usage"]["failed"].values())
        assert row.task_digest == result["task"]["digest"]
        verified = result["verified"] or {"design": None, "metrics": None}
        assert (row.design, row.metrics) == (verified["design"], verified["metrics"])


def test_the_numbers_are_those_of_the_standings(runs):
    board = choose(runs.folder).board()
    for ranked in board.rows:
        own = [r for r in table(runs) if r.agent == ranked.agent]
        assert len(own) == ranked.overall.cells
        assert sum(r.area_under_curve for r in own) / len(own) == pytest.approx(ranked.overall.area)
        assert sum(r.feasible for r in own) == ranked.overall.successes


def test_csv_and_json_lines_hold_the_same_values(runs):
    given = table(runs)
    lines = [json.loads(line) for line in to_jsonl(given).splitlines()]
    read = list(csv.DictReader(to_csv(given).splitlines()))
    assert [tuple(line) for line in lines] == [tuple(r) for r in read] == [COLUMNS] * 3
    for line, row in zip(lines, read, strict=True):
        for name, value in line.items():
            text = row[name]
            if value is None:
                assert text == ""
            elif isinstance(value, str):
                assert text == " ".join(value.split())
            else:
                assert json.loads(text) == value


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ('first, "second"\nthird\r\n', 'first, "second" third'),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("\n@x", "'@x"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
    ],
)
def test_a_text_is_one_line_of_csv_and_no_formula(runs, message, cell):
    key = runs.finished()[0]
    edit_result(runs.cell(key), lambda r: r.update(message=message))
    text = to_csv(table(runs))
    assert len(text.splitlines()) == 1 + len(table(runs))
    assert {r["key"]: r for r in csv.DictReader(text.splitlines())}[key]["message"] == cell


def test_a_robust_score_is_a_column_where_there_is_one(runs):
    key = plan("Walker")[0].key
    assert all(r.robust_score is None for r in table(runs))
    report = verify_cell(runs, key, Thoroughness(robust=True))
    (row,) = (r for r in table(runs) if r.key == key)
    assert (row.robust_score, row.robust_label) == (report.robust_score, "public")
    false = json.loads((runs.cell(key) / ROBUST).read_text()) | {"robust_score": 0.987}
    (runs.cell(key) / ROBUST).write_text(json.dumps(false))
    assert all(r.robust_score is None for r in table(runs))
    (runs.cell(key) / ROBUST).write_text("{")
    assert all(r.robust_score is None for r in table(runs))


def test_a_cell_that_was_run_again_counts_once_as_in_the_report(runs):
    old = runs.cell(plan("Idle")[0].key)
    new = Path(shutil.copytree(old, old.with_name("f" * 16)))
    edit_result(new, lambda r: r.update(key="f" * 16))
    edit_result(new, lambda r: r["timing"].update(finished="2999-01-01T00:00:00+00:00"))
    assert [r.key for r in table(runs) if r.agent.endswith("Idle")] == ["f" * 16]


def test_markdown_is_the_ranking_with_its_intervals(runs):
    board = choose(runs.folder).board()
    text = to_markdown(board)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert len({len(c) for c in cells}) == 1
    assert [c[1] for c in cells[2:]] == [r.agent for r in board.rows]
    assert cells[2][2] == f"{board.rows[0].overall.score:.4f}"
    assert cells[2][4] == f"{board.rows[0].overall.successes}/2"
    assert "generic PDK (bundled models, not SKY130)" in text and "not ranked" in text


def test_a_name_cannot_break_the_markdown_table(runs):
    for row in table(runs):
        name = "stdio:a | b <img> [x](y)" if row.agent.endswith("Idle") else row.agent
        edit_result(runs.cell(row.key), lambda r, name=name: r["spec"].update(agent=name))
    text = to_markdown(choose(runs.folder).board())
    assert r"| stdio:a \| b \<img\> \[x\](y) |" in text


def test_the_module_is_a_command(runs):
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.export", str(runs.folder), "--format", "csv"], cwd=ROOT,
        text=True, capture_output=True, timeout=80, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, to_csv(table(runs)))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "markdown"])
def test_the_command_writes_a_file_or_standard_output(runs, tmp_path, kind):
    out = tmp_path / "table"
    done = export(runs.folder, "--format", kind, "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert out.read_text() == export(runs.folder, "--format", kind).stdout != ""


def test_damaged_cells_are_named_and_left_out(runs):
    key = plan("Idle")[0].key
    (runs.cell(key) / RESULT).write_text("{")
    done = export(runs.folder, "--format", "jsonl")
    assert done.exit_code == 0
    assert done.stderr.startswith("left out: ") and key in done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{runs}", "--format", "xml"], "xml"),
        (["{runs}"], "--format"),
        (["{runs}/absent", "--format", "csv"], "no folder"),
        (["{runs}", "--format", "csv", "--budget", "7"], "no finished cells"),
        (["{runs}", "--format", "csv", "--out", "{runs}/absent/file"], "cannot write --out"),
    ],
)
def test_wrong_use_is_said_and_exits_2(runs, arguments, said):
    done = export(*[a.format(runs=runs.folder) for a in arguments])
    assert done.exit_code == 2
    assert said in done.stderr
