"""What a Gymnasium user may rely on, for every registered task on every PDK."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env

import acs_gym
from acs_gym.envs.observation import MARGIN_LIMIT
from acs_gym.envs.sizing import SizingEnv

SMALL = "ACS-OTA5T-v0"


def reference_action(env: SizingEnv) -> np.ndarray:
    assert env.task.reference is not None
    return 2.0 * env.task.space.to_unit(env.task.reference) - 1.0


@pytest.fixture
def env() -> Iterator[SizingEnv]:
    with SizingEnv(SMALL, pdk="generic") as made:
        yield made


# --- every task, every PDK ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "acs_gym:"])
def test_passes_gymnasiums_own_checks_without_a_warning(
    task_id: str, pdk: str, prefix: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(f"{prefix}{task_id}", pdk=pdk)
        # Drawing is checked once, below and in test_render: it is slow, and the same for all.
        check_env(made.unwrapped, skip_render_check=True)
        made.reset(seed=0)  # Through the passive checker and the order enforcer.
        made.step(made.action_space.sample())
        made.close()


def test_render_modes_pass_gymnasiums_checks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(SMALL, pdk="generic").unwrapped)


def test_spaces_follow_the_task(task: acs_gym.Task) -> None:
    env = SizingEnv(task)
    n, k = len(task.space), len(task.specs)
    assert env.action_space.shape == (n,) and env.action_space.dtype == np.float32
    shapes = {name: space.shape for name, space in env.observation_space.items()}
    assert shapes == {
        "design": (n,), "metrics": (k,), "margins": (k,), "targets": (k,), "measured": (k,),
        "best_score": (1,), "remaining": (1,),
    }  # fmt: skip
    for space in env.observation_space.values():
        assert space.dtype == np.float32 and np.isfinite(space.low).all()


def test_random_episode_stays_in_its_spaces(task_id: str, pdk: str) -> None:
    env = SizingEnv(task_id, pdk=pdk, max_turns=6, stop_when_feasible=False)
    observation, info = env.reset(seed=1)
    assert observation in env.observation_space and info["turn"] == 0
    env.action_space.seed(1)
    for turn in range(1, 7):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space
        assert type(reward) is float and 0.0 <= reward <= 1.0
        assert reward == info["evaluation"].score
        assert not terminated and truncated == (turn == 6) and info["turn"] == turn
        assert observation["remaining"][0] == pytest.approx(1 - turn / 6)


def test_the_reference_sizing_ends_the_episode(task_id: str, pdk: str) -> None:
    env = SizingEnv(task_id, pdk=pdk)
    if env.task.reference is None:
        pytest.skip(f"{task_id} ships no reference sizing on {pdk}")
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(reference_action(env))
    assert (reward, terminated, truncated) == (1.0, True, False)
    # In float64 the unit cube names every design of the grid exactly.
    assert info["evaluation"].design == env.task.reference == info["best_design"]
    assert (observation["margins"] >= 0).all() and observation["measured"].all()


# --- meaning of actions and observations --------------------------------------------------------


def test_action_is_the_unit_cube_stretched_to_minus_one_to_one(env: SizingEnv) -> None:
    env.reset(seed=0)
    n = len(env.task.space)
    *_, info = env.step(np.full(n, -1.0))
    assert list(info["evaluation"].design.values()) == [p.low for p in env.task.space]
    observation, *_, info = env.step(np.full(n, 1.0))
    assert list(info["evaluation"].design.values()) == [p.high for p in env.task.space]
    assert (observation["design"] == 1.0).all()


def test_finite_actions_are_clipped(env: SizingEnv) -> None:
    env.reset(seed=0)
    n = len(env.task.space)
    designs = [env.step(np.full(n, a))[4]["evaluation"].design for a in (1.0, 7.5)]
    assert designs[0] == designs[1]


def test_before_the_first_turn_nothing_is_measured(env: SizingEnv) -> None:
    observation, info = env.reset(seed=0)
    assert not observation["design"].any() and not observation["measured"].any()
    assert (observation["margins"] == -MARGIN_LIMIT).all()
    assert observation["best_score"][0] == 0.0 and observation["remaining"][0] == 1.0
    assert "evaluation" not in info and info["remaining_budget"] == math.inf


def test_targets_of_one_episode(env: SizingEnv) -> None:
    fixed = env.task.specs.targets
    action = reference_action(env)
    harder = {"ugbw": 2.0 * fixed["ugbw"], "power": np.float32(0.5) * np.float32(fixed["power"])}
    observation, info = env.reset(options={"specs": harder})
    where = {m: i for i, m in enumerate(env.task.specs.metrics)}
    assert info["targets"]["ugbw"] == 2.0 * fixed["ugbw"] and info["targets"]["pm"] == fixed["pm"]
    assert observation["targets"][where["ugbw"]] == pytest.approx(math.log(2.0))
    assert observation["targets"][where["power"]] == pytest.approx(math.log(2.0))
    assert observation["targets"][where["pm"]] == 0.0
    observation, reward, terminated, *_ = env.step(action)
    assert reward < 1.0 and not terminated
    shift = observation["metrics"] - observation["margins"]
    assert shift == pytest.approx(observation["targets"], abs=1e-5)
    # The next episode is the fixed one again, and the same design now meets every spec.
    observation, info = env.reset()
    assert info["targets"] == fixed and not observation["targets"].any()
    assert env.step(action)[1] == 1.0


def test_targets_of_every_episode() -> None:
    env = SizingEnv(SMALL, pdk="generic", specs={"pm": 45.0})
    for _ in range(2):
        observation, info = env.reset(options={"specs": {"gain": 20.0}})
        assert info["targets"]["pm"] == 45.0 and info["targets"]["gain"] == 20.0
        assert observation["targets"].min() < 0


def test_a_task_brings_its_pdk_and_targets() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic", specs={"pm": 45.0})
    env = SizingEnv(task)
    observation, info = env.reset()
    assert env.task.pdk_name == "generic" and info["targets"]["pm"] == 45.0
    assert observation["targets"][env.task.specs.metrics.index("pm")] == pytest.approx(-0.5)


# --- episodes -----------------------------------------------------------------------------------


def test_feasible_need_not_end_the_episode() -> None:
    env = SizingEnv(SMALL, pdk="generic", stop_when_feasible=False, max_turns=2)
    env.reset(seed=0)
    assert env.step(reference_action(env))[1:4] == (1.0, False, False)
    observation, _, terminated, truncated, info = env.step(-np.ones(len(env.task.space)))
    assert (terminated, truncated) == (False, True)
    assert observation["best_score"][0] == 1.0 and info["best_design"] == env.task.reference


def test_the_turn_that_uses_up_the_budget_truncates() -> None:
    env = SizingEnv(SMALL, pdk="generic", budget=3, stop_when_feasible=False)
    env.reset(seed=0)
    zero = np.zeros(len(env.task.space))
    ends = [env.step(zero)[3] for _ in range(3)]
    assert ends == [False, False, True] and env.session.meter.used == 3
    with pytest.raises(ResetNeeded, match="over"):
        env.step(zero)
    _, info = env.reset()  # A new episode costs nothing, but has nothing to spend either.
    assert info["remaining_budget"] == 0
    with pytest.raises(acs_gym.BudgetExhausted, match="budget of 3"):
        env.step(zero)
    assert env.session.meter.used == 3


def test_a_given_session_is_the_meter_and_stays_open() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    with task.session(budget=5) as session:
        env = SizingEnv(SMALL, pdk="generic", session=session)
        env.reset(seed=0)
        *_, info = env.step(np.zeros(len(task.space)))
        assert session.remaining == 4 == info["remaining_budget"]
        env.close()
        session.simulate(task.space.from_unit([0.5] * len(task.space)))
        with pytest.raises(ValueError, match="either a session"):
            SizingEnv(SMALL, pdk="generic", session=session, budget=5)
        with pytest.raises(ValueError, match="the session is about ACS-OTA5T-v0@generic:tt"):
            SizingEnv("ACS-OpAmp-v0", pdk="generic", session=session)


def test_same_seed_and_actions_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        env = SizingEnv(SMALL, pdk="generic", max_turns=4)
        env.action_space.seed(5)
        steps = [env.reset(seed=5)]
        steps += [env.step(env.action_space.sample()) for _ in range(4)]  # type: ignore[misc]
        runs.append([(s[0]["margins"].tobytes(), s[-1].get("evaluation")) for s in steps])
    assert runs[0] == runs[1]


def test_what_is_handed_out_belongs_to_the_caller(env: SizingEnv) -> None:
    env.reset(seed=0)
    observation, *_, info = env.step(np.zeros(len(env.task.space)))
    before = env.snapshot()
    observation["design"][:] = 9.0
    info["evaluation"].metrics.clear()
    info["evaluation"].design.clear()
    info["best_design"].clear()
    info["targets"].clear()
    env.history[0].metrics.clear()  # type: ignore[attr-defined]
    assert env.snapshot() == before


def test_vectorised() -> None:
    envs = gymnasium.make_vec(SMALL, num_envs=2, vectorization_mode="sync", pdk="generic")
    envs.reset(seed=0)
    envs.action_space.seed(0)
    observations, rewards, *_, infos = envs.step(envs.action_space.sample())
    assert rewards.shape == (2,) and observations["design"].shape[0] == 2
    assert [e.score for e in infos["evaluation"]] == list(rewards)
    envs.close()


# --- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("twice", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_in_mid_episode_goes_on_alike(twice: object) -> None:
    env = gymnasium.make(SMALL, pdk="generic", max_turns=5)
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (3, len(env.unwrapped.task.space))).astype(np.float32)  # type: ignore[attr-defined]
    env.step(actions[0])
    twin = twice(env)  # type: ignore[operator]
    for action in actions[1:]:
        ours, theirs = env.step(action), twin.step(action)
        assert ours[4] == theirs[4] and ours[1:4] == theirs[1:4]
        assert all((ours[0][k] == theirs[0][k]).all() for k in ours[0])
    assert env.unwrapped.np_random.random() == twin.unwrapped.np_random.random()
    env.close()
    twin.step(actions[0])  # Its own session, when there is no meter to share.


def test_a_copy_makes_no_budget() -> None:
    env = SizingEnv(SMALL, pdk="generic", budget=3)
    env.reset(seed=0)
    zero = np.zeros(len(env.task.space))
    env.step(zero)
    twin, stored = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    twin.step(zero)
    assert env.session.meter.used == 2 and env.session is twin.session
    assert stored.session.meter.used == 1 and stored.session.remaining == 2


def test_a_given_session_does_not_hinder_pickling() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    with acs_gym.WorkerPool(1) as pool, task.session(budget=4, simulator=pool) as session:
        env = gymnasium.make(SMALL, pdk="generic", session=session)
        env.reset(seed=0)
        env.step(np.zeros(len(task.space), np.float32))
        stored = pickle.loads(pickle.dumps(env))
        assert stored.unwrapped.session.meter.used == 1
        stored.step(np.zeros(len(task.space), np.float32))
        assert session.meter.used == 1


# --- wrong use ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.full(8, np.nan), "w_pair is nan"),
        (np.array([0.0] * 7 + [np.inf]), "i_bias is inf"),
        (np.zeros(7), r"shape \(7,\).*8 finite numbers"),
        (np.zeros((1, 8)), r"shape \(1, 8\)"),
        (0.5, r"shape \(\)"),
        (None, "w_pair|shape"),
        (["a"] * 8, "8 finite numbers"),
    ],
)
def test_an_action_that_is_none_is_refused_and_free(action: object, said: str) -> None:
    env = SizingEnv(SMALL, pdk="generic", budget=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=said):
        env.step(action)  # type: ignore[arg-type]
    assert env.session.meter.used == 0 and env.snapshot().turn == 0


def test_stepping_outside_an_episode(env: SizingEnv) -> None:
    zero = np.zeros(len(env.task.space))
    for call in (lambda: env.step(zero), env.snapshot):
        with pytest.raises(ResetNeeded, match="reset"):
            call()
    env.reset(seed=0)
    env.step(reference_action(env))
    with pytest.raises(ResetNeeded, match="over"):
        env.step(zero)


def test_closing_twice_and_using_it_after(env: SizingEnv) -> None:
    env.reset(seed=0)
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step(np.zeros(8))):
        with pytest.raises(ClosedEnvironmentError, match="closed"):
            call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"spec": {}}, ValueError, "did you mean specs"),
        ({"specs": {"ugwb": 1e6}}, acs_gym.InvalidSpec, "did you mean ugbw"),
        ({"specs": {"ugbw": "20M"}}, acs_gym.InvalidSpec, "not a number"),
        ({"specs": {"ugbw": math.nan}}, acs_gym.InvalidSpec, "not finite"),
        ({"specs": {"ugbw": -1.0}}, acs_gym.InvalidSpec, "must be positive"),
        ({"specs": 3}, acs_gym.InvalidSpec, "got int"),
    ],
)
def test_wrong_options_change_nothing(
    env: SizingEnv, options: dict[str, object], error: type[Exception], said: str
) -> None:
    env.reset(seed=0)
    env.step(np.zeros(len(env.task.space)))
    before = env.snapshot()
    with pytest.raises(error, match=said):
        env.reset(seed=1, options=options)
    assert env.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"max_turns": 0}, ValueError, "max_turns"),
        ({"max_turns": 2.0}, ValueError, "max_turns"),
        ({"render_mode": "human"}, ValueError, "ansi, rgb_array"),
        ({"budget": -1}, ValueError, "budget"),
        ({"pdk": "sky13"}, acs_gym.PdkNotFound, "did you mean sky130"),
        ({"tier": "pvt9"}, ValueError, "tier"),
        ({"specs": {"gian": 1}}, acs_gym.InvalidSpec, "did you mean gain"),
        ({"task": "opmp"}, acs_gym.TaskNotFound, "did you mean"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        SizingEnv(**{"task": SMALL, "pdk": "generic", **arguments})  # type: ignore[arg-type]


def test_a_task_on_another_pdk_than_asked_for() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    assert SizingEnv(task).task.pdk_name == "generic"
    with pytest.raises(acs_gym.PdkNotFound):
        SizingEnv(SMALL, pdk="none")
