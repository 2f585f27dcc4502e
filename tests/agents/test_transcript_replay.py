"""A run from its transcript alone: the same evaluations, or the first difference by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import acs_gym
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.limits import LimitReached
from agents.llm import LlmAgent
from agents.model import Allowance, ContextTooLong, ModelError
from agents.transcript.records import Fault, Start, TranscriptError, read_transcript
from agents.transcript.replay import ReplayModel, replay
from tests.agents.faulty import FaultyServer, context_too_long
from tests.agents.policies import Walk
from tests.agents.recorded import (
    edited,
    of_type,
    proposer,
    record_llm,
    record_mcp,
    record_opro,
)

ROOT = Path(__file__).parents[2]
ALLOWANCE = Allowance(1000, 60.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("replays")


@pytest.fixture(scope="module")
def recorded(task, folder):
    return record_llm(folder / "tools.jsonl", task)


def kinds(records):
    return [r.kind for r in records if isinstance(r, Fault)]


def test_the_model_says_again_what_was_recorded_and_then_ends_the_run():
    start = Start(
        agent="llm", task="t", task_digest="", pdk="p", tier="tt", specs={}, budget=1, seed=0,
        config={}, started="",
    )  # fmt: skip
    model = ReplayModel(
        [start, Fault(kind="context", message="long"), Fault(kind="model", message="gone")]
    )
    with pytest.raises(ContextTooLong, match="long"):
        model.reply([], [], limits=ALLOWANCE)
    with pytest.raises(ModelError, match="gone"):
        model.reply([], [], limits=ALLOWANCE)
    with pytest.raises(LimitReached, match="the transcript ends here"):
        model.reply([], [], limits=ALLOWANCE)


@pytest.mark.parametrize("tool_format", ["tools", "text"])
def test_a_conversation_with_tools_gives_the_same_again(task, tmp_path, tool_format):
    found = replay(record_llm(tmp_path / "t.jsonl", task, tool_format=tool_format))
    assert found.equal and found.compared == 5 and found.replies == 5 and found.score == 1.0


def test_plain_text_gives_the_same_again(task, tmp_path):
    found = replay(record_opro(tmp_path / "t.jsonl", task))
    assert found.equal and found.compared == 8 and found.replies >= 2


def test_an_optimiser_that_takes_turns_with_a_model_proposes_the_same_again(task, tmp_path):
    pytest.importorskip("botorch")
    from agents.loops.ado_llm import AdoLlm

    path = tmp_path / "t.jsonl"
    with ChatServer(proposer(task)) as server, task.session(budget=12, seed=1) as session:
        AdoLlm(LlmConfig(model="m", base_url=server.url), transcript=path).run(session)
    found = replay(path)
    assert found.equal and found.compared > found.replies


def test_what_has_no_model_has_its_designs_simulated_again(task, tmp_path):
    found = replay(record_mcp(tmp_path / "t.jsonl", task))
    assert found.equal and found.compared == 7 and found.replies == 0


def test_a_tier_that_stops_a_design_early_is_found_again(tmp_path):
    options = {"pdk": "generic", "tier": "mc2", "stop_at_first_failure": True}
    task = acs_gym.make_task("ACS-OTA5T-v0", **options)
    found = replay(record_mcp(tmp_path / "t.jsonl", task))
    assert found.equal and found.compared == 7


def test_targets_of_ones_own_are_those_of_the_replay(task, tmp_path):
    found = replay(record_llm(tmp_path / "t.jsonl", task.with_specs({"gain": 45.0})))
    assert found.equal and found.start.specs["gain"] == 45.0 and found.score < 1.0


def test_neither_key_nor_server_nor_prices_are_needed(recorded, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def change(lines):
        del lines[0]["config"]["base_url"]
        lines[0]["config"] |= {"prices": "mine.toml", "max_money": 1e-6, "max_seconds": 1e-6}

    assert replay(edited(recorded, tmp_path / "t.jsonl", change)).equal


def test_a_cap_that_ended_the_run_ends_the_replay(task, tmp_path):
    path = record_llm(tmp_path / "t.jsonl", task, max_tokens=4000, reply_tokens=500)
    assert "4000 tokens" in read_transcript(path)[-1].reason
    found = replay(path)
    assert found.equal and 0 < found.compared < 5


def test_a_prompt_that_was_too_long_is_shortened_again(task, tmp_path):
    path = tmp_path / "t.jsonl"
    with FaultyServer(Walk(task), [None] * 4 + [context_too_long]) as server:
        config = LlmConfig(model="m", base_url=server.url)
        with task.session(budget=6, seed=3) as session:
            LlmAgent(config, transcript=path).run(session)
    assert kinds(read_transcript(path)) == ["context"]
    found = replay(path)
    assert found.equal and found.compared == 6


def test_a_model_that_fell_silent_is_silent_again(task, tmp_path):
    path = tmp_path / "t.jsonl"
    with FaultyServer(Walk(task), [None, None, context_too_long, context_too_long]) as server:
        config = LlmConfig(model="m", base_url=server.url, context_tokens=1024)
        with task.session(budget=6, seed=3) as session, pytest.raises(ModelError):
            LlmAgent(config, transcript=path).run(session)
    assert kinds(read_transcript(path))
    found = replay(path)
    assert found.equal and found.compared == 2


def test_a_transcript_that_is_cut_off_is_compared_as_far_as_it_goes(recorded, tmp_path):
    lines = recorded.read_text("utf-8").splitlines(keepends=True)
    last = max(k for k, line in enumerate(lines) if json.loads(line)["type"] == "evaluation")
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(lines[:last]), encoding="utf-8")
    found = replay(path)
    assert found.equal and found.compared == 4 and found.beyond == 1


def _evaluation(number, *keys, value):
    def change(lines):
        place = of_type(lines, "evaluation")[number - 1]["evaluation"]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def _end(field, value):
    def change(lines):
        lines[-1][field] = value

    return change


def _drop(kind, number):
    def change(lines):
        lines.remove(of_type(lines, kind)[number - 1])

    return change


def _reply_for_another_design(lines):
    call = of_type(lines, "reply")[0]["calls"][0]
    arguments = json.loads(call["arguments"])
    arguments["designs"][1]["m_tail"] = 3
    call["arguments"] = json.dumps(arguments)


def _evaluation_twice(lines):
    again = json.loads(json.dumps(of_type(lines, "evaluation")[-1]))
    again["number"] = 6
    lines.insert(-1, again)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_evaluation(3, "score", value=0.99), "design 3: score: recorded 0.99, now 0."),
        (
            _evaluation(3, "metrics", "gain", value=40.0),
            "design 3: metrics.gain: recorded 40.0, now ",
        ),
        (_evaluation(1, "metrics", "gain", value=None), "design 1: metrics.gain: recorded nothing"),
        (_evaluation(1, "margins", "pm", value=1.0), "design 1: margins.pm: recorded 1.0, now "),
        (_evaluation(1, "feasible", value=True), "design 1: feasible: recorded True, now False"),
        (_evaluation(2, "status", value="timeout"), "design 2: status: recorded timeout, now "),
        (
            _evaluation(1, "design", "m_tail", value=9),
            "design 1: design.m_tail: recorded 9.0, now ",
        ),
        (_evaluation(1, "cost", value=0), "design 1: cost: recorded 0, now 1"),
        (_end("score", 0.5), "end: score: recorded 0.5, now 1.0"),
        (_end("simulations", 4), "end: simulations: recorded 4, now 5"),
        (_end("feasible", False), "end: feasible: recorded False, now True"),
        (_reply_for_another_design, "design 2: design.m_tail: recorded "),
        (_drop("evaluation", 5), "design 5 of the replay does not stand in the transcript"),
        (_drop("reply", 4), "design 3 was not simulated in the replay"),
        (_evaluation_twice, "design 6 was not simulated in the replay"),
    ],
)
def test_the_first_thing_that_was_edited_is_named(recorded, tmp_path, change, said):
    found = replay(edited(recorded, tmp_path / "t.jsonl", change))
    assert not found.equal and found.differences[0].startswith(said)


def _start(**fields):
    def change(lines):
        for name, value in fields.items():
            place = lines[0]
            *path, last = name.split("__")
            for key in path:
                place = place[key]
            place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_start(task_digest="0" * 64), "ACS-OTA5T-v0 on generic in tier tt is another task now"),
        (_start(specs__gain=38.0), "ACS-OTA5T-v0 on generic in tier tt is another task now"),
        (_start(specs__loudness=1.0), "cannot be made here: no spec on 'loudness'"),
        (_start(task="ACS-Nothing-v0"), "cannot be made here: no task called 'ACS-Nothing-v0'"),
        (_start(pdk="unobtainium"), "cannot be made here: "),
        (_start(tier="hot"), "cannot be made here: no tier called 'hot'"),
        (_start(agent="mine"), "line 1: agent: 'mine' cannot be run again; agents that can: llm"),
        (_start(config__temperature=9), "line 1: config: temperature: "),
    ],
)
def test_what_cannot_be_run_again_says_why(recorded, tmp_path, change, said):
    path = edited(recorded, tmp_path / "t.jsonl", change)
    with pytest.raises(TranscriptError) as error:
        replay(path)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)


def test_the_sizes_of_a_loop_are_those_of_the_transcript(task, tmp_path):
    path = record_opro(tmp_path / "t.jsonl", task)
    other = edited(path, tmp_path / "other.jsonl", _start(config__initial=1))
    assert not replay(other).equal
    with pytest.raises(TranscriptError, match=r"line 1: config: initial is at least 1, got 0"):
        replay(edited(path, tmp_path / "none.jsonl", _start(config__initial=0)))


def run(*arguments):
    command = [sys.executable, "-m", "agents.transcript", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_says_what_was_compared_and_ends_by_it(recorded, tmp_path):
    done = run(recorded, "--replay")
    assert done.returncode == 0 and not done.stderr
    assert "llm with 5 recorded replies" in done.stdout
    assert "5 evaluations equal to the digit; score 1.0000." in done.stdout

    done = run(edited(recorded, tmp_path / "t.jsonl", _end("score", 0.5)), "--replay")
    assert done.returncode == 1
    assert "Different: end: score: recorded 0.5, now 1.0" in done.stdout

    done = run(edited(recorded, tmp_path / "t.jsonl", _start(task_digest="")), "--replay")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and not done.stdout
