"""Sampled targets: every draw is met by a design that was measured to meet it."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.circuit import CircuitError, load_circuit
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState
from acs_gym.envs.vector import SizingVectorEnv
from acs_gym.registry import BUNDLED
from acs_gym.simulation.pool import Simulator
from acs_gym.targets import SLACK_LEAST, SLACK_MOST, Split, ease
from tests.acs_gym.test_vector import assert_same

SMALL, N = "ACS-OTA5T-v0", 8
SPLITS: list[Split] = ["train", "held-out"]
SAMPLED = {"train": "sampled", "held-out": "sampled:held-out"}


@pytest.fixture
def sampled(task: acs_gym.Task) -> acs_gym.Task:
    """Every task on every PDK that ships a `targets.json` for it."""
    if task.pdk_name not in task.circuit.anchors:
        pytest.skip(f"run python benchmarks/targets.py {task.id} --pdk {task.pdk_name}")
    return task


def slacks(sheet: acs_gym.SpecSheet, anchor: acs_gym.Anchor) -> list[float]:
    """The anchor's margins to the sheet's targets."""
    return list(sheet.judge(anchor.metrics).margins.values())


def behind(task: acs_gym.Task, targets: dict[str, float], split: Split) -> list[acs_gym.Anchor]:
    """The anchors of the split that `targets` may have been drawn from."""
    sheet, bounds = task.specs.with_targets(targets), (SLACK_LEAST - 1e-9, SLACK_MOST + 1e-9)
    return [
        anchor
        for anchor in task.anchors(split)
        if all(bounds[0] <= slack <= bounds[1] for slack in slacks(sheet, anchor))
    ]


# --- every task, every PDK ----------------------------------------------------------------------


def test_anchors_were_measured_with_this_circuit_and_these_models(
    sampled: acs_gym.Task, in_process: Simulator
) -> None:
    again = f"python benchmarks/targets.py {sampled.id} --pdk {sampled.pdk_name} --remeasure"
    assert sampled.circuit.anchors[sampled.pdk_name].program == sampled.program.key, again
    some = sampled.anchors()[3::46]  # Of both splits.
    evaluations = sampled.session(simulator=in_process).simulate([a.design for a in some])
    for anchor, evaluation in zip(some, evaluations, strict=True):
        assert evaluation.design == anchor.design and evaluation.status is acs_gym.Status.OK
        # The real thing is as good as what is written down, and hardly better.
        stored = {
            s.metric: abs(m) if s.direction == "within" else m
            for s, m in zip(sampled.specs, anchor.metrics.values(), strict=True)
        }
        as_stored = evaluation.rejudged(sampled.specs.with_targets(stored)).margins
        assert all(0.0 <= margin < 0.01 for margin in as_stored.values()), (again, as_stored)
        hardest = {s.metric: ease(s, anchor, SLACK_LEAST) for s in sampled.specs}
        assert evaluation.rejudged(sampled.specs.with_targets(hardest)).feasible


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
def test_a_draw_is_met_by_an_anchor_of_its_split_with_a_bounded_margin(
    sampled: acs_gym.Task, seed: int, split: Split
) -> None:
    targets = sampled.sample_specs(np.random.default_rng(seed), split)
    assert list(targets) == list(sampled.specs.metrics)
    assert behind(sampled, targets, split)
    assert targets == sampled.sample_specs(np.random.default_rng(seed), split)


def test_the_splits_share_no_anchor_and_are_both_of_use(sampled: acs_gym.Task) -> None:
    train, held_out = ({tuple(a.design.values()) for a in sampled.anchors(s)} for s in SPLITS)
    assert not train & held_out and len(train | held_out) == len(sampled.anchors())
    assert len(train) >= 12 and len(held_out) >= 4


def test_anchors_beat_some_fixed_targets_and_miss_others(sampled: acs_gym.Task) -> None:
    margins = np.array([slacks(sampled.specs, a) for a in sampled.anchors()])
    met = (margins >= 0).mean(axis=1)
    assert 0.3 < met.mean() < 0.95 and ((met > 0) & (met < 1)).mean() > 0.5
    assert np.isfinite(margins).all() and margins.min() > -1.1
    assert (np.ptp(margins, axis=0) > 0.1).all(), "every spec is asked for more and less"


def test_an_episode_s_targets_are_drawn_and_met_by_a_known_design(
    sampled: acs_gym.Task, in_process: Simulator
) -> None:
    env = SizingEnv(sampled, specs="sampled", session=sampled.session(simulator=in_process))
    observation, info = env.reset(seed=3)
    assert observation in env.observation_space and observation["targets"].any()
    assert info["targets"] == env.task.specs.targets == env.snapshot().targets
    for anchor in behind(sampled, info["targets"], "train"):
        action = 2.0 * sampled.space.to_unit(anchor.design) - 1.0
        _, reward, terminated, _, info = env.step(action)
        assert (reward, terminated) == (1.0, True)
        env.reset(seed=3)


# --- environments -------------------------------------------------------------------------------


def make(**arguments: Any) -> SizingEnv:
    given = {"specs": "sampled", "max_turns": 2, "stop_when_feasible": False, **arguments}
    return SizingEnv(SMALL, pdk="generic", **given)


def drawn(env: SizingEnv, count: int, seed: int | None = None) -> list[dict[str, float]]:
    """The targets of so many resets, the first of them seeded."""
    return [env.reset(seed=seed if k == 0 else None)[1]["targets"] for k in range(count)]


def test_the_seed_of_a_reset_decides_its_targets_and_those_that_follow() -> None:
    first, second = drawn(make(), 4, seed=5), drawn(make(), 4, seed=5)
    assert first == second
    assert all(a != b for a, b in itertools.pairwise(first))
    assert drawn(make(), 1, seed=6) != first[:1]
    rng = np.random.default_rng(5)
    task = acs_gym.make_task(SMALL, pdk="generic")
    assert first == [task.sample_specs(rng) for _ in range(4)]


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_of_an_environment(split: Split) -> None:
    env = make(specs=SAMPLED[split])
    other: Split = "train" if split == "held-out" else "held-out"
    targets = drawn(env, 20, seed=0)
    assert all(behind(env.task, t, split) for t in targets)
    assert not all(behind(env.task, t, other) for t in targets)
    assert split == "held-out" or drawn(make(specs="sampled:train"), 20, seed=0) == targets


def test_draws_are_tight_and_easy_by_turns() -> None:
    task, rng = acs_gym.make_task(SMALL, pdk="generic"), np.random.default_rng(0)
    mean = []
    for _ in range(80):
        targets = task.sample_specs(rng)
        sheet = task.specs.with_targets(targets)
        mean.append(min(np.mean(slacks(sheet, a)) for a in behind(task, targets, "train")))
    assert min(mean) < 0.05 and max(mean) > 0.3


def test_targets_asked_for_replace_drawn_ones_and_change_nothing_else() -> None:
    env, free = make(), make()
    asked = {"ugbw": 1e6, "pm": 45.0}
    _, info = env.reset(seed=1, options={"specs": asked})
    _, info_free = free.reset(seed=1)
    assert info["targets"] == {**info_free["targets"], **asked}
    assert drawn(env, 3) == drawn(free, 3)
    before = env.snapshot()
    with pytest.raises(acs_gym.InvalidSpec, match="did you mean ugbw"):
        env.reset(seed=1, options={"specs": {"ugwb": 1.0}})
    assert env.snapshot() == before


def test_a_state_brings_its_targets_and_the_draws_to_come() -> None:
    env = make()
    env.reset(seed=9)
    env.step(np.zeros(N))
    state = EnvState.from_json(json.loads(json.dumps(env.snapshot().to_json())))
    expected = [env.step(np.ones(N))[1], *drawn(env, 3)]
    for other in (make(), make(specs="sampled:held-out"), make(specs=None)):
        _, info = other.restore(state)
        assert info["targets"] == state.targets != other.fixed_specs.targets
        assert other.step(np.ones(N))[1] == expected[0]
    same = make()
    same.restore(state)
    assert [same.step(np.ones(N))[1], *drawn(same, 3)] == expected


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_vector_environment_draws_as_single_ones_do(mode: AutoresetMode) -> None:
    theirs = SyncVectorEnv([make] * 3, autoreset_mode=mode)
    ours = gymnasium.make_vec(
        SMALL, num_envs=3, pdk="generic", specs="sampled", max_turns=2, stop_when_feasible=False,
        autoreset_mode=mode,
    )  # fmt: skip
    assert isinstance(ours, SizingVectorEnv)
    assert_same(ours.reset(seed=4), theirs.reset(seed=4))
    ours.action_space.seed(4)
    targets = set()
    for turn in range(7):
        actions = ours.action_space.sample()
        a, b = ours.step(actions), theirs.step(actions)
        assert_same(a, b, f"step {turn}")
        targets |= {tuple(state.targets.items()) for state in ours.snapshot()}
        if turn == 3:  # One episode anew, the others with the targets that they have.
            mask = {"reset_mask": np.array([False, True, False])}
            assert_same(ours.reset(options=dict(mask)), theirs.reset(options=dict(mask)))
    assert len(targets) >= 7
    ours.close()
    theirs.close()


def test_make_passes_it_on() -> None:
    env = gymnasium.make(SMALL, pdk="generic", specs="sampled:held-out")
    _, info = env.reset(seed=0)
    assert env.unwrapped.snapshot().targets == info["targets"]  # type: ignore[attr-defined]
    assert env.spec is not None and gymnasium.make(env.spec).reset(seed=0)[1] == info


# --- wrong use, wrong files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"specs": "smapled"}, acs_gym.InvalidSpec, "'sampled:held-out'; got 'smapled'"),
        ({"specs": "sampled:test"}, acs_gym.InvalidSpec, "got 'sampled:test'"),
        ({"specs": "sampled:"}, acs_gym.InvalidSpec, "got 'sampled:'"),
        ({"specs": "sampled", "tier": "mc4"}, acs_gym.TargetsNotFound, "in tier tt, .* is mc4"),
    ],
)
def test_what_cannot_be_sampled(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make(**arguments)
    with pytest.raises(error, match=said):
        SizingVectorEnv(SMALL, 2, pdk="generic", **arguments)


def test_a_task_itself_has_fixed_targets() -> None:
    with pytest.raises(acs_gym.InvalidSpec, match=r"task\.sample_specs\(rng\)"):
        acs_gym.make_task(SMALL, pdk="generic", specs="sampled")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="split is one of train, held-out; got 'test'"):
        acs_gym.make_task(SMALL, pdk="generic").sample_specs(
            np.random.default_rng(0),
            "test",  # type: ignore[arg-type]
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A circuit folder of somebody's own, with the OTA's anchors; forgotten after the test."""
    monkeypatch.setattr("acs_gym.registry._registered", {})
    mine = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "mine"))
    text = (mine / "circuit.toml").read_text().replace("ACS-OTA5T-v0", "Mine-Sampled-v0")
    (mine / "circuit.toml").write_text(text)
    return mine


