"""The leaderboard's page: one HTML file, with scripts and Plotly, or static with SVG and neither.

Nothing is loaded from anywhere: the page's content policy forbids it. All text from outside (agent
names, messages, waveforms) is escaped. The same standings give the same bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from acs_gym.specs import direction_text
from acs_gym.units import format_si
from leaderboard.board import figures_table
from leaderboard.board.comparison import Comparison
from leaderboard.board.figures_table import known
from leaderboard.board.standings import BestDesign, Row, Standings
from leaderboard.cells.waveforms import NoteRecord, WaveformsRecord
from leaderboard.reporting import figures, summary
from leaderboard.reporting.conclusions import SIGNIFICANT, conclusions, featured
from leaderboard.reporting.conditions import task_conditions
from leaderboard.reporting.figures import Chart
from leaderboard.suites import suite_of
from leaderboard.wire.isolation.levels import LEVELS, Container

# Of a heat map; the page has a colour for each.
HEAT_STEPS = 7
# Charts of the design that is shown first, beside its specs.
FEATURED_CHARTS = 2
_SECTIONS = (
    ("conclusions", "Conclusions"), ("ranking", "Ranking"), ("anytime", "Best so far"),
    ("targets", "Targets reached"), ("solved", "Runs solved"), ("profile", "Profile"),
    ("heat", "By task"), ("pairs", "Pairwise"), ("tasks", "Best designs"), ("costs", "Costs"),
    ("reading", "How to read this"),
)  # fmt: skip
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'"
STATIC_POLICY = _NOTHING
_SCRIPT_POLICY = f"{_NOTHING}; script-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of a design as the report shows it; `met` None where there is no spec."""

    name: str
    value: str
    spec: str
    margin: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Scale:
    """From `lowest` to 1, in equal steps where it colours a heat map."""

    lowest: float

    @classmethod
    def of(cls, scores: Iterable[float]) -> Scale:
        """From the tenth below the lowest score, so that differences among good scores show."""
        return cls(min(0.9, math.floor(10 * min(scores, default=0.0)) / 10))

    def percent(self, score: float) -> str:
        """Where a score lies, clipped at `lowest`."""
        return f"{100 * max(score - self.lowest, 0.0) / (1.0 - self.lowest):.2f}"

    def bound(self, step: int) -> float:
        """Where a step begins."""
        return self.lowest + (1.0 - self.lowest) * step / HEAT_STEPS

    def step(self, score: float) -> int:
        share = (score - self.lowest) / (1.0 - self.lowest)
        return min(max(int(share * HEAT_STEPS), 0), HEAT_STEPS - 1)


@dataclass(frozen=True, slots=True)
class PairCell:
    """A comparison as seen from the agent of the row."""

    difference: float
    sure: bool


@dataclass(frozen=True, slots=True)
class WavePanel:
    title: str
    notes: tuple[NoteRecord, ...]
    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Waves:
    """The waveforms of a task's best design, or why there are none."""

    panels: list[WavePanel]
    condition: str
    missing: str


def render(
    board: Standings, waveforms: Mapping[str, WaveformsRecord | str] | None = None, *,
    static: bool = False,
) -> str:  # fmt: skip
    """The page as text.

    Args:
        waveforms: task -> those of its best design, or why there are none.
        static: without scripts; charts are SVG.
    """
    numbers = {task: k for k, task in enumerate(board.tasks)}
    waves = {t: _waves(k, (waveforms or {}).get(t, "none given")) for t, k in numbers.items()}
    charts = {
        "curve": figures.best_so_far(board, None),
        "ecdf": figures.ecdf(board),
        "solved": figures.solved(board),
        "profile": figures.profile(board),
    }
    task_charts = {task: figures.best_so_far(board, task) for task in board.tasks}
    shown = featured(board, {task for task, own in waves.items() if own.panels})
    first = [] if shown is None else _first_panels(waves[shown].panels)
    panels = [*first, *(panel for own in waves.values() for panel in own.panels)]
    every = [*charts.values(), *task_charts.values(), *(c for p in panels for c in p.charts)]
    bar = Scale.of(_lowest(row) for row in board.rows)
    index = {row.agent: k for k, row in enumerate(board.rows)}
    return environment().get_template("report.html.j2").render(
        board=board,
        static=static,
        policy=STATIC_POLICY if static else _SCRIPT_POLICY,
        sections=_SECTIONS,
        suite=suite_of(board.tasks),
        pdk_label=summary.pdk_label(board.conditions.pdk),
        seeds=_seeds(board),
        unranked=sum(not row.ranked for row in board.rows),
        conclusions=conclusions(board),
        featured=shown,
        featured_panels=first,
        columns=figures_table.figures("ranking"),
        beside=figures_table.row_figures("ranking", board),
        all_columns=figures_table.figures("page"),
        all_beside=figures_table.row_figures("page", board),
        task_columns=figures_table.figures("task"),
        explanations=list(figures_table.explanations(board)),
        targets_label=summary.targets_label(board.conditions),
        isolation=_isolation(board.rows),
        bar=bar.percent,
        bar_from=bar.lowest,
        heat=Scale.of(f.score for row in board.rows for f in row.tasks.values()),
        pair_of=_pairs(board.pairs),
        index_of=index.__getitem__,
        metric_rows={t: _metric_rows(board, t, best) for t, best in board.best.items()},
        conditions={
            t: task_conditions(card, board.best_of_agents.get(t, ()))
            for t, card in board.tasks.items()
        },
        waveforms=waves,
        charts=charts,
        task_charts=task_charts,
        **(_static_parts() if static else _script_parts(every)),
    )  # fmt: skip


