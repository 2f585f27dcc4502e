"""How errors are worded."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from acs_gym.wording import closest, did_you_mean, first_problem


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int


class Outer(BaseModel):
    inner: Inner


def problem_of(data: object, whole: str = ""):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return first_problem(caught.value, whole)


def test_the_nearest_name_is_asked_for_in_the_callers_words():
    assert did_you_mean("w_pairs", ["l_pair", "w_pair"]) == "did you mean w_pair? "
    assert did_you_mean("w_pairs", {"w_pair": 1}, "; write {!r}") == "; write 'w_pair'"


def test_of_what_is_like_nothing_nothing_is_said():
    assert did_you_mean("x", ["w_pair"]) == "" and closest(None, ["w_pair"]) is None
    assert closest("w_pair" + "r" * 10**6, ["w_pair"]) is None


def test_the_first_problem_is_a_line_with_its_place():
    problem = problem_of({"inner": {"count": "many"}})
    assert (problem.place, problem.kind) == ("inner.count", "int_parsing")
    assert str(problem).startswith("inner.count: Input should be a valid integer")
    assert problem_of({"inner": {"count": 1, "cuont": 2}}).kind == "extra_forbidden"


def test_what_is_wrong_as_a_whole_has_the_place_that_the_caller_names():
    assert str(problem_of(3, "file")).startswith("file: Input should be a valid dictionary")
    assert str(problem_of(3)).startswith("Input should be")
