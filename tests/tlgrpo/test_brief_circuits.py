"""Circuits in a short conversation: what it costs in tokens, and how an action is read."""

import re

import numpy as np
import pytest

import acs_gym
from acs_gym.simulation.pool import InProcessSimulator
from agents import brief
from tlgrpo.domain import State
from tlgrpo.domains.brief_circuits import BriefCircuits
from tlgrpo.tokens import read_conversation, write_conversation

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
