"""One vocabulary for any circuit, and answers under a mask."""

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import acs_gym
from tlgrpo.config import ConfigError, PolicyConfig
from tlgrpo.domain import Reaction, State
from tlgrpo.domains.circuit_words import parameter_words, spec_words
from tlgrpo.domains.conditions import Conditions
from tlgrpo.domains.sizing import (
    LEVELS,
    Sizing,
    grammar,
    problem_of,
    tell,
    told_of,
)
from tlgrpo.learner import token_log_probs
from tlgrpo.packing import collate, pack
from tlgrpo.policy import build_policy
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.tokens import WordCodec, forms_of, mask_of, word_tokenizer
from tlgrpo.tree import Episode, Node

OTA = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
GOOD, BAD = (Reaction(score, False, "") for score in (0.5, 0.4))


@pytest.fixture(scope="module")
def domain():
    return Sizing(tasks=("ACS-OTA5T-v0", "ACS-OpAmp-v0"), pdks=("generic",), workers=1)


@pytest.fixture(scope="module")
def policy():
    shape = PolicyConfig(layers=1, width=32, heads=2, kv_heads=1, codec="lines")
    return build_policy(shape, grammar(), 0)


@pytest.mark.parametrize("name", acs_gym.task_ids())
def test_every_circuit_is_told_in_the_one_vocabulary(name):
    problem = Sizing(tasks=(name,), pdks=("generic",), workers=1).problem(0, "held-out")
    task = acs_gym.make_task(name, pdk="generic")
    lines = problem.prompt.split("\n")
    assert {*problem.prompt.split()} <= {*grammar()}
    assert len(lines) == 2 + len(task.space) + len(task.specs), "one line each"
    described = parameter_words(task)
    assert len({*described}) == len(described)


def test_prompt_answer_and_observation_say_the_same_words_of_the_same_thing(domain):
    problem = domain.problem(0, "held-out")
    told, lines = domain.told(problem), problem.prompt.split("\n")
    parameters = [" ".join(told.described[k]) for k in told.parameters]
    specs = [" ".join(spec_words(tuple(told.task.specs)[k])) for k in told.specs]
    assert lines == [lines[0], *parameters, *specs, "levels :"]
    at = list(range(len(parameters)))
    assert told.form(at) == tuple(f"{p} ={k}" for p, k in zip(parameters, at, strict=True))
    margins = [float(k) for k in range(len(told.specs))]
    seen = told.observation(margins, best=True, solved=False).split("\n")
    assert [line.rpartition(" ")[0] for line in seen[:-1]] == specs
    assert seen[-1] == "best :"


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


def test_a_form_says_where_the_best_so_far_has_each_parameter():
    domain = Sizing(pdks=("generic",), values="moves", workers=1)
    state = State(domain.problem(0, "train"))
    told = domain.told(state.problem)

    def levels_of(state):
        return [line.rpartition("=")[2] for line in domain.form(state)]

    assert {*levels_of(state)} == {"32"}
    after = state.after(told.write([7] * len(told.parameters), "moves", told.start), GOOD)
    assert {*levels_of(after)} == {"7"}
    worse = told.write([9] * len(told.parameters), "moves", told.incumbent(after))
    assert {*levels_of(after.after(worse, BAD))} == {"7"}


@given(words=st.lists(st.sampled_from(grammar()), min_size=1, max_size=7))
@hypothesis.settings(deadline=None)
def test_a_line_is_one_token_that_reads_back(policy, words):
    (token,) = policy.codec.prompt(" ".join(words))
    assert 0 <= token < 2**63 and policy.codec.action([token]) == " ".join(words)


def test_a_line_of_too_many_words_or_of_none_is_refused(policy):
    for text in ("", " ".join(["best"] * 8)):
        with pytest.raises(ValueError, match="a line has 1 to 7 words"):
            policy.codec.line(text)


