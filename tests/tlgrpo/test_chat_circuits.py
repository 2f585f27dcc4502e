"""Circuits for chat models: training meets what the agent meets in evaluation, to the byte."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acs_gym.evaluation import Status
from acs_gym.session import Session
from acs_gym.simulation.pool import InProcessSimulator, Simulator
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.model import Reply
from tests.tlgrpo.chat_models import KEEPS_EMPTY, TASK, chat_tokenizer
from tlgrpo.config import ConfigError, DomainConfig
from tlgrpo.domain import State
from tlgrpo.domains import build_domain
from tlgrpo.domains.chat_circuits import ChatCircuits, write_action
from tlgrpo.domains.circuits import Circuits
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.scripted import ScriptedSampler
from tlgrpo.tokens import CHATML, CUT_OFF, ChatCodec, read_conversation
from tlgrpo.tree import history_before

BUDGET = 4


class Counting(Simulator):
    """Simulates, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.inner, self.batches = InProcessSimulator(), []

    def run(self, jobs):
        self.batches.append([tuple(job.design.values()) for job in jobs])
        return self.inner.run(jobs)


@pytest.fixture(scope="module")
def simulator():
    return Counting()


@pytest.fixture
def counted(simulator):
    simulator.batches.clear()
    return simulator


@pytest.fixture(scope="module")
def domain(simulator):
    return ChatCircuits([TASK], pdk="generic", budget=BUDGET, simulator=simulator)


@pytest.fixture
def problem(domain):
    return domain.problem(0, "train")


@pytest.fixture
def task(domain, problem):
    return domain.task_of(problem)


def designs(task, count, seed=0):
    rng = np.random.default_rng(seed)
    return [task.space.sample(rng) for _ in range(count)]


def call(name: str, arguments: Any) -> str:
    body = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>{body}</tool_call>"


def played(domain, problem, texts):
    """The reactions of actions one after the other."""
    state, reactions = State(problem), []
    for text in texts:
        (reaction,) = domain.evaluate([(state, text)])
        state = state.after(text, reaction)
        reactions.append(reaction)
    return reactions


def requests_of_agent(task, texts, *, simulator=None, **changes):
    """The messages of each request that the agent makes of a model that says these texts."""
    said = iter([*texts, call("finish", {"summary": ""})])

    def policy(messages, tools):
        text = next(said)
        whole = text.removesuffix(CUT_OFF)
        return Reply(text=whole, finish_reason="stop" if whole == text else "length")

    session = Session(task, BUDGET, simulator=simulator)
    with ChatServer(policy) as server, session:
        config = LlmConfig(
            model="m", base_url=server.url, tool_format="text", max_turns=40, **changes
        )
        LlmAgent(config).run(session)
    assert not any(r.get("tools") for r in server.requests)
    return [r["messages"] for r in server.requests], session


def in_si(task):
    return call("simulate", {"designs": [designs(task, 1, seed=1)[0]]})


