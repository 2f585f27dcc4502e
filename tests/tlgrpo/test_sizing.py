"""One vocabulary for any circuit, answers under a mask, and labels found in hindsight."""

import numpy as np
import pytest
import torch

import acs_gym
from tlgrpo.bank import BankError, anchors, grown, read_bank, write_bank
from tlgrpo.config import PolicyConfig
from tlgrpo.domain import State
from tlgrpo.domains.circuit_words import parameter_words
from tlgrpo.domains.sizing import MOVES, Sizing, grammar, write_levels
from tlgrpo.hindsight import Source, episode
from tlgrpo.learner import token_log_probs
from tlgrpo.memory import clustered_interval, lookup, nearest_goal, role_median
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


def test_a_parameter_is_told_by_what_it_does():
    told = dict(zip(OTA.space.names, parameter_words(OTA), strict=True))
    assert told["w_pair"][1:3] == ("role:pair", "w:n")
    assert told["l_load"][1:3] == ("role:load", "l:p")
    assert told["m_tail"][1:3] == ("role:tail", "m:n")
    assert told["i_bias"][1:3] == ("role:reference", "i:-")


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


def test_moves_start_from_the_best_so_far():
    domain = Sizing(pdks=("generic",), values="moves", workers=1)
    state = State(domain.problem(0, "train"))
    count = len(domain.told(state.problem).parameters)
    assert 0 in MOVES
    step = " ".join(["by+3"] * count)
    assert domain.levels(state, step) == [35] * count
    (reaction,) = domain.evaluate([(state, step)])
    assert domain.levels(state.after(step, reaction), step) == [38] * count


def test_what_is_sampled_under_the_mask_is_valid_and_the_learner_agrees(domain, policy):
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


def test_a_bank_grows_and_is_kept(tmp_path, domain):
    bank = anchors(OTA)
    assert bank.simulated == 0
    more = grown(OTA, bank, 4, domain._simulator)
    assert more.simulated == 4
    write_bank(tmp_path, OTA, more)
    kept = read_bank(tmp_path, OTA)
    assert np.array_equal(kept.levels, more.levels)
    assert np.array_equal(kept.metrics, more.metrics, equal_nan=True)
    with pytest.raises(BankError, match="no bank"):
        read_bank(tmp_path, acs_gym.make_task("ACS-OpAmp-v0", pdk="generic"))


def test_labels_meet_the_targets_and_depend_on_the_history(policy):
    source = Source(OTA, anchors(OTA), parameter_words(OTA))
    rng = np.random.default_rng(0)
    different = 0
    for _ in range(8):
        made = episode(source, policy.codec, 4, rng)
        answers = [next(n for n in turn if n.advantage == 1.0) for turn in made.turns]
        assert all(not n.on_main_line for n in answers[:-1])
        assert sum(n.advantage for n in made.nodes) == len(made.turns)
        different += len({n.ids for n in answers}) > 1
    assert different >= 1, "what was tried changes what is best to try"


def test_a_lookup_needs_one_simulation_and_roles_need_no_bank_of_the_circuit(domain):
    other = acs_gym.make_task("ACS-OpAmp-v0", pdk="generic")
    known = [Source(t, anchors(t), parameter_words(t)) for t in (OTA, other)]
    problem = domain.problem(0, "train")
    told = domain.told(problem)
    found = lookup(known)(told)
    text = write_levels(int(found[k]) for k in told.parameters)
    (reaction,) = domain.evaluate([(State(problem), text)])
    assert reaction.score > 0.95
    for transfer in (role_median(known[1:]), nearest_goal(known[1:])):
        assert transfer(told).shape == found.shape
        assert not np.array_equal(transfer(told), found)


def test_problems_of_one_anchor_count_as_one_in_an_interval():
    values = [0.0] * 50 + [1.0] * 50
    few = clustered_interval(values, [("a", k // 50) for k in range(100)])
    many = clustered_interval(values, [("a", k) for k in range(100)])
    assert few[1] - few[0] > 3 * (many[1] - many[0])
