"""Wrappers: goals that decide the reward, increments and grid steps that stay in the box."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym import DeltaAction, Discrete, GoalConditioned, SizingEnv
from acs_gym.envs.snapshot import EnvState, InvalidState
from acs_gym.envs.wrappers import SizingWrapper
from tests.acs_gym.test_vector import assert_same

SMALL, N = "ACS-OTA5T-v0", 8
Wrap = Callable[[gymnasium.Env[Any, Any]], SizingWrapper]
WRAPPERS: dict[str, Wrap] = {
    "goals": GoalConditioned,
    "sparse goals": functools.partial(GoalConditioned, reward="sparse"),
    "increments": DeltaAction,
    "increments from anywhere": functools.partial(DeltaAction, start="random", max_change=0.3),
    "grid steps": Discrete,
    "grid steps from the reference": functools.partial(Discrete, start="reference"),
    "grid points": functools.partial(Discrete, points=5, absolute=True),
    "goals of increments": lambda env: GoalConditioned(DeltaAction(env, start="random")),
    "goals of grid steps": lambda env: GoalConditioned(Discrete(env)),
}
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


@functools.lru_cache(maxsize=64)
def session_on(task_id: str, pdk: str) -> acs_gym.Session:
    """One session for all tests of a task, which remembers what it has simulated."""
    return acs_gym.make_task(task_id, pdk=pdk).session()


GOALS = len(acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").specs)


def on(task: acs_gym.Task, **arguments: Any) -> SizingEnv:
    """A plain environment of the task that simulates nothing twice."""
    return SizingEnv(task, session=session_on(task.id, task.pdk_name), **arguments)


def small(**arguments: Any) -> gymnasium.Env[Any, Any]:
    """As a user makes it, with Gymnasium's own wrappers around it."""
    given = {"max_turns": 5, "stop_when_feasible": False, **arguments}
    return gymnasium.make(SMALL, pdk="generic", **given)


