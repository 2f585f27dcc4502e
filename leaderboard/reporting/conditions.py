"""What the report shows of a tier's conditions: the worst of each spec, and all of them. Pure.

Read from the verified records; nothing is simulated. A record without conditions (a tier of one, or
one from elsewhere whose conditions make no sense) has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acs_gym.evaluation import AtCondition, Evaluation, Status, worst_conditions
from acs_gym.specs import Spec, SpecSheet, direction_text
from acs_gym.units import ColumnScale, column_scale
from leaderboard.board.standings import BestDesign
from leaderboard.cells.records import TaskCard


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a spec's column; all numbers below are in its unit."""

    metric: str
    unit: str
    spec: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric at a condition. `worst`: nowhere is the margin of its spec less."""

    condition: str
    text: str
    met: bool
    worst: bool


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One condition. `status`: how it ended; empty where it was measured."""

    condition: str
    status: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class AgentConditions:
    """An agent's best design. `met`: conditions that meet every spec; `worst`: one cell a spec."""

    agent: str
    repetition: int
    met: int
    worst: tuple[Cell, ...]
    rows: tuple[ConditionRow, ...]


@dataclass(frozen=True, slots=True)
class TaskConditions:
    headings: tuple[Heading, ...]
    agents: tuple[AgentConditions, ...]


def task_conditions(card: TaskCard, designs: Iterable[BestDesign]) -> TaskConditions | None:
    """The conditions of these designs of a task; None where none has any."""
    found = [(d, e) for d in designs if (e := _evaluation(card, d)) is not None]
    if not found:
        return None
    scales = {
        spec.metric: column_scale(
            [at.metrics[spec.metric] for _, e in found for at in e.by_condition.values()], spec.unit
        )
        for spec in card.specs
    }
    return TaskConditions(
        headings=tuple(
            Heading(s.metric, scales[s.metric].unit, direction_text(s.direction, s.target, s.unit))
            for s in card.specs
        ),
        agents=tuple(_agent(design, evaluation, scales) for design, evaluation in found),
    )


def _evaluation(card: TaskCard, design: BestDesign) -> Evaluation | None:
    if design.evaluation.by_condition is None:
        return None
    try:
        # A card has no tolerances. Neither the sign of a margin nor which is least depends on them.
        specs = [Spec(s.metric, s.direction, s.target, tolerance=1.0) for s in card.specs]
        evaluation = design.evaluation.evaluation(SpecSheet(tuple(specs)))
    except ValueError:
        return None
    measured = [at.metrics for at in evaluation.by_condition.values()]
    whole = all(s.metric in metrics for metrics in measured for s in card.specs)
    return evaluation if measured and whole else None


def _agent(
    design: BestDesign, evaluation: Evaluation, scales: dict[str, ColumnScale]
) -> AgentConditions:
    places = evaluation.by_condition
    worst = worst_conditions(places)
    rows = tuple(
        ConditionRow(
            name,
            "" if at.status is Status.OK else str(at.status),
            tuple(_cell(name, at, metric, scale, worst) for metric, scale in scales.items()),
        )
        for name, at in places.items()
    )
    return AgentConditions(
        agent=design.agent,
        repetition=design.repetition,
        met=sum(at.feasible for at in places.values()),
        worst=_worst(rows, len(scales)),
        rows=rows,
    )


def _worst(rows: Sequence[ConditionRow], specs: int) -> tuple[Cell, ...]:
    return tuple(next(r.cells[k] for r in rows if r.cells[k].worst) for k in range(specs))


def _cell(
    name: str, at: AtCondition, metric: str, scale: ColumnScale, worst: dict[str, str]
) -> Cell:
    met = at.margins[metric] >= 0
    return Cell(name, scale.text(at.metrics[metric]), met, worst[metric] == name)
