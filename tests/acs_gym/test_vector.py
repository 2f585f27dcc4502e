"""Many episodes as one batch give what as many single environments give, digit for digit."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import acs_gym
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.vector import SizingVectorEnv
from acs_gym.session import available_cores

SMALL, N = "ACS-OTA5T-v0", 8
MODES = list(AutoresetMode)


def make(num_envs: int = 3, **arguments: Any) -> SizingVectorEnv:
    given = {"max_turns": 3, "stop_when_feasible": False, "workers": 2, **arguments}
    return SizingVectorEnv(SMALL, num_envs, pdk="generic", **given)


def started(num_envs: int = 3, **arguments: Any) -> SizingVectorEnv:
    envs = make(num_envs, **arguments)
    envs.reset(seed=7)
    return envs


def one_env(**arguments: Any) -> SizingEnv:
    given = {"max_turns": 3, "stop_when_feasible": False, **arguments}
    return SizingEnv(SMALL, pdk="generic", **given)


def zeros(num_envs: int = 3) -> np.ndarray:
    return np.zeros((num_envs, N), np.float32)


def reference_action(task: acs_gym.Task) -> np.ndarray:
    assert task.reference is not None
    return 2.0 * task.space.to_unit(task.reference) - 1.0


def assert_same(ours: Any, theirs: Any, where: str = "it") -> None:
    """Equal in type, shape and every bit."""
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            assert_same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(ours, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), where
        if ours.dtype == object:
            for i, pair in enumerate(zip(ours, theirs, strict=True)):
                assert_same(*pair, f"{where}[{i}]")
        else:
            assert ours.tobytes() == theirs.tobytes(), where
    elif isinstance(ours, tuple):
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    else:
        assert ours == theirs, where


# --- equal to single environments ---------------------------------------------------------------


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("task_id", ["ACS-OTA5T-v0", "ACS-Comparator-v0"])
def test_equals_gymnasiums_own_vector_of_single_environments(
    task_id: str, mode: AutoresetMode
) -> None:
    singles = [lambda: gymnasium.make(task_id, pdk="generic", max_turns=3)] * 4
    theirs = SyncVectorEnv(singles, autoreset_mode=mode)
    ours = SizingVectorEnv(task_id, 4, pdk="generic", max_turns=3, autoreset_mode=mode, workers=2)
    both: list[gymnasium.vector.VectorEnv[Any, Any, Any]] = [ours, theirs]
    assert_same(ours.reset(seed=5), theirs.reset(seed=5))
    ours.action_space.seed(5)
    reference = reference_action(ours.task)
    ends = 0
    for turn in range(8):
        actions = ours.action_space.sample()
        if turn == 1:  # One sub-environment is done early, so that the others are out of step.
            actions = actions.astype(np.float64)  # In which the reference is named exactly.
            actions[2] = reference
        a, b = (envs.step(actions.copy()) for envs in both)
        assert_same(a, b, f"step {turn}")
        assert a[0] in ours.observation_space
        assert not (turn == 1 and not a[2][2])
        ends += int((a[2] | a[3]).sum())
        if turn == 4:  # In mid-episode for some: new targets for those chosen, all others go on.
            spec = ours.task.specs.specs[0]
            asked = {
                "specs": {spec.metric: 0.9 * spec.target},
                "reset_mask": np.array([True, False, True, False]),
            }
            a, b = (envs.reset(seed=[9, 9, 1, 1], options=dict(asked)) for envs in both)
            assert_same(a, b, "reset")
    assert ends >= 8
    assert [r.random() for r in ours.np_random] == [r.random() for r in theirs.np_random]
    assert ours.np_random_seed == theirs.np_random_seed
    theirs.close()
    ours.close()


def test_without_autoreset_the_caller_resets() -> None:
    singles = [lambda: one_env(max_turns=2)] * 2
    theirs = SyncVectorEnv(singles, autoreset_mode=AutoresetMode.DISABLED)
    ours = make(2, max_turns=2, autoreset_mode="Disabled", budget=7)
    both: list[gymnasium.vector.VectorEnv[Any, Any, Any]] = [ours, theirs]
    ours.reset(seed=0)
    theirs.reset(seed=0)
    for _ in range(2):
        a, b = (envs.step(zeros(2)) for envs in both)
        assert_same(a[:4], b[:4])
    with pytest.raises(ResetNeeded, match=r"sub-environment 0, 1; .*reset_mask"):
        ours.step(zeros(2))
    ours.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="sub-environment 1; "):
        ours.step(zeros(2))
    ours.reset(options={"reset_mask": np.array([False, True])})
    theirs.reset()
    assert ours.session.meter.used == 4
    assert_same(ours.step(zeros(2))[:3], theirs.step(zeros(2))[:3])


def test_one_sub_environment_is_a_single_environment() -> None:
    ours, theirs = make(1, max_turns=9, budget=2), one_env(max_turns=9, budget=2)
    ours.reset(seed=3)
    theirs.reset(seed=3)
    for _ in range(2):
        observation, rewards, *flags, infos = ours.step(zeros(1))
        single, reward, terminated, truncated, info = theirs.step(zeros(1)[0])
        assert_same({k: v[0] for k, v in observation.items()}, single)
        assert (rewards[0], [f[0] for f in flags]) == (reward, [terminated, truncated])
        assert infos["evaluation"][0] == info["evaluation"]
        assert infos["remaining_budget"][0] == info["remaining_budget"]


# --- how it is made -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "acs_gym:"])
def test_make_vec_makes_it(prefix: str) -> None:
    envs = gymnasium.make_vec(f"{prefix}{SMALL}", num_envs=5, pdk="generic")
    assert isinstance(envs, SizingVectorEnv) and envs.num_envs == 5
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert envs.session.workers == available_cores()
    assert envs.spec is not None and envs.spec.id == SMALL
    again = gymnasium.make_vec(envs.spec)
    assert isinstance(again, SizingVectorEnv) and again.num_envs == 5
    assert again.task == envs.task


def test_make_vec_still_makes_gymnasiums_own() -> None:
    arguments = {"num_envs": 2, "pdk": "generic", "max_turns": 2}
    ours = gymnasium.make_vec(SMALL, **arguments)  # type: ignore[arg-type]
    sync = gymnasium.make_vec(SMALL, vectorization_mode="sync", **arguments)  # type: ignore[arg-type]
    assert isinstance(sync, SyncVectorEnv)
    assert_same(ours.reset(seed=1), sync.reset(seed=1))
    assert_same(ours.step(zeros(2)), sync.step(zeros(2)))


def test_gymnasiums_wrappers_fit() -> None:
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(started(2))  # type: ignore[var-annotated]
    envs.reset(seed=0)
    infos = [envs.step(zeros(2))[4] for _ in range(3)]
    assert infos[-1]["episode"]["l"].tolist() == [3, 3] and "episode" not in infos[0]


def test_spaces(task: acs_gym.Task) -> None:
    envs, one = SizingVectorEnv(task, 3), SizingEnv(task)
    assert envs.single_action_space == one.action_space
    assert envs.single_observation_space == one.observation_space
    assert envs.action_space.shape == (3, len(task.space))
    assert envs.observation_space["margins"].shape == (3, len(task.specs))
    assert envs.observation_space.sample() in envs.observation_space


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_may_be_given_by_its_value(mode: AutoresetMode) -> None:
    for given in (mode, mode.value):
        assert make(autoreset_mode=given).metadata["autoreset_mode"] is mode
    assert "autoreset_mode" not in SizingVectorEnv.metadata


# --- episodes -----------------------------------------------------------------------------------


def test_same_seed_and_actions_give_the_same_bits() -> None:
    runs = []
    for workers in (1, 2):
        envs = make(4, workers=workers)
        envs.action_space.seed(2)
        steps = [envs.reset(seed=[4, 3, 2, 1])]
        steps += [envs.step(envs.action_space.sample()) for _ in range(5)]  # type: ignore[misc]
        runs.append((tuple(steps), [r.random() for r in envs.np_random]))
    assert_same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1] == [np.random.default_rng(s).random() for s in (4, 3, 2, 1)]


def test_a_step_is_one_batch() -> None:
    batches: list[int] = []
    with acs_gym.Session(acs_gym.make_task(SMALL, pdk="generic"), admit=batches.append) as session:
        envs = started(4, session=session)
        for _ in range(5):
            envs.step(envs.action_space.sample())
        assert batches == [4, 4, 4, 4]  # The fourth step reset every episode.
        envs.close()
        session.simulate([])  # Still open.


def test_an_unmetered_session_does_not_remember_for_ever() -> None:
    envs = make(2, max_turns=2)
    envs.reset(seed=0)
    for _ in range(12):
        envs.step(zeros(2))
        assert len(envs.session.history) <= 4


def test_targets_of_all_episodes_until_they_are_reset() -> None:
    envs = make(2, max_turns=1, autoreset_mode="SameStep", specs={"pm": 45.0})
    _, infos = envs.reset(options={"specs": {"gain": 20.0}})
    assert infos["targets"]["gain"].tolist() == [20.0, 20.0]
    *_, infos = envs.step(zeros(2))
    assert infos["final_info"]["targets"]["gain"].tolist() == [20.0, 20.0]
    assert infos["targets"]["gain"].tolist() == [envs.task.specs.targets["gain"]] * 2
    assert infos["targets"]["pm"].tolist() == [45.0, 45.0]


def test_rendering() -> None:
    envs = started(2, render_mode="ansi", budget=2)
    envs.step(zeros(2))
    one = one_env(render_mode="ansi")
    one.reset()
    one.step(zeros(1)[0])
    assert envs.render() == (one.render(),) * 2
    drawn = started(2, render_mode="rgb_array", budget=2)
    empty = drawn.render()
    drawn.step(np.stack([zeros(1)[0], zeros(1)[0] + 1]))
    frames = drawn.render()
    assert frames is not None and empty is not None and len(frames) == 2
    assert (frames[0] != frames[1]).any() and (frames[0] != empty[0]).any()
    assert drawn.session.meter.used == 2
    with pytest.raises(ResetNeeded):
        make(render_mode="ansi").render()


# --- budget -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_budget_is_shared_and_the_step_that_uses_it_up_truncates(mode: AutoresetMode) -> None:
    envs = started(3, budget=8, max_turns=9, autoreset_mode=mode)
    *_, truncated, infos = envs.step(zeros())
    assert not truncated.any() and infos["remaining_budget"].tolist() == [5.0] * 3
    *_, truncated, infos = envs.step(zeros())  # Two designs are left, a step needs three.
    assert truncated.all() and infos["remaining_budget"].tolist() == [2.0] * 3
    if mode is AutoresetMode.NEXT_STEP:
        _, rewards, terminated, truncated, infos = envs.step(zeros())  # Resets, which is free.
        assert not rewards.any() and not terminated.any() and not truncated.any()
    elif mode is AutoresetMode.DISABLED:
        envs.reset()
    before = envs.snapshot()
    with pytest.raises(acs_gym.BudgetExhausted, match=r"simulates 3 .*budget of 8 .*covers 2 more"):
        envs.step(zeros())
    assert envs.session.meter.used == 6 and envs.snapshot() == before
    assert {state.turn for state in before} == {0}


def test_meeting_every_spec_with_the_last_of_the_budget_is_no_truncation() -> None:
    envs = started(2, budget=2, stop_when_feasible=True)
    actions = np.stack([reference_action(envs.task), np.zeros(N)])
    _, rewards, terminated, truncated, _ = envs.step(actions)
    assert rewards[0] == 1.0
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, True])


def test_a_sub_environment_that_only_resets_costs_nothing() -> None:
    envs = started(2, budget=5, stop_when_feasible=True)
    envs.step(np.stack([reference_action(envs.task), np.zeros(N)]))
    _, rewards, *_, infos = envs.step(zeros(2))
    assert envs.session.meter.used == 3 and rewards[0] == 0.0
    assert infos["turn"].tolist() == [0, 2]
    assert infos["_evaluation"].tolist() == [False, True] and infos["evaluation"][0] is None


def test_a_budget_smaller_than_a_batch_buys_nothing() -> None:
    envs = started(3, budget=2)
    with pytest.raises(acs_gym.BudgetExhausted, match="simulates 3"):
        envs.step(zeros())
    assert envs.session.meter.used == 0


def test_a_given_session_is_the_meter() -> None:
    task = acs_gym.make_task(SMALL, pdk="generic")
    with task.session(budget=6) as session:
        envs = gymnasium.make_vec(SMALL, num_envs=2, pdk="generic", session=session)
        envs.reset(seed=0)
        envs.step(zeros(2))
        assert session.remaining == 4
        envs.close()
        session.simulate(task.space.from_unit([0.5] * N))
        with pytest.raises(ValueError, match="either a session"):
            make(session=session, budget=5)


def test_a_copy_makes_no_budget() -> None:
    envs = started(2, budget=4)
    twin = copy.deepcopy(envs)
    twin.step(zeros(2))
    assert envs.session.meter.used == 2
    assert [s.turn for s in (*envs.snapshot(), *twin.snapshot())] == [0, 0, 1, 1]


def test_a_budget_counts_simulations_and_a_design_may_cost_several() -> None:
    cost = acs_gym.make_task(SMALL, pdk="generic", tier="mc2").cost
    assert cost == 2
    envs = started(2, tier="mc2", budget=4 * cost + 3)
    *_, truncated, infos = envs.step(zeros(2))
    assert not truncated.any() and infos["remaining_budget"].tolist() == [3.0, 3.0]
    assert envs.step(zeros(2))[3].all() and envs.session.meter.used == 4 * cost