def check(env: gymnasium.Env[Any, Any], **how: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # It says that of every wrapper; what it then checks is what counts.
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        env.action_space.seed(0)
        check_env(env, **how)


def simulated(env: gymnasium.Env[Any, Any]) -> acs_gym.Evaluation:
    last = env.unwrapped.last  # type: ignore[attr-defined]
    assert last is not None
    return last  # type: ignore[no-any-return]


# --- every task, every PDK ----------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [WRAPPERS["goals of increments"], Discrete], ids=["goals", "grid"])
def test_every_task_passes_gymnasiums_checks(task: acs_gym.Task, wrap: Wrap) -> None:
    check(wrap(on(task)), skip_render_check=True, skip_close_check=True)


def test_spaces_follow_the_task(task: acs_gym.Task) -> None:
    env = on(task)
    n, k = len(task.space), len(task.specs)
    shapes = {name: s.shape for name, s in GoalConditioned(env).observation_space.items()}
    assert shapes == {
        "observation": (n + 2 * k + 1,), "achieved_goal": (k,), "desired_goal": (k,)
    }  # fmt: skip
    assert DeltaAction(env).action_space == env.action_space
    grid = Discrete(env)
    assert grid.action_space.nvec.tolist() == [3] * n
    for p in task.space:
        values = grid.levels[p.name]
        assert (values[0], values[-1]) == (p.snap(p.low), p.snap(p.high))
        assert 2 <= len(values) <= 41
        assert all(p.snap(v) == v for v in values)
        assert p.integer or p.step is not None or len(values) == 41
    points = Discrete(env, points=5, absolute=True)
    assert points.action_space.nvec.tolist() == [len(v) for v in points.levels.values()]


def test_rewards_from_goals_are_the_environment_s_own(task: acs_gym.Task) -> None:
    """For designs that are good, bad and dead, under any targets."""
    rng, n = np.random.default_rng(0), len(task.space)
    env = GoalConditioned(on(task, max_turns=9, stop_when_feasible=False))
    sparse = GoalConditioned(env.env, reward="sparse")
    env.reset(seed=0)
    achieved, evaluations = [], []
    assert task.reference is not None
    reference = 2.0 * task.space.to_unit(task.reference) - 1.0
    designs = [reference + rng.normal(0.0, s, n) for s in (0.0, 0.02, 0.1, 0.3)]
    for action in (*designs, -np.ones(n), np.ones(n)):
        seen, reward, *_, info = env.step(action)
        assert seen in env.observation_space
        assert reward == env.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)
        assert reward == pytest.approx(info["evaluation"].score, abs=1e-12)
        assert info["is_success"] == info["evaluation"].feasible == (reward == 1.0)
        achieved.append(seen["achieved_goal"])
        evaluations.append(info["evaluation"])
    assert evaluations[0].feasible

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.floats(-4.0, 4.0), min_size=len(task.specs), max_size=len(task.specs)))
    def under_any_targets(harder: list[float]) -> None:
        targets = {
            s.metric: float(np.exp(-z if s.direction != ">=" else z) * s.target)
            if s.tolerance is None
            else max(s.target + (z if s.direction == ">=" else -z) * s.tolerance, 1e-9)
            for s, z in zip(task.specs, harder, strict=True)
        }
        sheet = task.specs.with_targets(targets)
        seen, info = env.reset(options={"specs": targets})
        desired = np.stack([seen["desired_goal"]] * len(achieved))
        rewards = env.compute_reward(np.stack(achieved), desired, info)
        judged = [e.rejudged(sheet) for e in evaluations]
        assert rewards.shape == (len(achieved),)
        assert rewards == pytest.approx([e.score for e in judged], abs=1e-9)
        met = [e.feasible for e in judged]
        assert (sparse.compute_reward(np.stack(achieved), desired, {}) == np.array(met) - 1.0).all()
        # One at a time, in any shape, the bits are the same.
        assert [env.compute_reward(a, desired[0], {}) for a in achieved] == rewards.tolist()
        pairs = np.stack(achieved).reshape(2, -1, len(task.specs))
        again = env.compute_reward(pairs, desired.reshape(pairs.shape), {})
        assert (again.ravel() == rewards).all()

    under_any_targets()


def test_zero_repeats_the_design_and_one_reaches_the_next_grid_point(task: acs_gym.Task) -> None:
    assert task.reference is not None
    low, high = ({p.name: bound(p) for p in task.space} for bound in (_low, _high))
    for start in (task.reference, low, high):
        delta, grid = (wrap(on(task), start=start) for wrap in (DeltaAction, Discrete))
        for env, stay in (
            (delta, np.zeros(len(task.space))),
            (grid, np.ones(len(task.space), int)),
        ):
            observation, _ = env.reset(seed=0)
            assert env.design == start
            shown = 2.0 * task.space.to_unit(start) - 1.0
            assert observation["design"] == pytest.approx(shown, abs=1e-6)
            env.step(stay)
            assert simulated(env).design == start == env.design
    delta = DeltaAction(on(task), max_change=1e-6, start=low)
    delta.reset(seed=0)
    delta.step(np.ones(len(task.space)))
    for p in (p for p in task.space if p.grid is not None):
        assert delta.design[p.name] == p.snap(p.low + p.grid), p.name  # type: ignore[operator]


def _low(parameter: acs_gym.Parameter) -> float:
    return parameter.low


def _high(parameter: acs_gym.Parameter) -> float:
    return parameter.high


# --- every wrapper ------------------------------------------------------------------------------


@every_wrapper
def test_gymnasiums_checks_through_make(wrap: Wrap) -> None:
    check(wrap(small()), skip_render_check=True)


@every_wrapper
def test_same_seed_and_actions_give_the_same_bits(wrap: Wrap) -> None:
    runs = []
    for _ in range(2):
        env = wrap(small(specs="sampled"))
        env.action_space.seed(1)
        steps = [env.reset(seed=1), *(env.step(env.action_space.sample()) for _ in range(3))]
        runs.append((*steps, env.reset()))
    assert_same(runs[0], runs[1])


