"""Circuits in a short conversation: what it costs in tokens, and how an action is read."""

import re

import numpy as np
import pytest

import acs_gym
from acs_gym.session import Session
from acs_gym.simulation.pool import InProcessSimulator
from agents import brief
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.llm import IDLE_TURNS_ALLOWED, LlmAgent
from agents.model import Reply
from tlgrpo.domain import Problem, State
from tlgrpo.domains.brief_circuits import BriefCircuits
from tlgrpo.domains.circuits import circuit_problem
from tlgrpo.tokens import CUT_OFF, read_conversation, write_conversation

OTA = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
MIDDLE = brief.middle(OTA)
# Of these circuits the description alone is longer, or is with drawn targets, which have more digits.
LONG = {"ACS-ClassAB-v0", "ACS-DFCFC-v0", "ACS-LDO-v0", "ACS-NMC-v0"}


def about_tokens(prompt: str) -> int:
    """From above, by up to 8 %, on what SmolLM2's tokenizer and template make of these prompts."""
    pieces = r"\d|[A-Za-z]{1,4}|[^\sA-Za-z\d]|\n"
    return 16 + sum(len(re.findall(pieces, m["content"])) for m in read_conversation(prompt))


@pytest.mark.parametrize("name", acs_gym.task_ids())
def test_a_prompt_has_at_most_350_tokens_but_for_the_longest_circuits(name):
    task = acs_gym.make_task(name, pdk="generic")
    prompt = write_conversation(brief.opening(task))
    assert about_tokens(prompt) <= (410 if name in LONG else 350)
    assert all(word in prompt for word in (*task.space.names, *task.specs.metrics))


def test_what_is_written_is_read_back():
    design = OTA.space.sample(np.random.default_rng(0))
    text = brief.write(OTA, design, digits=5)
    read = brief.read(OTA, MIDDLE, f"<think>w_pair=1u?</think>\n{text}")
    assert read == pytest.approx(design, rel=1e-4)


def test_what_is_left_out_stays_and_what_is_out_of_range_ends_there():
    read = brief.read(OTA, MIDDLE, "Wider: w_pair = 20um, w_load=1")
    changed = {name for name in read if read[name] != MIDDLE[name]}
    assert changed == {"w_pair", "w_load"}
    assert read["w_pair"] == pytest.approx(20e-6) and read["w_load"] == OTA.space["w_load"].high


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "write name=value"), ("x=1", "no parameter x"), ("w_pair=wide", "is no number")],
)
def test_what_is_no_action_is_told_why(text, said):
    assert said in brief.read(OTA, MIDDLE, text)


def test_a_turn_changes_the_best_design_so_far():
    domain = BriefCircuits(["ACS-OTA5T-v0"], pdk="generic", simulator=InProcessSimulator())
    state = State(domain.problem(0, "train"))
    task = domain.task_of(state.problem)
    for text, best in ((brief.write(task, task.reference), True), ("l_pair=4u l_load=4u", False)):
        (reaction,) = domain.evaluate([(state, text)])
        state = state.after(text, reaction)
        first, *lines = reaction.observation.splitlines()
        assert first == ("best so far" if best else "not the best")
        assert len(lines) == len(task.specs) and reaction.valid
        assert reaction.solved == (not any(line.endswith("missed") for line in lines))
    (same,) = domain.evaluate([(state, "w_pair=0.5u")])
    alone = dict(task.reference) | {"w_pair": 0.5e-6}
    (expected,) = domain.evaluate([(State(state.problem), brief.write(task, alone))])
    assert same.score == expected.score


SCRIPTS = {
    "whole designs": lambda t, d: [brief.write(t, one) for one in d],
    "changes of the best": lambda t, d: [brief.write(t, d[0]), "l_pair=1u", "w_load=3u l_load=1u"],
    "prose": lambda t, d: ["I would widen it: w_pair=20u."],
    "no design, then one": lambda t, d: ["hm", "w_par=1u", "w_pair=wide", brief.write(t, d[0])],
    "cut off": lambda t, d: [brief.write(t, d[0])[:30] + CUT_OFF, "l_pair=1u"],
    "the reference": lambda t, d: [brief.write(t, d[0]), brief.write(t, t.reference, digits=6)],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_prompt_and_answers_are_those_of_the_agent(name):
    domain = BriefCircuits(["ACS-OTA5T-v0"], pdk="generic", simulator=InProcessSimulator())
    task = OTA
    problem = circuit_problem(task)
    problem = Problem(problem.key, write_conversation(brief.opening(task)))
    rng = np.random.default_rng(0)
    texts = SCRIPTS[name](task, [task.space.sample(rng) for _ in range(3)])
    state, reactions = State(problem), []
    for text in texts:
        (reaction,) = domain.evaluate([(state, text)])
        state = state.after(text, reaction)
        reactions.append(reaction)
    said = iter(texts)

    def policy(messages, tools):
        text = next(said)
        whole = text.removesuffix(CUT_OFF)
        return Reply(text=whole, finish_reason="stop" if whole == text else "length")

    session = Session(task, sum(r.valid for r in reactions), simulator=InProcessSimulator())
    with ChatServer(policy) as server, session:
        config = LlmConfig(model="m", base_url=server.url, tool_format="brief")
        agent = LlmAgent(config)
        agent.run(session)
    requests = [r["messages"] for r in server.requests]
    assert requests[0] == read_conversation(problem.prompt) and len(requests) == len(texts)
    answers = [m["content"] for m in requests[-1][2:] if m["role"] == "user"]
    assert [r.observation for r in reactions[:-1]] == answers
    assert [r.score for r in reactions if r.valid] == [e.score for e in session.history]
    solved = reactions[-1].solved
    assert solved == (name == "the reference")
    assert agent.ended == (brief.SOLVED if solved else "the budget is used up")
    assert not any(r.get("tools") for r in server.requests)


def test_a_model_that_names_no_design_is_told_and_the_run_says_so():
    session = Session(OTA, 3, simulator=InProcessSimulator())
    with ChatServer(lambda messages, tools: Reply(text="w_par=1u")) as server, session:
        agent = LlmAgent(LlmConfig(model="m", base_url=server.url, tool_format="brief"))
        agent.run(session)
    assert session.meter.used == 0
    assert f"{IDLE_TURNS_ALLOWED} turns in a row simulated nothing" in agent.ended
    assert "wrote 'w_par=1u'; bad: no parameter w_par" in agent.ended


def test_turns_that_are_left_out_are_told_by_the_best_designs():
    with Session(OTA, 4, simulator=InProcessSimulator()) as session:
        form = brief.BriefForm(session)
        rng = np.random.default_rng(1)
        for _ in range(4):
            form.carry_out(Reply(text=brief.write(OTA, OTA.space.sample(rng))))
        best = brief.write(OTA, session.best.design)
        whole, short = (form.history(n).splitlines() for n in (10_000, 1))
    assert len(whole) == 4 and short == whole[-1:]
    assert short[0].startswith(best)