def test_a_lines_embedding_is_that_of_its_words_and_of_their_places(policy):
    embed, codec = policy.model.get_input_embeddings(), policy.codec
    words = torch.tensor([codec.line(word) for word in grammar()])
    with torch.no_grad():
        assert torch.equal(embed(words), policy.model.lm_head.weight[words])
        ab, ba, a, b = (
            embed(torch.tensor(codec.line(text))) for text in ("=1 =9", "=9 =1", "=1", "=9")
        )
    assert not torch.allclose(ab, ba)
    assert torch.allclose((ab - a).abs(), b.abs(), atol=1e-6)


def test_a_domain_of_forms_is_refused_to_a_codec_of_words(domain):
    codec = WordCodec(word_tokenizer(grammar()))
    with pytest.raises(ConfigError, match="'sizing' needs the codec `lines`"):
        mask_of(domain, codec)


def test_another_load_is_another_result(domain):
    problems = [
        problem_of(OTA, {"ugbw": 1e6}, "levels", conditions=Conditions(load=load))
        for load in (1, 4)
    ]
    told = told_of(problems[0].key)
    middle = told.write([32] * len(OTA.space), "levels", told.start)
    own, loaded = domain.simulate([(State(p), middle) for p in problems])
    assert 2 < own.metrics["ugbw"] / loaded.metrics["ugbw"] < 5


@pytest.mark.parametrize("values", ["levels", "moves"])
def test_every_level_can_be_written_from_every_other(values):
    told = tell(OTA)
    count = len(told.parameters)
    for start in ([0] * count, [LEVELS - 1] * count):
        for level in range(LEVELS):
            levels = [(level + k) % LEVELS for k in range(count)]
            assert told.read(told.write(levels, values, start), start) == levels


def test_a_move_goes_no_further_than_the_range_and_what_is_no_filled_form_is_no_action():
    told = tell(OTA)
    at = [60, 3, *told.start[2:]]
    form = told.form(at)
    moves = ["by+9", "by-9", *["by+0"] * (len(form) - 2)]
    lines = [f"{line}\t{move}" for line, move in zip(form, moves, strict=True)]
    assert told.read("\n".join(lines), at) == [63, 0, *at[2:]]
    for wrong in (
        lines[:-1],
        [*lines, lines[0]],
        [lines[1], lines[0], *lines[2:]],
        [lines[0].replace("by+9", "by+64"), *lines[1:]],
        [lines[0].replace("=60", "=61"), *lines[1:]],
        list(form),
        moves,
    ):
        assert told.read("\n".join(wrong), at) is None


def test_moves_start_from_the_best_so_far_which_is_said():
    domain = Sizing(pdks=("generic",), values="moves", workers=1)
    state = State(domain.problem(0, "train"))
    count = len(domain.told(state.problem).parameters)

    def moved(by):
        return "\n".join(f"{line}\tby{by:+d}" for line in domain.form(state))

    assert domain.levels(state, moved(3)) == [35] * count
    for by in (3, 0):
        (reaction,) = domain.evaluate([(state, moved(by))])
        assert ("best" in reaction.observation.split()) == (by == 3)
        state = state.after(moved(by), reaction)
    assert domain.levels(state, moved(3)) == [38] * count


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
    forms = forms_of(domain, codec, [State(p) for p in problems])
    groups = sampler.fill(prompts, 3, forms)
    for problem, prompt, group in zip(problems, prompts, groups, strict=True):
        texts = [codec.action(s.ids) for s in group]
        assert all(domain.levels(State(problem), text) is not None for text in texts)
        nodes = [
            Node(0, 0, s.ids, s.log_probs, text, None, 0.0, on_main_line=k == 0)
            for k, (s, text) in enumerate(zip(group, texts, strict=True))
        ]
        episodes.append(Episode(problem, prompt, [nodes]))
    batch = collate([pack(e) for e in episodes], pad=codec.pad)
    with torch.no_grad():
        found, entropy = token_log_probs(policy.model, batch, temperature=0.7, answer=answer)
    assert float((found - batch.sampled).abs().max()) < 1e-3
    assert float(entropy[batch.target == codec.end].abs().max()) == 0.0
    assert int((entropy > 0).sum()) == 3 * sum(map(len, forms)), "values alone are chosen"


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