@every_wrapper
@pytest.mark.parametrize("turns", [0, 2])
def test_a_state_is_all_there_is_to_an_episode(wrap: Wrap, turns: int) -> None:
    env = wrap(small(specs="sampled"))
    env.action_space.seed(2)
    actions = [env.action_space.sample() for _ in range(4)]
    seen = env.reset(seed=2)
    for action in actions[:turns]:
        seen = env.step(action)[::4]  # type: ignore[assignment]
    state = EnvState.from_json(json.loads(json.dumps(env.snapshot().to_json())))
    expected = tuple(env.step(a) for a in actions[turns:])
    assert_same(env.restore(state), seen)
    assert_same(tuple(env.step(a) for a in actions[turns:]), expected)
    fresh = wrap(small(specs="sampled"))
    assert_same(fresh.restore(state), seen)  # Without a reset before it.
    assert fresh.snapshot() == state
    assert_same(tuple(fresh.step(a) for a in actions[turns:]), expected)
    with pytest.raises(InvalidState, match="max_turns"):
        wrap(small(max_turns=6)).restore(state)


@every_wrapper
@pytest.mark.parametrize("twice", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_goes_on_alike(wrap: Wrap, twice: Callable[[Any], Any]) -> None:
    env = wrap(small())
    env.reset(seed=3)
    env.action_space.seed(3)
    actions = [env.action_space.sample() for _ in range(2)]
    env.step(actions[0])
    twin = twice(env)
    assert_same(env.step(actions[1]), twin.step(actions[1]))


@every_wrapper
def test_gymnasium_can_make_it_again_from_its_spec(wrap: Wrap) -> None:
    env = wrap(small(specs="sampled"))
    assert env.spec is not None
    again = gymnasium.make(env.spec)
    assert_same(env.reset(seed=4), again.reset(seed=4))
    env.action_space.seed(4)
    action = env.action_space.sample()
    assert_same(env.step(action), again.step(action))


def test_gymnasiums_vector_of_wrapped_environments() -> None:
    envs = gymnasium.make_vec(
        SMALL, num_envs=2, vectorization_mode="sync", pdk="generic", specs="sampled",
        wrappers=[DeltaAction, GoalConditioned],
    )  # fmt: skip
    seen, _ = envs.reset(seed=0)
    assert seen["desired_goal"].shape == (2, GOALS)
    assert (seen["desired_goal"][0] != seen["desired_goal"][1]).any()
    _, rewards, *_ = envs.step(envs.action_space.sample())
    assert rewards.shape == (2,)


# --- goals --------------------------------------------------------------------------------------


def test_the_fixed_targets_are_the_origin_and_up_is_better() -> None:
    env = GoalConditioned(small())
    seen, info = env.reset(seed=0)
    assert (seen["desired_goal"] == 0.0).all() and (seen["achieved_goal"] == -5.0).all()
    assert not info["is_success"]
    harder = {"ugbw": 2.0 * info["targets"]["ugbw"], "power": 0.5 * info["targets"]["power"]}
    seen, _ = env.reset(options={"specs": harder})
    z = np.log(2.0)
    asked = dict(zip(info["targets"], seen["desired_goal"], strict=True))
    moved = {"ugbw": z / (1 + z / 5), "power": z / (1 + z / 5)}
    assert asked == pytest.approx(dict.fromkeys(asked, 0.0) | moved)


def test_the_observation_knows_nothing_of_the_targets() -> None:
    env = GoalConditioned(small())
    action = np.full(N, 0.1, np.float32)
    seen = []
    for specs in ({}, {"ugbw": 1e9, "pm": 10.0}):
        env.reset(seed=0, options={"specs": specs})
        seen.append(env.step(action)[0])
    assert_same(seen[0]["observation"], seen[1]["observation"])
    assert_same(seen[0]["achieved_goal"], seen[1]["achieved_goal"])
    assert (seen[0]["desired_goal"] != seen[1]["desired_goal"]).any()


def test_a_goal_put_in_its_place_afterwards_is_met_by_what_was_achieved() -> None:
    env = GoalConditioned(small(), reward="sparse")
    env.reset(seed=0)
    assert env.unwrapped.task.reference is not None  # type: ignore[attr-defined]
    units = env.unwrapped.task.space.to_unit(env.unwrapped.task.reference)  # type: ignore[attr-defined]
    seen, *_ = env.step(2.0 * units - 0.9)
    achieved = seen["achieved_goal"]
    assert (achieved > -5.0).all()
    assert env.compute_reward(achieved, achieved, {}) == 0.0
    assert env.compute_reward(achieved, achieved + 1e-9, {}) == -1.0
    # Gymnasium-Robotics' stored goals are often float32.
    low = achieved.astype(np.float32)
    assert env.compute_reward(low, low, {}) == 0.0


def test_what_could_not_be_measured_meets_no_goal() -> None:
    env, sparse = GoalConditioned(small()), GoalConditioned(small(), reward="sparse")
    dead, asked = np.full(GOALS, -5.0), np.linspace(-5.0, 5.0, GOALS)
    assert env.compute_reward(dead, asked, {}) == 0.0
    assert sparse.compute_reward(dead, dead, {}) == -1.0
    alive = np.full(GOALS, -4.9)
    assert env.compute_reward(alive, dead, {}) == 1.0
    assert np.isfinite(env.compute_reward(np.full(GOALS, 5.0), asked[::-1], {}))


def test_termination_from_goals() -> None:
    goals = np.array([[0.1] * GOALS, [-0.1] * GOALS])
    env = GoalConditioned(small(stop_when_feasible=True))
    assert env.compute_terminated(goals, 0.0 * goals, {}).tolist() == [True, False]
    assert env.compute_terminated(goals[0], 0.0 * goals[0], {}) is True
    assert not GoalConditioned(small()).compute_terminated(goals, 0.0 * goals, {}).any()


def test_goals_of_another_shape_are_refused() -> None:
    env = GoalConditioned(small())
    with pytest.raises(ValueError, match=rf"shape \(\.\.\., {GOALS}\).*gain, ugbw.*got \(4,\)"):
        env.compute_reward(np.zeros(4), np.zeros(GOALS), {})


# --- increments and grids -----------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.floats(-3, 3, width=32), min_size=N, max_size=N), min_size=1, max_size=3)
)
def test_increments_are_bounded_and_stay_in_the_box(actions: list[list[float]]) -> None:
    env = DeltaAction(small(), max_change=0.2, start="random")
    env.reset(seed=len(actions))
    for action in actions:
        before = env.design
        env.step(np.array(action))
        task = env.unwrapped.task  # type: ignore[attr-defined]
        assert task.space.canonicalize(env.design) == env.design == simulated(env).design
        moved = task.space.to_unit(env.design) - task.space.to_unit(before)
        coarse = np.array([0.5 / 15 if p.integer else 0.01 for p in task.space])
        assert (np.abs(moved) <= 0.2 + coarse).all()
        assert (moved * np.array(action) >= 0.0).all()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=N, max_size=N), min_size=1, max_size=3),
    st.sampled_from(["centre", "random", "reference"]),
)
def test_grid_steps_stay_on_the_grid_inside_the_box(actions: list[list[int]], start: Any) -> None:
    env = Discrete(small(), points=7, start=start)
    env.reset(seed=len(actions))
    for action in actions:
        before = env.design
        env.step(np.array(action))
        for (name, levels), k in zip(env.levels.items(), action, strict=True):
            old, new = before[name], env.design[name]
            if k == 1:
                assert new == old
            else:
                better = [v for v in levels if (v > old if k == 2 else v < old)]
                assert new == (min(better) if k == 2 else max(better)) if better else new in levels
        assert env.design == simulated(env).design


