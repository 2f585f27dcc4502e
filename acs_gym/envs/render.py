"""An episode for a person: as text with engineering units and a tick or a cross per spec, or drawn.

Pure, but for the waveforms of a picture, which come from whoever asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from acs_gym.envs.snapshot import best_of
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from acs_gym.units import format_si

if TYPE_CHECKING:
    from acs_gym.envs.episode import Episode
    from acs_gym.simulation.readout import Waveforms

MODES = ("ansi", "rgb_array")


def check_mode(render_mode: str | None) -> None:
    """Raises ValueError for a mode that is none."""
    if render_mode not in (None, *MODES):
        raise ValueError(f"no render_mode {render_mode!r}; use one of: {', '.join(MODES)}, or None")


def frames(
    render_mode: str,
    episodes: Sequence[Episode],
    waveforms: Callable[[list[Mapping[str, float]]], list[Waveforms]],
) -> list[Any]:
    """The last turn of each episode: text (`ansi`), or an (H, W, 3) uint8 array (`rgb_array`).

    `waveforms` simulates designs once more; it is asked for all of them at once.
    """
    if render_mode == "ansi":
        return [episode_text(e.task, e.past, best_of(e.past), e.rules.max_turns) for e in episodes]
    from acs_gym import plotting

    drawn = iter(waveforms([e.past[-1].design for e in episodes if e.past]))
    pictures = []
    for episode in episodes:
        if episode.past:
            headline = f"turn {len(episode.past)} of {episode.rules.max_turns}"
            figure = plotting.draw(episode.task, episode.past[-1], next(drawn), headline)
        else:
            figure = plotting.draw_placeholder(episode.task)
        pictures.append(plotting.to_rgb(figure))
    return pictures


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
