"""One vocabulary for any circuit, and answers under a mask."""

from dataclasses import replace

import pytest
import torch

import acs_gym
from tlgrpo.config import PolicyConfig
from tlgrpo.domain import State
from tlgrpo.domains.circuit_words import parameter_words, spec_words
from tlgrpo.domains.conditions import Conditions
from tlgrpo.domains.sizing import (
    LEVELS,
    Sizing,
    grammar,
    problem_of,
    read_levels,
    tell,
    told_of,
    write_values,
)
from tlgrpo.learner import token_log_probs
from tlgrpo.packing import collate, pack
from tlgrpo.policy import build_policy
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.tokens import mask_of
from tlgrpo.tree import Episode, Node

OTA = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


@pytest.fixture(scope="module")
def domain():
    return Sizing(tasks=("ACS-OTA5T-v0", "ACS-OpAmp-v0"), pdks=("generic",), workers=1)


@pytest.fixture(scope="module")
def policy():
    return build_policy(PolicyConfig(layers=1, width=32, heads=2, kv_heads=1), grammar(), 0)


@pytest.mark.parametrize("name", acs_gym.task_ids())
def test_every_circuit_is_told_in_the_one_vocabulary(name):
    problem = Sizing(tasks=(name,), pdks=("generic",), workers=1).problem(0, "held-out")
    task = acs_gym.make_task(name, pdk="generic")
    words = problem.prompt.split()
    assert {*words} <= {*grammar()}
    assert len(words) <= 20 + 6 * (len(task.space) + len(task.specs)), "six words a line"
    described = parameter_words(task)
    assert len({*described}) == len(described)


def test_what_is_listed_is_found_by_its_number_in_prompt_answer_and_observation(domain):
    problem = domain.problem(0, "held-out")
    told, words = domain.told(problem), problem.prompt.split()
    for place, k in enumerate(told.parameters):
        at = words.index(f"p{place}")
        assert tuple(words[at - 5 : at]) == told.described[k]
    for place, k in enumerate(told.specs):
        at = words.index(f"s{place}")
        assert tuple(words[at - 5 : at]) == spec_words(tuple(told.task.specs)[k])
    count = len(told.parameters)
    assert write_values(range(count), "levels", ()).split()[:4] == ["p0", "=0", "p1", "=1"]
    margins = [float(k) for k in range(len(told.specs))]
    seen = told.observation(margins, best=False, solved=False).split()
    assert seen[:-1:2] == [f"s{k}" for k in range(len(told.specs))]


def test_a_circuit_of_more_parameters_than_there_are_numbers_is_refused():
    told = tell(OTA)
    with pytest.raises(ValueError, match=r"65 parameters, at most 64"):
        replace(told, parameters=tuple(range(65)))


def test_a_parameter_is_told_by_what_it_does():
    told = dict(zip(OTA.space.names, parameter_words(OTA), strict=True))
    assert told["w_pair"][:2] == ("role:pair", "w:n")
    assert told["l_load"][:2] == ("role:load", "l:p")
    assert told["m_tail"][:2] == ("role:tail", "m:n")
    assert told["i_bias"][:2] == ("role:reference", "i:-")


def test_the_order_told_is_the_order_answered(domain):
    one, two = (domain.problem(k, "train") for k in (0, 2))
    orders = {domain.told(p).parameters for p in (one, two)}
    assert len(orders) == 2
    for problem in (one, two):
        told = domain.told(problem)
        levels = [0] * len(told.parameters)
        levels[told.parameters.index(3)] = 63
        units = told.task.space.to_unit(told.design(levels))
        assert int(units.argmax()) == 3


def test_a_prompt_tells_the_conditions_of_its_process_and_of_the_problem(domain):
    def told(pdk, **factors):
        task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
        problem = problem_of(task, {"gain": 30.0}, "levels", conditions=Conditions(**factors))
        return problem.prompt.split()[:4]

    assert told("generic")[:3] == ["pdk:generic", "~6", "~5"]  # 1.8 V, 1 pF.
    assert told("generic", supply=1.1, load=2.0)[1:3] == ["~7", "~6"]
    assert told("gf180mcu")[1] == "~12"  # 3.3 V, which its folder has for that PDK alone.