def test_grid_steps_lead_from_the_centre_to_the_end_in_an_episode() -> None:
    env = Discrete(small(max_turns=20))
    env.reset(seed=0)
    for _ in range(20):
        *_, truncated, _ = env.step(np.full(N, 2))
    assert truncated
    assert list(env.design.values()) == [p.high for p in env.unwrapped.task.space]  # type: ignore[attr-defined]


def test_grid_points_are_named_directly() -> None:
    env = Discrete(small(), points={**dict.fromkeys(_names(), 3), "w_pair": 11}, absolute=True)
    assert env.action_space.nvec.tolist() == [11, *[3] * (N - 1)]  # type: ignore[attr-defined]
    env.reset(seed=0)
    action = [10, 0, 1, 2, 0, 1, 2, 0]
    env.step(np.array(action))
    wanted = {n: env.levels[n][k] for n, k in zip(env.levels, action, strict=True)}
    assert env.design == wanted == simulated(env).design


def _names() -> tuple[str, ...]:
    return acs_gym.make_task(SMALL, pdk="generic").space.names


def test_a_random_start_differs_from_episode_to_episode() -> None:
    env = DeltaAction(small(), start="random")
    starts = []
    for seed in (1, None, None):
        env.reset(seed=seed)
        starts.append(tuple(env.design.values()))
    assert len(set(starts)) == 3
    env.reset(seed=1)
    assert tuple(env.design.values()) == starts[0]


