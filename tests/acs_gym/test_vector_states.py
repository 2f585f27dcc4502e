"""States of a batch of episodes, and what wrong use of it says: it changes and charges nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

import acs_gym
from acs_gym.envs.snapshot import EnvState, InvalidState
from acs_gym.envs.vector import SizingVectorEnv
from tests.acs_gym.test_vector import N, assert_same, make, one_env, started, zeros


@pytest.fixture
def envs() -> Iterator[SizingVectorEnv]:
    made = started()
    yield made
    made.close()


# --- states -------------------------------------------------------------------------------------


def test_going_back_to_states(envs: SizingVectorEnv) -> None:
    envs.step(zeros())
    states = envs.snapshot()
    written = json.dumps([s.to_json() for s in states], allow_nan=False)
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 3, N)).astype(np.float32)
    expected = tuple(envs.step(a) for a in actions)
    numbers = [r.random() for r in envs.np_random]
    read = [EnvState.from_json(data) for data in json.loads(written)]
    for target, given in ((envs, states), (make(), read)):
        observations, infos = target.restore(given)
        assert observations in target.observation_space
        assert infos["turn"].tolist() == [1, 1, 1]
        assert target.snapshot() == states
        assert_same(tuple(target.step(a) for a in actions), expected)
        assert [r.random() for r in target.np_random] == numbers
        assert target.np_random_seed == (-1, -1, -1)


def test_states_go_to_and_from_single_environments(envs: SizingVectorEnv) -> None:
    envs.step(zeros())
    one = one_env()
    one.restore(envs.snapshot()[1])
    one.step(zeros(1)[0] + 0.5)
    envs.restore([one.snapshot()] * 3)  # A group: several continuations of the same history.
    envs.step(np.stack([np.full(N, a) for a in (-0.5, 0.0, 0.5)]))
    histories = [state.history for state in envs.snapshot()]
    assert all(history[:2] == one.history for history in histories)
    assert histories[0][2] != histories[1][2] != histories[2][2]


def test_restoring_gives_no_budget_back() -> None:
    envs = started(2, budget=4)
    states = envs.snapshot()
    for _ in range(2):
        envs.step(zeros(2))
        envs.restore(states)
    with pytest.raises(acs_gym.BudgetExhausted):
        envs.step(zeros(2))


def test_an_episode_that_is_over_stays_over() -> None:
    envs = started(2, max_turns=1)
    envs.step(zeros(2))
    states = envs.snapshot()
    assert all(s.truncated for s in states)
    again = make(2, max_turns=1)
    again.restore(states)
    *_, infos = again.step(np.full((2, N), np.nan))  # Whose actions nobody looks at.
    assert infos["turn"].tolist() == [0, 0]
    other = make(2, max_turns=1, autoreset_mode="SameStep")
    other.restore(states)
    with pytest.raises(ResetNeeded, match="sub-environment 0, 1"):
        other.step(zeros(2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[:2], "list of 3 EnvState, got 2"),
        (lambda s: s[0], "list of 3 EnvState, got EnvState"),
        (lambda s: [s[0], s[1], {}], "sub-environment 2: restore takes an EnvState, got dict"),
        (lambda s: [s[0], started(max_turns=9).snapshot()[0], s[2]], "sub-environment 1: .*=9"),
    ],
)
def test_states_of_something_else_are_refused(
    envs: SizingVectorEnv, change: Any, said: str
) -> None:
    before = envs.snapshot()
    with pytest.raises(InvalidState, match=said):
        envs.restore(change(before))
    assert envs.snapshot() == before


# --- wrong use ----------------------------------------------------------------------------------


def spoilt(value: object) -> Any:
    rows: list[Any] = list(zeros())
    rows[1] = value
    return rows


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (np.where(np.arange(3)[:, None] == 2, np.nan, zeros()), "sub-environment 2: w_pair is nan"),
        (spoilt(np.full(N, np.inf)), "sub-environment 1: w_pair is inf"),
        (spoilt(np.zeros(7)), r"sub-environment 1: action has shape \(7,\)"),
        (spoilt(None), "sub-environment 1: "),
        (np.zeros((3, 7)), "sub-environment 0: action has shape"),
        (np.zeros(3), "sub-environment 0: action has shape"),
        (zeros(2), r"2 actions for 3 sub-environments; step takes an array of shape \(3, 8\)"),
        (None, r"shape \(3, 8\), got NoneType"),
    ],
)
def test_actions_that_are_none_are_refused_and_free(actions: Any, said: str) -> None:
    envs = started(3, budget=6)
    before = envs.snapshot()
    with pytest.raises(ValueError, match=said):
        envs.step(actions)
    assert envs.session.meter.used == 0 and envs.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"seed": [1, 2]}, ValueError, "3 sub-environments need as many seeds, got 2"),
        ({"seed": "7"}, TypeError, "got str"),
        ({"seed": -1}, gymnasium.error.Error, "greater or equal to zero"),
        ({"options": {"spec": {}}}, ValueError, "did you mean specs"),
        ({"options": {"specs": {"ugwb": 1e6}}}, acs_gym.InvalidSpec, "did you mean ugbw"),
        ({"options": {"reset_mask": [True] * 3}}, TypeError, "array of bool.*got list"),
        ({"options": {"reset_mask": np.ones(3)}}, TypeError, "got float64"),
        ({"options": {"reset_mask": np.ones(2, bool)}}, ValueError, r"shape \(3,\)"),
        ({"options": {"reset_mask": np.zeros(3, bool)}}, ValueError, "not all False"),
    ],
)
def test_a_wrong_reset_changes_nothing(
    envs: SizingVectorEnv, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    envs.step(zeros())
    before = envs.snapshot()
    with pytest.raises(error, match=said):
        envs.reset(**arguments)
    assert envs.snapshot() == before


def test_a_reset_leaves_its_options_alone(envs: SizingVectorEnv) -> None:
    options = {"reset_mask": np.array([True, False, False])}
    _, infos = envs.reset(options=options)
    assert list(options) == ["reset_mask"] and infos["_turn"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"num_envs": 2.0}, "num_envs"),
        ({"autoreset_mode": "next"}, "NextStep, SameStep, Disabled"),
        ({"max_turns": 0}, "max_turns"),
        ({"render_mode": "human"}, "ansi, rgb_array"),
        ({"budget": -1}, "budget"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**{"num_envs": 2, **arguments})


def test_using_it_before_the_first_reset_or_after_closing() -> None:
    envs = make()
    some = np.array([True, False, False])
    for call in (
        lambda: envs.step(zeros()),
        envs.snapshot,
        lambda: envs.reset(options={"reset_mask": some}),
    ):
        with pytest.raises(ResetNeeded, match="call reset"):
            call()  # type: ignore[no-untyped-call]
    _, infos = envs.reset()
    assert infos["remaining_budget"].tolist() == [math.inf] * 3
    envs.close()
    envs.close()
    for call in (envs.reset, lambda: envs.step(zeros()), lambda: envs.restore([])):
        with pytest.raises(ClosedEnvironmentError, match="closed"):
            call()
