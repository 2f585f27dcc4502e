"""An episode as text for a person: engineering units, a tick or a cross per spec. Pure."""

from __future__ import annotations

from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from acs_gym.units import format_si


def episode_text(
    task: Task, history: tuple[Evaluation, ...], best: Evaluation | None, max_turns: int
) -> str:
    """The last turn of an episode: its design, its metrics against the specs, its score."""
    head = f"{task.title} ({task.id}, {task.pdk_name}, {task.tier})"
    if not history or best is None:
        lines = [f"{head}: no turn taken yet, {max_turns} to go", "", "wanted:"]
        lines += [f"  {spec.metric:<16} {spec.text()}" for spec in task.specs]
        return "\n".join(lines)
    last = history[-1]
    verdict = " (every spec met)" if last.feasible else ""
    lines = [
        f"{head}: turn {len(history)} of {max_turns}",
        f"score {last.score:.4f}{verdict}, best {best.score:.4f}",
        "",
        "design:",
        *design_lines(task, last),
        "",
        "metrics:",
        *spec_lines(task, last),
    ]
    if last.status is not Status.OK:
        lines += ["", f"{last.status}: {last.message}"]
    return "\n".join(lines)


def design_lines(task: Task, evaluation: Evaluation) -> list[str]:
    """One line per parameter."""
    return [
        f"  {p.name:<16} {format_si(evaluation.design.get(p.name), p.unit):>12}  {p.description}"
        for p in task.space
    ]


def spec_lines(task: Task, evaluation: Evaluation) -> list[str]:
    """One line per spec: ✓ or ✗, the metric, what was measured, what is wanted."""
    lines = []
    for spec in task.specs:
        value = format_si(evaluation.metrics.get(spec.metric), spec.unit)
        tick = "✓" if evaluation.satisfaction.get(spec.metric) == 1.0 else "✗"
        lines.append(f"  {tick} {spec.metric:<14} {value:>12}  {spec.text()}")
    return lines