def environment(*rooms: str) -> Environment:
    """Of the templates here, and of those beside them in other packages."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(r) for r in ("leaderboard.reporting", *rooms)]),
        autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["si"] = format_si
    environment.globals.update(
        colour=figures.colour,
        dash=figures.dash,
        dashes=figures.DASHES,
        most_bands=figures.MOST_BANDS,
        rank_text=summary.rank_text,
        interval_text=figures_table.interval_text,
        remarks=summary.notes,
        p_text=_p_text,
        known=known,
    )
    return environment


def _script_parts(charts: Iterable[Chart]) -> dict[str, Any]:
    from plotly.offline import get_plotlyjs

    return {
        "chart_json": figures.script_json(figures.to_json(charts)),
        "plotly": get_plotlyjs(),
    }


def _static_parts() -> dict[str, Any]:
    from leaderboard.reporting.drawing import svg

    return {"draw": svg}


def _waves(task: int, found: WaveformsRecord | str) -> Waves:
    if isinstance(found, str):
        return Waves([], "", found)
    charts = figures.waveform_charts(task, found)
    panels = [
        WavePanel(panel.title, panel.notes, own)
        for panel, own in zip(found.panels, charts, strict=True)
    ]
    return Waves(panels, found.condition, "this circuit measures nothing that is a curve")


def _first_panels(panels: Iterable[WavePanel]) -> list[WavePanel]:
    """The first panels of a design, until there are enough charts; these have ids of their own."""
    chosen: list[WavePanel] = []
    for panel in panels:
        if sum(len(p.charts) for p in chosen) < FEATURED_CHARTS:
            charts = [replace(c, id=f"first-{c.id}") for c in panel.charts]
            chosen.append(replace(panel, charts=charts))
    return chosen


def _lowest(row: Row) -> float:
    score, low = row.overall.score, row.overall.interval.low
    return score if math.isnan(low) else min(score, low)


def _seeds(board: Standings) -> str:
    counts = sorted({row.seeds for row in board.rows})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _isolation(rows: Iterable[Row]) -> list[str]:
    """A sentence for each level that agents ran in."""
    rows = list(rows)
    levels = Counter(level for row in rows for level in row.isolation)
    agents = {t: f"{n} agent{'' if n == 1 else 's'}" for t, n in levels.items()}
    said = [f"{agents[t]} {_ran(t)}." for t in sorted(levels)]
    if any(set(row.isolation) != {Container.name} for row in rows):
        said.append(
            "Outside a container only agents that come with ACS-Gym itself are ranked: their code is "
            "there to read."
        )
    return said or ["What kept the agents apart from the harness is not recorded."]


def _ran(level: str) -> str:
    known = LEVELS.get(level)
    return f"ran in the isolation level {level}" if known is None else known.sentence


def _pairs(pairs: Iterable[Comparison]) -> Any:
    known: dict[tuple[str, str], PairCell] = {}
    for pair in pairs:
        sure = pair.p_holm < SIGNIFICANT
        known[pair.first, pair.second] = PairCell(pair.difference, sure)
        known[pair.second, pair.first] = PairCell(-pair.difference, sure)
    return lambda first, second: known.get((first, second))


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


def _p_text(p: float) -> str:
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
