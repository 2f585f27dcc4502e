"""python -m leaderboard.report RUNS: one HTML file that holds the whole leaderboard.

The page needs no network: Plotly is in it once, and its content policy forbids loading anything.
All text from outside (agent names, messages) is escaped by Jinja2. The same results give the same
bytes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined

from acs_gym.specs import direction_text
from acs_gym.units import format_si
from leaderboard import figures, summary
from leaderboard.errors import LeaderboardError
from leaderboard.standings import BestDesign, Conditions, Standings, standings
from leaderboard.statistics import ENOUGH_SEEDS
from leaderboard.store import Corrupt, Store, StoredCell, write_atomically
from leaderboard.suites import suite_of

REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of a design as the report shows it; `met` None where there is no spec."""

    name: str
    value: str
    spec: str
    margin: str
    met: bool | None


def load_comparable(store: Store, **wanted: str | int) -> tuple[list[StoredCell], list[str]]:
    """The sound cells of a store with these conditions, and what is wrong with damaged ones.

    `wanted` names fields of Conditions, e.g. `budget=100`. Raises LeaderboardError, listing what
    there is, when the cells left do not share all their conditions.
    """
    cells: list[StoredCell] = []
    damage: list[str] = []
    for key in store.finished():
        try:
            cell = store.load(key)
        except Corrupt as error:
            damage.append(str(error))
            continue
        if cell is not None and wanted.items() <= asdict(Conditions.of(cell)).items():
            cells.append(cell)
    found = sorted({Conditions.of(c) for c in cells})
    if len(found) > 1:
        choices = "".join(f"\n  {c.text}" for c in found)
        raise LeaderboardError(
            f"{store.folder} holds runs that cannot be compared; choose one of:{choices}"
        )
    return cells, damage


def write_report(board: Standings, path: Path) -> Path:
    """Write the page to `path` (whole or not at all) and return it."""
    write_atomically(path, render(board))
    return path


def render(board: Standings) -> str:
    """The page as text."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("leaderboard"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["si"] = format_si
    return environment.get_template("report.html.j2").render(
        board=board,
        suite=suite_of(board.tasks),
        pdk_label=summary.pdk_label(board.conditions.pdk),
        seeds=_seeds(board),
        enough_seeds=ENOUGH_SEEDS,
        provisional=any(r.provisional for r in board.rows),
        interval_text=summary.interval_text,
        sims_text=summary.sims_text,
        rank_text=summary.rank_text,
        notes=summary.notes,
        metric_rows={t: _metric_rows(board, t, best) for t, best in board.best.items()},
        charts=_script_json(
            {"overall": figures.curves(board, None)}
            | {f"task-{i}": figures.curves(board, t) for i, t in enumerate(board.tasks)}
        ),
        plotly=get_plotlyjs(),
    )


def _seeds(board: Standings) -> str:
    counts = sorted({row.seeds for row in board.rows})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _metric_rows(board: Standings, task: str, best: BestDesign) -> list[MetricRow]:
    card = board.tasks[task]
    specs = {s.metric: s for s in card.specs}
    rows = []
    for name, value in best.evaluation.metrics.items():
        unit = card.metric_units.get(name, "")
        spec = specs.get(name)
        margin = best.evaluation.margins.get(name)
        rows.append(
            MetricRow(
                name=name,
                value=format_si(value, unit),
                spec="" if spec is None else direction_text(spec.direction, spec.target, unit),
                margin="" if spec is None or margin is None else f"{margin:+.3f}",
                met=None if spec is None else best.evaluation.satisfaction.get(name) == 1.0,
            )
        )
    return sorted(rows, key=lambda r: r.met is None)


def _script_json(data: Any) -> str:
    """JSON that may stand inside a <script> element, whatever strings are in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def main(
    runs: Annotated[Path, typer.Argument(help="Folder that leaderboard.run wrote to (its --out).")],
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="RUNS/report.html")
    ] = None,
    pdk: Annotated[str | None, typer.Option(help="Only cells on this PDK.")] = None,
    budget: Annotated[int | None, typer.Option(help="Only cells of this budget.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only cells of this tier.")] = None,
    suite_seed: Annotated[int | None, typer.Option(help="Only cells of this suite seed.")] = None,
) -> None:
    """Write the HTML report of the results in a folder. Nothing is simulated."""
    wanted = {"pdk": pdk, "budget": budget, "tier": tier, "suite_seed": suite_seed}
    try:
        if not runs.is_dir():
            raise LeaderboardError(f"no folder {runs}; give the --out of leaderboard.run")
        cells, damage = load_comparable(
            Store(runs), **{k: v for k, v in wanted.items() if v is not None}
        )
        for text in damage:
            print(f"corrupt, left out: {text}", file=sys.stderr)
        if not cells:
            raise LeaderboardError(
                f"no finished cells in {runs}; run leaderboard.run --out {runs} first"
            )
        print(write_report(standings(cells), output or runs / REPORT))
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
