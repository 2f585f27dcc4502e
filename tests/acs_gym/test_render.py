"""What a rendered turn shows."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from matplotlib.figure import Figure

import acs_gym
from acs_gym import plotting
from acs_gym.envs.sizing import SizingEnv
from acs_gym.simulation.pool import Job, Simulator

SMALL = "ACS-OTA5T-v0"


def picture(task: acs_gym.Task, design: acs_gym.Design, simulator: Simulator) -> Figure:
    outcome = simulator.run([Job(task.program, design, waveforms=True)])[0]
    return plotting.draw(task, task.judge(design, outcome), outcome.waveforms)


def words(figure: Figure) -> str:
    found = [str(figure.get_suptitle())]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        found += [axes.get_xlabel(), axes.get_ylabel()]
        found += [t.get_text() for t in (*axes.get_yticklabels(), *axes.get_xticklabels())]
    return "\n".join(found)


def middle(task: acs_gym.Task) -> acs_gym.Design:
    return task.space.from_unit([0.5] * len(task.space))


def test_text_shows_design_metrics_and_specs(task_id: str, pdk: str) -> None:
    env = SizingEnv(task_id, pdk=pdk, render_mode="ansi", max_turns=9)
    env.reset(seed=0)
    placeholder = env.render()
    assert "no turn taken yet" in placeholder
    env.step(np.zeros(len(env.task.space)))
    text = env.render()
    assert "turn 1 of 9" in text and "score" in text
    for name in (*env.task.space.names, *env.task.specs.metrics):
        assert f" {name} " in text
    for spec in env.task.specs:
        assert spec.text() in text and spec.text() in placeholder
    assert text.count("✓") + text.count("✗") == len(env.task.specs)


def test_text_uses_engineering_units_and_ticks_what_is_met() -> None:
    env = SizingEnv(SMALL, pdk="generic", render_mode="ansi")
    env.reset(seed=0)
    assert env.task.reference is not None
    env.step(2.0 * env.task.space.to_unit(env.task.reference) - 1.0)
    text = env.render()
    assert "every spec met" in text and "✗" not in text
    assert "MHz" in text and "um " in text


def check_frame(image: np.ndarray) -> None:
    assert image.shape == (700, 1200, 3) and image.dtype == np.uint8
    assert 0.5 < (image == 255).mean() < 1.0  # Something is drawn, on white.


@pytest.mark.parametrize("pdk", ["generic"])
def test_a_turn_can_be_drawn(task_id: str, pdk: str) -> None:
    env = SizingEnv(task_id, pdk=pdk, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.zeros(len(env.task.space)))
    check_frame(env.render())


@pytest.mark.parametrize("action", [-1.0, 1.0])
def test_pictures_are_of_one_size_and_repeat(action: float) -> None:
    env = SizingEnv(SMALL, pdk="generic", render_mode="rgb_array", stop_when_feasible=False)
    env.reset(seed=0)
    empty = env.render()
    check_frame(empty)
    env.step(np.full(len(env.task.space), action))
    frame = env.render()
    check_frame(frame)
    assert (frame != empty).any() and (env.render() == frame).all()


def test_drawing_is_not_charged() -> None:
    env = SizingEnv(SMALL, pdk="generic", render_mode="rgb_array", budget=2)
    env.reset(seed=0)
    env.step(np.zeros(len(env.task.space)))
    env.render()
    assert env.session.meter.used == 1


def test_every_spec_is_in_the_picture(task: acs_gym.Task, in_process: Simulator) -> None:
    text = words(picture(task, middle(task), in_process))
    assert task.title in text and "specs met" in text
    for spec in task.specs:
        assert f"{spec.metric}  {spec.text()}" in text


def test_panels_follow_the_measures(task: acs_gym.Task, in_process: Simulator) -> None:
    text = words(picture(task, task.reference or middle(task), in_process))
    measures = {m.measure for m in task.program.metrics}
    if "phase_margin" in measures:
        assert "loop gain (dB)" in text and "phase (°)" in text
    elif "unity_crossing" in measures:
        assert "magnitude (dB)" in text and "phase (°)" in text


def test_every_metric_of_a_sweep_is_in_the_waveforms(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    assert task.reference is not None
    outcome = in_process.run([Job(task.program, task.reference, waveforms=True)])[0]
    evaluation = task.judge(task.reference, outcome)
    text = words(plotting.draw_waveforms(task, evaluation, outcome.waveforms))
    kinds = {a.name: a.kind for deck in task.program.decks for a in deck.analyses}
    for metric in task.program.metrics:
        points = outcome.waveforms.get(metric.analysis or "", {}).get("sweep", np.empty(0)).size
        # One frequency of many is a point too.
        single = metric.measure in ("at", "value") and kinds.get(metric.analysis or "") == "ac"
        if points > 1 and not single:
            assert f"{metric.name} " in text


def test_the_bode_plot_marks_what_was_measured(in_process: Simulator) -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    assert task.reference is not None
    figure = picture(task, task.reference, in_process)
    evaluation = task.session(simulator=in_process).simulate(task.reference)
    magnitude = figure.axes[0]
    verticals = [line.get_xdata()[0] for line in magnitude.lines if len(set(line.get_xdata())) == 1]  # type: ignore[index, arg-type]
    assert evaluation.metrics["ugbw"] in verticals and task.specs.targets["ugbw"] in verticals


def test_an_unmeasured_metric_is_said_to_be_so(in_process: Simulator) -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    hopeless = middle(task) | {"w_load": 0.5e-6}  # The load cannot carry half the tail current.
    outcome = in_process.run([Job(task.program, hopeless, waveforms=True)])[0]
    assert np.isnan(outcome.metrics["ugbw"])
    evaluation = task.judge(hopeless, outcome)
    assert "not measured" in words(plotting.draw(task, evaluation, outcome.waveforms))


def test_a_failed_simulation_can_be_drawn() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    refused = task.refuse({}, "no such thing")
    figure = plotting.draw(task, refused, {})
    assert "no such thing" in words(figure)
    assert plotting.to_rgb(figure).shape == (700, 1200, 3)


def test_rendering_before_the_first_reset() -> None:
    with pytest.raises(ResetNeeded):
        SizingEnv(SMALL, pdk="generic", render_mode="ansi").render()
