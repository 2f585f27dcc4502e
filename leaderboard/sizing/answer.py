"""What is known of the sizing that came of it: everything a designer asks before he uses it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acs_gym.design import Design
from acs_gym.evaluation import Evaluation, hardest_condition, worst_conditions
from acs_gym.sensitivity import Sensitivity, Suggestion, sensitivities, suggestions
from acs_gym.simulation.deck import device_areas
from acs_gym.simulation.noise_split import NoiseShare, noise_program, read_noise
from acs_gym.simulation.operating_point import OperatingPoint
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task, make_task
from leaderboard.cells import waveforms
from leaderboard.cells.records import EvaluationRecord, TraceLine
from leaderboard.cells.waveforms import WaveformsRecord
from leaderboard.running.plan import PlannedCell


@dataclass(frozen=True, slots=True)
class Answer:
    """The best design of a sizing, and what follows from it.

    Attributes:
        evaluation: at every condition of the task's tier.
        finished: whether its cell was; else it was interrupted.
        verified: whether a fresh simulator has confirmed it.
        spent: simulations; first_met: of these, until every spec was met, or None.
        steps: (simulations, score) wherever the best score rose.
        points: operating points at nominal.
        areas: device -> m², largest first.
        noise: of the output, by device, largest first; empty without a noise analysis.
        sensitivities, suggestions: at the condition with the least margin, `touched_at`.
        waveforms: of its curves at nominal.
    """

    task: Task
    cell: PlannedCell
    evaluation: Evaluation
    finished: bool
    verified: bool
    spent: int
    first_met: int | None
    steps: tuple[tuple[int, float], ...]
    points: tuple[OperatingPoint, ...]
    areas: dict[str, float]
    noise: tuple[NoiseShare, ...]
    sensitivities: tuple[Sensitivity, ...]
    suggestions: tuple[Suggestion, ...]
    touched_at: str
    waveforms: WaveformsRecord

    @property
    def design(self) -> Design:
        return dict(self.evaluation.design)

    @property
    def worst(self) -> dict[str, str]:
        """Metric -> the condition at which its margin is least; empty in a tier of one condition."""
        return worst_conditions(self.evaluation.by_condition)


def answer(
    task: Task,
    cell: PlannedCell,
    trace: Sequence[TraceLine],
    best: EvaluationRecord,
    simulator: Simulator,
    *,
    finished: bool,
    verified: bool,
) -> Answer:
    """Look at the best design of a trace: 2 n + 3 simulations, charged to nobody. All are at nominal but
    the 2 n of what each size does.

    Raises ValueError where `best` is no evaluation of this task.
    """
    evaluation = best.evaluation(task.specs)
    design = task.space.canonicalize(evaluation.design)
    nominal = at_nominal(task)
    job = Job(nominal.program, design, waveforms=True)
    drawn, points = simulate_uncharged([job, nominal.operating_point_job(design)], simulator)
    split = noise_program(nominal.program)
    noise: tuple[NoiseShare, ...] = ()
    if split is not None:
        (by_device,) = simulate_uncharged([Job(split, design, waveforms=True)], simulator)
        noise = read_noise(split, by_device.waveforms)
    touched_at, margins = "nominal", nominal.judge(design, drawn).margins
    if evaluation.by_condition:
        # Where the design is nearest to failing; what nominal has to spare helps nobody there.
        touched_at = hardest_condition(evaluation.by_condition)
        margins = evaluation.by_condition[touched_at].margins
        number = [c.name for c in task.conditions.conditions].index(touched_at)
        found = sensitivities(task, design, simulator, condition=number)
    else:
        found = sensitivities(nominal, design, simulator)
    areas = {
        name: float(area(design)) for name, area in device_areas(task.circuit, task.pdk).items()
    }
    spent, steps, first_met = 0, list[tuple[int, float]](), None
    for line in trace:
        spent += line.evaluation.cost
        if line.evaluation.unknown:
            continue
        if not steps or line.evaluation.score > steps[-1][1]:
            steps.append((spent, line.evaluation.score))
        if first_met is None and line.evaluation.feasible:
            first_met = spent
    return Answer(
        task=task,
        cell=cell,
        evaluation=evaluation,
        finished=finished,
        verified=verified,
        spent=spent,
        first_met=first_met,
        steps=tuple(steps),
        points=nominal.operating_points(points),
        areas=dict(sorted(areas.items(), key=lambda item: -item[1])),
        noise=noise,
        sensitivities=found,
        suggestions=suggestions(margins, found),
        touched_at=touched_at,
        waveforms=waveforms.record(cell.key, nominal, job, drawn),
    )


def at_nominal(task: Task) -> Task:
    """The task in one condition, at the targets of its tier where it asks for the same metrics."""
    nominal = make_task(task.id, pdk=task.pdk_name)
    asked = nominal.specs.metrics
    return nominal.with_specs({m: t for m, t in task.specs.targets.items() if m in asked})


def least(evaluation: Evaluation) -> tuple[str, float]:
    """The spec with the least margin, and that margin; one that was not measured is the least of all."""
    margins = evaluation.margins
    metric = min(margins, key=lambda m: -math.inf if math.isnan(margins[m]) else margins[m])
    return metric, margins[metric]
