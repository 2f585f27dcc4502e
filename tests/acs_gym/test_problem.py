"""Problems and the work on them: what frameworks of language models are given."""

from __future__ import annotations

import json

import pytest

import acs_gym
from acs_gym.tools.problem import (
    SPLITS,
    InvalidProblem,
    Problem,
    Work,
    circuits_of,
    problems,
    solution,
)

OTA = Problem("ACS-OTA5T-v0", "generic", 4)


def of(split, number=3, **kwargs):
    return problems(split, number, tasks=["ACS-OTA5T-v0"], pdk="generic", **kwargs)


def test_splits_ask_for_different_targets_and_the_same_seed_for_the_same():
    train, held_out = of("train"), of("held-out-targets")
    assert train == of("train") and train != of("train", seed=1)
    assert not {p.targets for p in train} & {p.targets for p in held_out}
    assert set(circuits_of("train", "generic")) <= set(acs_gym.task_ids())


def test_what_a_split_lacks_is_said():
    with pytest.raises(ValueError, match=f"use one of: {', '.join(SPLITS)}"):
        problems("test")  # type: ignore[arg-type]


def test_a_problem_survives_its_line():
    problem = Problem("My-Ä\n-v0", "generic", 7, (("ugbw", 2.1e7), ("pm", 60.1)))
    assert Problem.from_json(problem.to_json()) == problem and "\n" not in problem.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": "x", "budget": 0}', '{"colour": 1}'])
def test_what_is_no_problem_is_refused(text):
    with pytest.raises(InvalidProblem, match=r"no problem|budget is"):
        Problem.from_json(text)


def test_improvements_add_up_to_the_best_score_whatever_is_restored(in_process):
    (problem,) = of("train", 1, budget=4)
    work = Work(problem, simulator=in_process)
    middle = work.task.space.from_unit([0.5] * len(work.task.space))
    first = work.call("simulate", {"designs": [middle]})
    state = json.loads(work.snapshot())["state"]
    second = work.call("simulate", {"designs": [solution(problem)]})
    assert 0 < first.improvement < 1 and second.done and work.score == 1
    assert json.loads(work.restore(state)) == {"state": state, "designs": 1, "simulations_left": 2}
    third = work.call("simulate", {"designs": [solution(problem)]})
    assert first.improvement + second.improvement + third.improvement == pytest.approx(1)
    assert len(work.session.history) == 2 and work.session.meter.used == 3
    assert "no state 'x'; kept: state-1" in work.restore("x")


def test_after_finish_only_history_is_answered(in_process):
    work = Work(OTA, simulator=in_process)
    assert work.call("finish", {"summary": "none"}).done
    assert "the work was finished" in work.call("simulate", {"designs": [{}]}).answer.refusal
    assert not work.call("history", {}).answer.refused


def test_the_fixed_targets_are_met_by_the_reference():
    assert solution(OTA) == OTA.make().reference
