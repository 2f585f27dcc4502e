"""A transcript as one HTML file that holds everything it shows: no script, nothing loaded from anywhere.

All text from outside (what a model wrote, above all) is escaped by Jinja2, and the page's content policy
forbids whatever might get through. The same transcript gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from acs_gym.evaluation import Status
from acs_gym.tools.reading import read_json
from acs_gym.units import format_si
from agents.transcript.records import Simulated
from agents.transcript.sheet import Sheet, printable
from agents.transcript.turns import Conversation

# A message longer than this is folded.
_LONG = 600
# Designs side by side in a table.
COLUMNS = 4
_WIDE, _NARROW = (960, 300), (360, 260)


@dataclass(frozen=True, slots=True)
class Point:
    """A design in the chart, in its units."""

    x: float
    y: float
    number: int
    score: float
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Score of every design, and the best so far, over the simulations spent.

    `path` is that of the best so far; ticks are (place, label) pairs.
    """

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    points: tuple[Point, ...]
    path: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def render(conversation: Conversation) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("agents.transcript"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"indented": indented, "seconds": seconds_text}
    page = environment.get_template("transcript.html.j2").render(
        c=conversation,
        sheet=Sheet.of(conversation.start),
        best=conversation.best,
        charts=[chart(conversation, *size) for size in (_WIDE, _NARROW)],
        settings=settings(conversation),
        state=state,
        long=_LONG,
        columns=COLUMNS,
    )
    return printable(page)


def indented(text: str) -> str:
    """JSON as a person reads it; any other text as it is."""
    data = read_json(text)
    return text if data is None else json.dumps(data, ensure_ascii=False, indent=2)


def seconds_text(seconds: float) -> str:
    """`250 ms`, `3 min 20 s`."""
    if seconds < 60:
        return format_si(seconds, "s", digits=3)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def settings(conversation: Conversation) -> list[tuple[str, str]]:
    """The agent's settings, as text."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in conversation.start.config.items()
    ]


def state(simulated: Simulated) -> str:
    """`met`, `missed` or `failed`, for a verdict on a whole design."""
    if simulated.evaluation["status"] != Status.OK:
        return "failed"
    return "met" if simulated.evaluation["feasible"] else "missed"


def chart(conversation: Conversation, width: int, height: int) -> Chart:
    """The chart at a size in CSS pixels."""
    left, right, top, bottom = 38.0, width - 14.0, 14.0, height - 40.0
    evaluations = conversation.evaluations
    budget = conversation.start.budget or 0
    last = max(1, budget, conversation.simulations)

    def x(spent: float) -> float:
        return round(left + (right - left) * spent / last, 2)

    def y(score: float) -> float:
        return round(bottom - (bottom - top) * min(max(score, 0.0), 1.0), 2)

    points: list[Point] = []
    steps: list[str] = []
    spent, best = 0, -1.0
    for simulated in evaluations:
        score = simulated.evaluation["score"]
        spent += simulated.evaluation["cost"]
        points.append(Point(x(spent), y(score), simulated.number, score, state(simulated)))
        steps.append(f"H{x(spent)}" if steps else f"M{x(spent)} {y(score)}")
        if score > best:
            best = score
            steps.append(f"V{y(best)}")
    if steps:
        steps.append(f"H{x(spent)}")
    return Chart(
        width, height, left, right, top, bottom, tuple(points), "".join(steps),
        tuple((x(t), str(t)) for t in _ticks(last, 8 if width > 500 else 5)),
        tuple((y(t / 4), f"{t / 4:g}") for t in range(5)),
    )  # fmt: skip


def _ticks(last: int, most: int) -> Iterator[int]:
    """Round numbers from 0 to `last`, at most about `most` of them."""
    steps = (m * 10**e for e in range(12) for m in (1, 2, 5))
    step = next(s for s in steps if last / s <= most)
    yield from range(0, last + 1, step)