def anchors_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "targets.json").read_text()))


def test_a_folder_without_anchors_says_what_makes_them(folder: Path) -> None:
    (folder / "targets.json").unlink()
    name = acs_gym.register_circuit(folder)
    with pytest.raises(
        acs_gym.TargetsNotFound,
        match=f"on: no PDK. `python benchmarks/targets.py {name} --pdk generic` makes them",
    ):
        gymnasium.make(name, pdk="generic", specs="sampled")
    assert gymnasium.make(name, pdk="generic").reset(seed=0)[1]["targets"]


def test_anchors_on_another_pdk_are_named(folder: Path) -> None:
    data = anchors_of(folder)
    (folder / "targets.json").write_text(json.dumps({"sky130": data["sky130"]}))
    task = acs_gym.make_task(acs_gym.register_circuit(folder), pdk="generic")
    with pytest.raises(acs_gym.TargetsNotFound, match="on generic; it has some on: sky130"):
        task.sample_specs(np.random.default_rng(0))


def test_anchors_of_another_testbench_are_refused(folder: Path) -> None:
    data = anchors_of(folder)
    name = acs_gym.register_circuit(folder)
    # The copy's id is part of its program: its anchors were measured as another circuit's.
    task = acs_gym.make_task(name, pdk="generic")
    with pytest.raises(acs_gym.TargetsNotFound, match=r"another version .*--remeasure"):
        task.sample_specs(np.random.default_rng(0))
    data["generic"]["program"] = task.program.key
    (folder / "targets.json").write_text(json.dumps(data))
    again = acs_gym.make_task(name, pdk="generic")
    assert again.sample_specs(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("program", None, r"generic\.program: Input should be a valid string"),
        ("program", "abc", r"generic\.program: String should match"),
        ("extra", 1, r"generic\.extra: Extra inputs"),
        ("anchors", [], r"generic\.anchors: .*at least 4"),
        ("metrics", ["gain"], r"generic\.metrics: the table is of gain, .*make it anew"),
        ("parameters", ["w"], r"generic\.parameters: the table is of w, the circuit has w_pair"),
        ("anchors.2.0", [1e-6], r"generic\.anchors\.2: design has 1 numbers, expected 8"),
        ("anchors.2.1", [1.0] * 6, r"generic\.anchors\.2: metrics has 6 numbers, expected 5"),
        ("anchors.2.0.0", 1.0, r"generic\.anchors\.2: w_pair = 1 is outside its range"),
        ("anchors.2.1.1", -1.0, r"generic\.anchors\.2: spec ugbw: .*must be positive"),
        ("anchors.2.1.1", None, r"generic\.anchors\.2\.1\.1: Input should be a valid number"),
        ("anchors.2.1.1", "1e6", r"generic\.anchors\.2\.1\.1: Input should be a valid number"),
        ("anchors.2.1.1", float("nan"), r"generic\.anchors\.2\.1\.1: Input should be a finite"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(folder: Path, where: str, what: Any, said: str) -> None:
    data = anchors_of(folder)
    *path, last = (int(key) if key.isdigit() else key for key in where.split("."))
    functools.reduce(lambda part, key: part[key], path, data["generic"])[last] = what
    (folder / "targets.json").write_text(json.dumps(data))
    with pytest.raises(CircuitError, match=f"targets.json: {said}"):
        load_circuit(folder)


def test_a_pdk_that_the_circuit_does_not_know_is_named(folder: Path) -> None:
    data = anchors_of(folder)
    (folder / "targets.json").write_text(json.dumps({"generik": data["generic"]}))
    with pytest.raises(CircuitError, match=r"targets.json: generik\..*no sizing on PDK 'generik'"):
        load_circuit(folder)


def test_a_file_that_is_no_json_is_named(folder: Path) -> None:
    (folder / "targets.json").write_text("{")
    with pytest.raises(CircuitError, match=r"targets.json: file: Invalid JSON"):
        load_circuit(folder)
