"""The sizing for a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from acs_gym.units import format_si
from leaderboard.sizing.answer import Answer


def table(found: Answer) -> Table:
    """Its specs: value, target, margin, and where it is worst."""
    evaluation, worst = found.evaluation, found.worst
    title = f"{found.task.title} on {found.task.pdk_name}, {found.task.tier}"
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  header_style="bold", pad_edge=False)  # fmt: skip
    for name in ("", "spec"):
        shown.add_column(name, no_wrap=True)
    for name in ("worst" if worst else "value", "target", "margin"):
        shown.add_column(name, justify="right", no_wrap=True)
    if worst:
        shown.add_column("worst at", no_wrap=True)
    for spec in found.task.specs:
        margin = evaluation.margins[spec.metric]
        met = margin >= 0
        shown.add_row(
            Text("✓" if met else "✗", "green" if met else "red"),
            spec.metric,
            format_si(evaluation.metrics.get(spec.metric), spec.unit),
            spec.text(),
            f"{margin:+.3f}",
            *([worst[spec.metric]] if worst else []),
        )
    return shown