def test_another_load_is_another_result(domain):
    problems = [
        problem_of(OTA, {"ugbw": 1e6}, "levels", conditions=Conditions(load=load))
        for load in (1, 4)
    ]
    middle = write_values([32] * len(OTA.space), "levels", ())
    own, loaded = domain.simulate([(State(p), middle) for p in problems])
    assert 2 < own.metrics["ugbw"] / loaded.metrics["ugbw"] < 5


@pytest.mark.parametrize("values", ["levels", "moves"])
def test_every_level_can_be_written_from_every_other(values):
    everything = list(range(LEVELS))
    for start in ([0] * LEVELS, [LEVELS - 1] * LEVELS):
        assert read_levels(write_values(everything, values, start), start) == everything
    assert read_levels("p0 by+9 p1 by-9", [60, 3]) == [63, 0], "no further than the range"
    for wrong in ("p0 by+9", "by+9 by+9", "p1 =3 p0 =1", "p0 =64 p1 =1"):
        assert read_levels(wrong, [60, 3]) is None


def test_moves_start_from_the_best_so_far_which_is_said():
    domain = Sizing(pdks=("generic",), values="moves", workers=1)
    state = State(domain.problem(0, "train"))
    count = len(domain.told(state.problem).parameters)
    still = [0] * count
    step, same = (write_values([by] * count, "moves", still) for by in (3, 0))
    assert domain.levels(state, step) == [35] * count
    for action in (step, same):
        (reaction,) = domain.evaluate([(state, action)])
        assert ("best" in reaction.observation.split()) == (action == step)
        state = state.after(action, reaction)
    assert domain.levels(state, step) == [38] * count


@pytest.mark.parametrize("values", ["levels", "moves"])
def test_what_is_sampled_under_the_mask_is_valid_and_the_learner_agrees(policy, values):
    domain = Sizing(
        tasks=("ACS-OTA5T-v0", "ACS-OpAmp-v0"), pdks=("generic",), values=values, workers=1
    )
    answer = mask_of(domain, policy.codec)
    codec = policy.codec
    problems = [domain.problem(k, "train") for k in (0, 1)]  # Of 8 and of 12 parameters.
    prompts = [tuple(codec.prompt(p.prompt)) for p in problems]
    sampler = HfSampler(
        policy.model, end=codec.end, pad=codec.pad, action_tokens=64, temperature=0.7, answer=answer
    )
    episodes = []
    for problem, prompt, group in zip(problems, prompts, sampler.sample(prompts, 3), strict=True):
        texts = [codec.action(s.ids) for s in group]
        assert all(domain.levels(State(problem), text) is not None for text in texts)
        nodes = [
            Node(0, 0, s.ids, s.log_probs, text, None, 0.0, on_main_line=k == 0)
            for k, (s, text) in enumerate(zip(group, texts, strict=True))
        ]
        episodes.append(Episode(problem, prompt, [nodes]))
    batch = collate([pack(e) for e in episodes], pad=codec.pad)
    with torch.no_grad():
        found, entropy = token_log_probs(
            policy.model, batch, temperature=0.7, with_entropy=True, answer=answer
        )
    assert float((found - batch.sampled).abs().max()) < 1e-3
    assert float(entropy[batch.target == codec.end].abs().max()) == 0.0


def test_the_anchor_that_a_problem_is_drawn_from_is_known(domain):
    for k in range(4):
        task, _, number = domain.anchor(k, "held-out")
        told = domain.told(domain.problem(k, "held-out"))
        has = told.task.anchors("held-out")[number].metrics
        margins = [s.margin(has[s.metric]) for s in told.task.specs if not s.fixed]
        assert told.task.id == task and min(margins) > 0.01 and max(margins) <= 0.5


def test_some_training_problems_are_on_some_specs_and_held_out_ones_on_all():
    domain = Sizing(pdks=("generic",), subset=0.5, workers=1)
    asked = {
        split: {len(told_of(domain.problem(k, split).key).specs) for k in range(12)}
        for split in ("train", "held-out")
    }
    assert asked["held-out"] == {len(OTA.specs)}
    assert min(asked["train"]) >= 3 and len(asked["train"]) > 1
