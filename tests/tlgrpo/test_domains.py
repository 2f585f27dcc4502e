"""What can be trained on: problems, actions, reactions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator, shared_pool
from tlgrpo.config import ConfigError, DomainConfig
from tlgrpo.domain import State
from tlgrpo.domains import build_domain
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.domains.circuits import LEVELS, Circuits, circuit_problem, read_design
from tlgrpo.domains.levels import (
    from_level,
    read_assignments,
    signed_level,
    to_level,
    write_assignments,
)
from tlgrpo.tokens import WordCodec, word_tokenizer


@pytest.fixture(scope="module")
def circuits():
    return Circuits(["ACS-OTA5T-v0", "ACS-CommonSource-v0"], pdk="generic", workers=1)


@pytest.fixture(scope="module", params=["ballistics", "circuits"])
def some_domain(request, circuits):
    return Ballistics() if request.param == "ballistics" else circuits


def test_a_problem_is_a_pure_function_of_its_number(some_domain):
    for split in ("train", "held-out"):
        assert [some_domain.problem(k, split) for k in range(6)] == [
            some_domain.problem(k, split) for k in range(6)
        ]


def test_the_splits_share_no_problem(some_domain):
    train = {some_domain.problem(k, "train").key for k in range(200)}
    held_out = {some_domain.problem(k, "held-out").key for k in range(200)}
    assert len(train) > 100 and not train & held_out


def test_every_word_of_a_run_is_in_the_grammar(some_domain):
    codec = WordCodec(word_tokenizer(some_domain.grammar()))
    rng = np.random.default_rng(0)
    for k in range(6):
        problem = some_domain.problem(k, "train")
        codec.prompt(problem.prompt)
        action = some_domain.random_action(problem, rng)
        for text in (action, some_domain.vary(problem, action, rng), "nonsense"):
            (reaction,) = some_domain.evaluate([(State(problem), text)])
            codec.observation(reaction.observation)
            if text != "nonsense":
                assert codec.action(codec.prompt(text)) == text


def test_random_and_varied_actions_are_actions(some_domain):
    rng = np.random.default_rng(1)
    for k in range(4):
        problem = some_domain.problem(k, "train")
        action = some_domain.random_action(problem, rng)
        tries = [(State(problem), a) for a in (action, some_domain.vary(problem, action, rng))]
        assert all(o.valid for o in some_domain.evaluate(tries))


def test_reactions_are_in_order_and_do_not_depend_on_company(some_domain):
    rng = np.random.default_rng(2)
    problems = [some_domain.problem(k, "train") for k in range(4)]
    tries = [(State(p), some_domain.random_action(p, rng)) for p in problems]
    together = some_domain.evaluate(tries)
    assert together == [some_domain.evaluate([t])[0] for t in tries]
    assert all(0 <= o.score <= 1 and o.solved == (o.score == 1) for o in together)


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text):
    domain = Ballistics()
    (reaction,) = domain.evaluate([(State(domain.problem(0, "train")), text)])
    assert reaction.score == 0 or reaction.valid


@pytest.mark.parametrize(
    "text",
    ["", "angle =3", "angle =3 angle =4", "angle =3 speed =99", "angle 3 speed 4",
     "angle =3 speed =-1", "angle =3 speed =1.5", "angle =3 speed =٣", "angle =3 speed =4 angle"],
)  # fmt: skip
def test_what_is_no_action_is_none(text):
    assert read_assignments(text, ("angle", "speed"), 32) is None


def test_parameters_may_stand_in_any_order():
    assert read_assignments("b =2 a =1", ("a", "b"), 4) == {"b": 2, "a": 1}


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 31), min_size=1))
def test_written_assignments_read_back(levels):
    assert read_assignments(write_assignments(levels), tuple(levels), 32) == levels


@given(st.floats(0, 1), st.integers(2, 100))
def test_a_level_is_the_nearest(unit, count):
    assert abs(from_level(to_level(unit, count), count) - unit) <= 0.5 / count + 1e-12


@given(st.floats(-100, 100) | st.just(math.nan))
def test_a_signed_level_says_whether_a_spec_is_met(value):
    level = signed_level(value, 0.7, 16)
    assert -16 <= level <= 16 and (level >= 0) == (value >= 0)


def test_a_circuits_reaction_is_that_of_a_session(circuits):
    problem = circuits.problem(0, "train")
    task = circuits.task_of(problem)
    rng = np.random.default_rng(3)
    text = circuits.random_action(problem, rng)
    (reaction,) = circuits.evaluate([(State(problem), text)])
    with task.session(1) as session:
        evaluation = session.simulate(read_design(task, text))
    assert reaction.score == evaluation.score and reaction.solved == evaluation.feasible
    met = [float(w) >= 0 for w in reaction.observation.split() if w[0] in "+-"]
    assert met == [evaluation.margins[s.metric] >= 0 for s in task.specs]


class Counting(Simulator):
    """The shared pool, which loses its first `lost` jobs; counts what it is given."""

    def __init__(self, lost=0):
        self.jobs, self._lost = 0, lost

    def run(self, jobs):
        self.jobs += len(jobs)
        if self._lost:
            self._lost -= 1
            return [Outcome(Status.INFRA_ERROR, {}, "lost") for _ in jobs]
        return shared_pool(1).run(jobs)


def test_a_design_is_simulated_once_whatever_its_targets_unless_it_was_lost():
    counting = Counting(lost=1)
    domain = Circuits(["ACS-OTA5T-v0"], "generic", simulator=counting)
    problems = [domain.problem(k, "train") for k in range(2)]
    texts = [domain.random_action(problems[0], np.random.default_rng(k)) for k in range(2)]
    tries = [(State(p), t) for p in problems for t in texts]
    assert all(o.score == 0 for o in domain.evaluate(tries)) and counting.jobs == 2
    found = domain.evaluate(tries)
    assert counting.jobs == 4 and any(o.score > 0 for o in found)
    assert domain.evaluate(tries) == found and counting.jobs == 4
    assert Circuits(["ACS-OTA5T-v0"], "generic").evaluate(tries) == found


def test_levels_span_the_ranges(circuits):
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    low = read_design(task, write_assignments(dict.fromkeys(task.space.names, 0)))
    high = read_design(task, write_assignments(dict.fromkeys(task.space.names, LEVELS - 1)))
    for parameter in task.space:
        assert low[parameter.name] < parameter.low * 1.1 + 1
        assert parameter.to_unit(high[parameter.name]) > 0.95


def test_a_tasks_problem_names_its_targets():
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").with_specs({"ugbw": 68e6})
    words = circuit_problem(task).prompt.split()
    assert int(words[words.index("goal:ugbw") + 1]) > 0
    assert int(words[words.index("goal:gain") + 1]) == 0


@pytest.mark.parametrize(
    "config",
    [
        {"name": "moon"}, {"name": "no.such:thing"}, {"name": "tlgrpo.domains:nothing"},
        {"name": "circuits", "arguments": {"tasks": []}},
        {"name": "circuits", "arguments": {"tasks": "ACS-OTA5T-v0"}},
        {"name": "circuits", "arguments": {"nonsense": 1}},
    ],
)  # fmt: skip
def test_a_domain_that_is_none_is_explained(config):
    with pytest.raises(ConfigError, match="domain"):
        build_domain(DomainConfig(**config))