def test_the_start_is_not_simulated() -> None:
    env = DeltaAction(small(budget=1))
    env.reset(seed=0)
    *_, truncated, info = env.step(np.zeros(N))
    assert truncated and info["turn"] == 1 and info["remaining_budget"] == 0


# --- wrong use ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [GoalConditioned, DeltaAction, Discrete])
def test_only_sizing_environments_can_be_wrapped(wrap: Wrap) -> None:
    with pytest.raises(TypeError, match=r"wraps a SizingEnv.*got CartPoleEnv"):
        wrap(gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match="outside of this one"):
        wrap(gymnasium.wrappers.FlattenObservation(small()))


def test_the_order_of_wrappers() -> None:
    with pytest.raises(ValueError, match=r"put wrappers that change it .*outside of this one"):
        DeltaAction(GoalConditioned(small()))
    with pytest.raises(ValueError, match="another wrapper has already changed"):
        DeltaAction(Discrete(small()))


@pytest.mark.parametrize(
    ("wrap", "error", "said"),
    [
        (lambda e: GoalConditioned(e, reward="dense"), ValueError, "score, sparse; got 'dense'"),
        (lambda e: DeltaAction(e, max_change=0.0), ValueError, r"in \(0, 1\]; got 0.0"),
        (lambda e: DeltaAction(e, start="middle"), ValueError, "centre, reference, random or a design"),
        (lambda e: DeltaAction(e, start={"w_pair": 1e-6}), acs_gym.InvalidDesign, "missing parameter"),
        (lambda e: Discrete(e, points=1), ValueError, "whole number >= 2, got 1"),
        (lambda e: Discrete(e, points={"w_pair": 3}), ValueError, "no more and no less: i_bias"),
    ],
)  # fmt: skip
def test_wrong_arguments(wrap: Wrap, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        wrap(small())


@pytest.mark.parametrize(
    ("wrap", "action", "said"),
    [
        (DeltaAction, np.full(N, np.nan), "w_pair is nan"),
        (DeltaAction, np.zeros(3), r"shape \(3,\)"),
        (Discrete, np.full(N, 3), "w_pair is 3 in the action; .*w_pair 3, l_pair 3"),
        (Discrete, np.full(N, -1), "w_pair is -1"),
        (Discrete, np.zeros(N), "whole numbers"),
        (Discrete, np.zeros(3, int), "whole numbers"),
        (functools.partial(Discrete, points=5, absolute=True), np.full(N, 5), "w_pair 5"),
    ],
)
def test_an_action_that_is_none_is_refused_and_free(wrap: Wrap, action: Any, said: str) -> None:
    env = wrap(small(budget=1))
    env.reset(seed=0)
    before = env.snapshot()
    with pytest.raises(ValueError, match=said):
        env.step(action)
    assert env.snapshot() == before
    assert env.unwrapped.session.meter.used == 0  # type: ignore[attr-defined]
