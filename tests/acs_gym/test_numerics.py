"""The shipped options of the simulator do not decide a metric, least of all where optimisers end."""

from __future__ import annotations

import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.pool import Job, Simulator
from benchmarks.numerics import (
    TIGHT,
    Sample,
    allowed,
    has_transient,
    only_transients,
    shares_of_a_step,
    shifts,
    winners,
    with_options,
)
from tests.conftest import needs_sky130


def with_transients() -> list[str]:
    """Tasks whose metrics depend on time steps; the generic cards need no installation."""
    every = acs_gym.task_ids()
    return [name for name in every if has_transient(acs_gym.make_task(name, pdk="generic"))]


def reference_and_winners(task: acs_gym.Task) -> list[Sample]:
    reference = task.reference
    assert reference is not None
    found = [Sample("winner", f"winner {k}", design) for k, design in enumerate(winners(task))]
    return [Sample("winner", "reference", reference), *found]


CLOSE = 0.003  # Of a margin: 0.3 % of a target, a third of what a metric may move.


@needs_sky130
@pytest.mark.parametrize("task_id", with_transients())
def test_shipped_options_agree_with_tight_ones(task_id: str, in_process: Simulator) -> None:
    task = acs_gym.make_task(task_id, pdk="sky130")
    tight = with_options(task.program, TIGHT)
    for sample in reference_and_winners(task):
        shipped, true = in_process.run([Job(p, sample.design) for p in (task.program, tight)])
        assert shipped.status is true.status is Status.OK, sample.label
        moved = {
            metric: share
            for metric, share in shifts(task, shipped.metrics, true.metrics).items()
            if abs(share) > allowed(task, metric)
        }
        assert not moved, sample.label
        judged, truly = (task.specs.judge(o.metrics).margins for o in (shipped, true))
        # An optimiser may end nearer a target than any step size resolves; farther off, none may flip.
        flipped = [m for m in truly if (judged[m] >= 0) != (truly[m] >= 0)]
        assert all(abs(truly[m]) < CLOSE for m in flipped), (sample.label, flipped)


def test_an_overshoot_may_move_by_a_share_of_its_step_an_extreme_by_one_of_itself() -> None:
    amplifier = acs_gym.make_task("ACS-DFCFC-v0", pdk="generic")
    assert shares_of_a_step(amplifier) == {"over_rise", "over_fall", "over_light", "overshoot"}
    true = dict.fromkeys(amplifier.metric_units, 1.0) | {"over_light": -2e-4}
    assert shifts(amplifier, true | {"over_light": 1e-4}, true)["over_light"] == pytest.approx(3e-4)
    assert allowed(amplifier, "over_light") == allowed(amplifier, "over_rise") == 0.01
    assert allowed(amplifier, "slew_rate") == 0.01
    assert allowed(amplifier, "settle_rise") == allowed(amplifier, "settling_time") == 0.02
    regulator = acs_gym.make_task("ACS-LDO-v0", pdk="generic")
    assert not shares_of_a_step(regulator)
    assert allowed(regulator, "undershoot") == 0.02


def test_tight_options_reach_every_deck_and_every_transient() -> None:
    program = acs_gym.make_task("ACS-LDO-v0", pdk="generic").program
    tight = with_options(program, TIGHT)
    assert tight.key != program.key
    for deck in tight.decks:
        (line,) = (line for line in deck.template if line.startswith(".options"))
        assert line.count("reltol=") == line.count("trtol=") == 1
        assert "reltol=1e-6" in line and "trtol=1" in line.split()
    before, after = (
        [a.command.split() for d in only_transients(p).decks for a in d.analyses]
        for p in (program, tight)
    )
    assert len(before) == len(after) > 0
    for (kind, step, stop, *_), tightened in zip(before, after, strict=True):
        assert tightened[:4] == [kind, step, stop, "0"]
        assert float(tightened[4]) == pytest.approx(float(stop) / 5000)