SCRIPTS = {
    "engineering notation": lambda t: [write_action(t, d) for d in designs(t, 3)],
    "SI numbers": lambda t: [in_si(t)],
    "one design without a list": lambda t: [call("simulate", designs(t, 1)[0])],
    "prose around": lambda t: [f"I would widen it.\n\n{in_si(t)}\nLet us see."],
    "reasoning": lambda t: [f"<think>\nA wider pair?\n</think>\n\n{in_si(t)}", in_si(t)],
    "reasoning that calls": lambda t: [f"<think>{in_si(t)}</think>", f"no{in_si(t)}</think>no"],
    "repetition": lambda t: [in_si(t), in_si(t)],
    "a fence": lambda t: [in_si(t).replace("call>{", "call>```json\n{").replace("</", "\n```</")],
    "no call": lambda t: [in_si(t), "I am done.", "", in_si(t)],
    "no JSON": lambda t: ["<tool_call>{'name'}</tool_call>", in_si(t)],
    "cut off in a call": lambda t: [in_si(t)[:60] + CUT_OFF, in_si(t)],
    "cut off before a call": lambda t: ["As I was sa" + CUT_OFF, CUT_OFF, in_si(t)],
    "cut off after a call": lambda t: [in_si(t) + "And" + CUT_OFF],
    "cut off in reasoning": lambda t: [f"<think>{in_si(t)}" + CUT_OFF, in_si(t)],
    "no such tool": lambda t: [call("simulat", {}), call("", {}), in_si(t)],
    "no such parameter": lambda t: [call("simulate", {"designs": [{"w_par": 1}]}), in_si(t)],
    "out of range": lambda t: [
        call("simulate", {"designs": [designs(t, 1)[0] | {"w_pair": "1 m", "l_pair": "wide"}]})
    ],
    "an empty list": lambda t: [call("simulate", {"designs": []})],
    "half a surrogate pair": lambda t: [call("simulate", {"designs": "\ud800"}), in_si(t)],
    "half a surrogate pair in a name": lambda t: [call("\ud800", {}), in_si(t)],
    "looks at the operating point": lambda t: [
        call("operating_point", {"design": None}),
        in_si(t) + call("operating_point", {"design": None}),
        call("operating_point", {"design": 1}) + in_si(t),
    ],
    "looks back": lambda t: [in_si(t), call("history", {}), in_si(t) + call("history", {})],
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_prompt_and_observations_are_the_agents(domain, problem, task, name):
    texts = SCRIPTS[name](task)
    requests, session = requests_of_agent(task, texts)
    assert requests[0] == read_conversation(problem.prompt)
    reactions = played(domain, problem, texts)
    answers = [m["content"] for m in requests[-1][2:] if m["role"] == "user"]
    assert [o.observation for o in reactions] == answers
    simulated = [o for o in reactions if o.valid]
    assert [o.score for o in simulated] == [e.score for e in session.history]
    assert [o.solved for o in simulated] == [e.feasible for e in session.history]
    assert all(o.score == 0 and not o.solved for o in reactions if not o.valid)


class Failing(Counting):
    """Finds no solution for every other design."""

    def run(self, jobs):
        fails = len(self.batches) % 2 == 1
        outcomes = super().run(jobs)
        if not fails:
            return outcomes
        return [replace(o, status=Status.NONCONVERGED, metrics={}, message="no") for o in outcomes]


def test_a_failed_simulation_is_told_as_the_agent_tells_it(problem, task):
    texts = [write_action(task, d) for d in designs(task, 3)]
    requests, session = requests_of_agent(task, texts, simulator=Failing())
    domain = ChatCircuits([TASK], pdk="generic", budget=BUDGET, simulator=Failing())
    reactions = played(domain, problem, texts)
    assert [o.observation for o in reactions] == [m["content"] for m in requests[-1][3::2]]
    assert [e.status for e in session.history] == [Status.OK, Status.NONCONVERGED, Status.OK]
    assert all(o.valid for o in reactions) and reactions[1].score == 0


@pytest.mark.parametrize("reasons", [False, True])
@pytest.mark.parametrize("template", [CHATML, KEEPS_EMPTY], ids=["ChatML", "empty reasoning"])
def test_a_server_makes_the_ids_of_training_of_the_agents_messages(
    domain, problem, task, template, reasons
):
    """The whole way: what a trained policy reads on a server is what it was trained on."""
    codec = ChatCodec(chat_tokenizer(template))
    thought = "<think>\nWider.\n</think>\n\n" if reasons else ""
    texts = [thought + write_action(task, d) for d in designs(task, 3)]
    requests, _ = requests_of_agent(task, texts, send_reasoning=reasons)
    sampler = ScriptedSampler(lambda history, k: next(scripted))
    scripted = iter([[*codec.tokenizer(t)["input_ids"], codec.end] for t in texts])
    plan = Plan(turns=3, group=1, per_turn=True, stop_when_solved=False)
    roll_out(domain, codec, sampler, [problem], plan, rng=np.random.default_rng(0))
    served = [
        codec.tokenizer(
            codec.tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True)
        )["input_ids"]
        for m in requests[:3]
    ]
    assert [list(history) for history, _ in sampler.asked] == served


def test_a_second_design_in_a_reply_is_refused_and_the_first_counts(domain, problem, task):
    first, second = designs(task, 2)
    both = write_action(task, first) + write_action(task, second)
    alone, together = (played(domain, problem, [t])[0] for t in (write_action(task, first), both))
    assert together.valid and together.score == alone.score
    assert together.observation.startswith(alone.observation)
    assert "one design a reply" in together.observation.removeprefix(alone.observation)


def test_a_call_of_several_designs_is_no_action_and_simulates_nothing(
    domain, problem, task, counted
):
    text = call("simulate", {"designs": designs(task, 3, seed=5)})
    wrong, after = played(domain, problem, [text, in_si(task)])
    assert not wrong.valid and wrong.score == 0 and "one design a reply" in wrong.observation
    assert '"simulations_left":4' in wrong.observation
    assert sum(map(len, counted.batches)) <= 1
    assert '"design":1' in after.observation


def test_beyond_the_budget_nothing_is_simulated(domain, problem, task):
    reactions = played(domain, problem, [write_action(task, d) for d in designs(task, BUDGET + 2)])
    assert [o.valid for o in reactions] == [True] * BUDGET + [False] * 2
    assert '"simulations_left":0' in reactions[-1].observation


