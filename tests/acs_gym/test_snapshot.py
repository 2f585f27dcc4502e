"""A state is all there is to an episode: from it every continuation is the same, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState, InvalidState

SMALL, N = "ACS-OTA5T-v0", 8
ACTION = st.lists(st.floats(-1, 1, width=32), min_size=N, max_size=N)

CONTINUE = """
import json, sys
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState
job = json.load(sys.stdin)
env = SizingEnv("ACS-OTA5T-v0", pdk="generic", max_turns=6, stop_when_feasible=False)
env.restore(EnvState.from_json(job["state"]))
for action in job["actions"]:
    env.step(action)
print(json.dumps([env.snapshot().to_json(), env.np_random.random()]))
"""


def make(**arguments: object) -> SizingEnv:
    given = {"max_turns": 6, "stop_when_feasible": False, **arguments}
    return SizingEnv(SMALL, pdk="generic", **given)  # type: ignore[arg-type]


def started(*, specs: dict[str, float] | None = None, **arguments: object) -> SizingEnv:
    env = make(**arguments)
    env.reset(seed=7, options=None if specs is None else {"specs": specs})
    return env


def trail(env: SizingEnv, actions: list[list[float]]) -> list[object]:
    """All that stepping gives, in a form where equal means identical."""
    seen: list[object] = []
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        arrays = {k: v.tobytes() for k, v in observation.items()}
        seen.append((arrays, reward, terminated, truncated, info))
    return [*seen, env.np_random.random()]


@settings(max_examples=12, deadline=None)
@given(
    before=st.lists(ACTION, max_size=3),
    after=st.lists(ACTION, min_size=1, max_size=3),
    ugbw=st.floats(1e6, 1e9),
)
def test_continuations_are_identical(
    before: list[list[float]], after: list[list[float]], ugbw: float
) -> None:
    env = started(specs={"ugbw": ugbw})
    trail(env, before)
    state = env.snapshot()
    written = json.dumps(state.to_json(), allow_nan=False)
    expected = trail(env, after)
    env.restore(state)
    assert trail(env, after) == expected
    for other in (EnvState.from_json(json.loads(written)), pickle.loads(pickle.dumps(state))):
        assert other == state
        fresh = make()
        fresh.restore(other)
        assert fresh.snapshot() == state
        assert trail(fresh, after) == expected


def test_another_process_continues_identically() -> None:
    rng = np.random.default_rng(2)
    actions = rng.uniform(-1, 1, (4, N)).tolist()
    env = started()
    trail(env, actions[:2])
    state = env.snapshot()
    job = json.dumps({"state": state.to_json(), "actions": actions[2:]})
    done = subprocess.run(
        [sys.executable, "-c", CONTINUE], input=job, capture_output=True, text=True, check=True
    )
    for action in actions[2:]:
        env.step(action)
    assert json.loads(done.stdout) == [env.snapshot().to_json(), env.np_random.random()]


def test_restoring_shows_the_same_observation_and_costs_nothing() -> None:
    env = started(budget=3)
    observation, *_, info = env.step(np.zeros(N))
    state = env.snapshot()
    env.step(np.ones(N))
    again, info_again = env.restore(state)
    assert all((again[k] == observation[k]).all() for k in observation)
    assert info_again == {**info, "remaining_budget": 1.0}
    assert env.session.meter.used == 2


def test_restoring_gives_no_budget_back() -> None:
    env = started(budget=3)
    env.step(np.zeros(N))
    state = env.snapshot()
    env.step(np.zeros(N))
    env.restore(state)
    *_, truncated, _ = env.step(np.zeros(N))
    assert truncated
    env.restore(state)
    with pytest.raises(acs_gym.BudgetExhausted):
        env.step(np.zeros(N))
    assert env.session.meter.used == 3


def test_the_end_of_an_episode_is_part_of_its_state() -> None:
    env = started(stop_when_feasible=True)
    assert env.task.reference is not None
    env.step(2.0 * env.task.space.to_unit(env.task.reference) - 1.0)
    state = env.snapshot()
    assert state.done and state.terminated and state.best == state.history[0]
    fresh = make(stop_when_feasible=True)
    fresh.restore(state)
    with pytest.raises(ResetNeeded, match="over"):
        fresh.step(np.zeros(N))


def test_a_state_shares_nothing_with_its_environment() -> None:
    env = started()
    env.step(np.zeros(N))
    state, kept = env.snapshot(), env.snapshot()
    state.history[0].metrics.clear()  # type: ignore[attr-defined]
    assert env.snapshot() == kept != state
    env.restore(kept)
    env.step(np.ones(N))
    assert kept.turn == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.history = ()  # type: ignore[misc]


def test_a_state_is_small() -> None:
    env = started()
    for _ in range(5):
        env.step(env.action_space.sample())
    assert len(pickle.dumps(env.snapshot())) < 10_000


def test_the_random_state_is_restored() -> None:
    env = started()
    state = env.snapshot()
    first = env.np_random.random(3).tolist()
    env.restore(state)
    assert env.np_random.random(3).tolist() == first


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"task": "ACS-OpAmp-v0"}, "the state is of ACS-OTA5T-v0 on generic"),
        ({"max_turns": 7}, "max_turns=6"),
        ({"stop_when_feasible": True}, "stop_when_feasible=False"),
    ],
)
def test_a_state_of_something_else_is_refused(other: dict[str, object], said: str) -> None:
    state = started().snapshot()
    arguments = {"task": SMALL, "max_turns": 6, "stop_when_feasible": False, **other}
    env = SizingEnv(pdk="generic", **arguments)  # type: ignore[arg-type]
    env.reset(seed=0)
    before = env.snapshot()
    with pytest.raises(InvalidState, match=said):
        env.restore(state)
    assert env.snapshot() == before


def test_a_state_from_another_pdk_is_refused() -> None:
    if not acs_gym.get_pdk("sky130").available():
        pytest.skip('sky130 models are not on this machine; run "acs-gym pdk install sky130"')
    other = SizingEnv(SMALL, pdk="sky130", max_turns=6, stop_when_feasible=False)
    with pytest.raises(InvalidState, match=r"on generic.*on sky130"):
        other.restore(started().snapshot())


def test_targets_may_differ_but_nothing_else_of_a_spec() -> None:
    env = started()
    state = env.snapshot()
    lenient = dataclasses.replace(state.specs.specs[0], tolerance=1e9)
    sheet = dataclasses.replace(state.specs, specs=(lenient, *state.specs.specs[1:]))
    with pytest.raises(InvalidState, match="more than targets"):
        env.restore(dataclasses.replace(state, specs=sheet))


def test_a_tampered_score_is_not_believed() -> None:
    env = started()
    env.step(np.zeros(N))
    state = env.snapshot()
    data = state.to_json()
    data["history"][0] |= {"score": 1.0, "feasible": True}
    assert EnvState.from_json(data) == state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "format 99"),
        ({"history": [{}]}, "no field"),
        ({"history": None}, "malformed"),
        ({"specs": [{"metric": "gain"}]}, "malformed"),
        ({"rng": {"bit_generator": "PCG64"}}, "PCG64"),
    ],
)
def test_a_malformed_state(change: dict[str, object], said: str) -> None:
    env = started()
    data = {**env.snapshot().to_json(), **change}
    with pytest.raises(InvalidState, match=said):
        env.restore(EnvState.from_json(data))


def test_a_missing_field_is_named() -> None:
    data = started().snapshot().to_json()
    del data["digest"]
    with pytest.raises(InvalidState, match="digest"):
        EnvState.from_json(data)


def test_an_impossible_design_in_the_history_is_refused() -> None:
    env = started()
    env.step(np.zeros(N))
    data = env.snapshot().to_json()
    data["history"][0]["design"]["w_pair"] = 1.0
    with pytest.raises(InvalidState, match=r"impossible design.*w_pair"):
        env.restore(EnvState.from_json(data))


def test_only_states_can_be_restored() -> None:
    with pytest.raises(InvalidState, match="got dict"):
        started().restore({})  # type: ignore[arg-type]