def test_a_batch_is_simulated_at_once_and_equal_designs_once(problem, task, counted):
    domain = ChatCircuits([TASK], pdk="generic", budget=BUDGET, simulator=counted)
    texts = [write_action(task, d) for d in designs(task, 3, seed=7)]
    other = domain.problem(1, "train")
    tries = [(State(p), t) for p in (problem, other) for t in (*texts, texts[0], "nothing")]
    together = domain.evaluate(tries)
    assert [len(b) for b in counted.batches] == [3]
    assert together[0] == together[3] and not together[4].valid
    assert together == [domain.evaluate([t])[0] for t in tries]
    # Of one design under different targets.
    assert together[0].observation != together[5].observation


def test_what_led_to_a_state_is_not_simulated_again(problem, task, counted):
    domain = ChatCircuits([TASK], pdk="generic", budget=BUDGET, simulator=counted)
    texts = [write_action(task, d) for d in designs(task, 4, seed=9)]
    reactions = played(domain, problem, texts)
    assert [len(b) for b in counted.batches] == [1] * 4
    # A domain that has seen none of it comes to the same.
    fresh = ChatCircuits([TASK], pdk="generic", budget=BUDGET, simulator=counted)
    state = State(problem)
    for text, reaction in zip(texts[:3], reactions, strict=False):
        state = state.after(text, reaction)
    assert fresh.evaluate([(state, texts[3])]) == reactions[3:]


bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.just("20u") | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["designs", "design", "w_pair", "m_tail", "x"]), inner),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from(["simulate", "operating_point", "history", "finish", "x"])
calls = st.builds(call, names, bodies)
tags = st.sampled_from(["<tool_call>", "</tool_call>", "<think>", "</think>", "{", "[", CUT_OFF])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=20) | calls | tags, max_size=5).map("".join))
def test_no_text_is_too_odd(domain, problem, text):
    reactions = played(domain, problem, [text, text])
    for reaction in reactions:
        reaction.observation.encode()
        assert reaction.valid or (reaction.score == 0 and not reaction.solved)


def test_problems_are_those_of_circuits_and_held_out_ones_are_never_trained_on(domain):
    words = Circuits([TASK], pdk="generic", simulator=InProcessSimulator())
    keys = {s: [domain.problem(k, s).key for k in range(200)] for s in ("train", "held-out")}
    assert keys["train"] == [words.problem(k, "train").key for k in range(200)]
    assert not set(keys["train"]) & set(keys["held-out"])
    for split in ("train", "held-out"):
        chosen = domain.problem(3, split)
        assert chosen == domain.problem(3, split)
        system = read_conversation(chosen.prompt)[0]["content"]
        for spec in domain.task_of(chosen).specs:
            assert f"- {spec.metric} {spec.text()}" in system


def test_random_and_varied_actions_are_actions(domain):
    rng = np.random.default_rng(1)
    for k in range(10):
        problem = domain.problem(k, "train")
        action = domain.random_action(problem, rng)
        near = domain.vary(problem, action, rng)
        assert near != action
        assert all(o.valid for o in domain.evaluate([(State(problem), a) for a in (action, near)]))
    assert domain.evaluate([(State(problem), domain.vary(problem, "no action", rng))])[0].valid


def test_ids_are_kept_as_sampled_though_the_tokenizer_would_split_them_otherwise(domain, problem):
    codec = ChatCodec(chat_tokenizer())
    text = domain.random_action(problem, np.random.default_rng(0))
    letters = [k for c in text for k in codec.tokenizer(c)["input_ids"]] + [codec.end]
    assert letters[:-1] != codec.tokenizer(text)["input_ids"]
    plan = Plan(turns=2, group=2, per_turn=True, stop_when_solved=False)
    (episode,) = roll_out(
        domain, codec, ScriptedSampler(lambda h, k: letters), [problem], plan,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert all(n.ids == tuple(letters) and n.text == text for n in episode.nodes)
    assert all(n.reaction.valid for n in episode.nodes)
    assert history_before(episode, 1) == [
        *codec.prompt(problem.prompt), *letters,
        *codec.observation(episode.main_line[0].reaction.observation),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"budget": 0}, "budget"), ({"budget": 2.5}, "budget"), ({"tasks": []}, "tasks"),
     ({"tasks": ["ACS-Moon-v0"]}, "Moon"), ({"moon": 1}, "moon")],
)  # fmt: skip
def test_arguments_that_are_wrong_are_explained(arguments, says):
    config = DomainConfig(name="tlgrpo.domains.chat_circuits:ChatCircuits", arguments=arguments)
    with pytest.raises(ConfigError, match=f"domain.*{says}"):
        build_domain(config)
