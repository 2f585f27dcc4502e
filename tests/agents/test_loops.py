"""The published loops, over real HTTP against scripted models, on real simulations."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Simulator
from acs_gym.tools.answers import design_text
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.loops.ado_llm import AdoLlm
from agents.loops.ledro import Ledro, LedroSizes
from agents.loops.loop import Sizes
from agents.loops.opro import Opro, OproSizes
from agents.model import ModelError, Reply
from agents.registry import ado_llm, ledro, opro
from agents.transcript.records import End, Replied, Said, Simulated, read_transcript
from agents.transcript.replay import replay
from baselines.agent import SimulatorUnavailable
from leaderboard.contract import agent_config, agent_track

AGENTS = [Opro, Ledro, AdoLlm]
BUDGET = 12
SEED = 3
RANGES = {"w_pair": ["5u", "20u"], "m_tail": [2, 6], "l_load": ["0.3u", "1u"]}

every_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda a: a.id)


class Script:
    """A model that answers each request from `replies`, in turn; None, or their end, a good answer.

    Good are as many seeded random designs as are asked for, or `RANGES`, whichever it is.
    """

    def __init__(self, task, replies=(), write=str):
        self.task, self.replies, self.write = task, list(replies), write
        self.asked = []
        self.answered = []

    def __call__(self, messages, tools):
        self.asked.append([dict(m) for m in messages])
        number = len(self.asked) - 1
        text = self.replies[number] if number < len(self.replies) else None
        text = self.write(json.dumps(self.good(messages, number))) if text is None else text
        self.answered.append(text)
        return Reply(text=text)

    def good(self, messages, number):
        request = next(m["content"] for m in messages if m["role"] == "user")
        wanted = re.search(r"Propose (\d+) new designs", request)
        if wanted is None:
            return RANGES
        rng = np.random.default_rng((9, number))
        return [self.design(rng) for _ in range(int(wanted[1]))]

    def design(self, rng):
        return design_text(self.task, self.task.space.sample(rng))

    @property
    def complaints(self):
        """What was said when an answer could not be used."""
        return [m[-1]["content"] for m in self.asked if len(m) > 2]


def run(agent, policy, *, task, budget=BUDGET, seed=SEED, sizes=None, transcript=None, **settings):
    """The session after a run against the policy."""
    with ChatServer(policy) as server, task.session(budget, seed=seed) as session:
        config = LlmConfig(model="scripted", base_url=server.url, **settings)
        agent(config, sizes=sizes, transcript=transcript).run(session)
    return session


def designs(session):
    return [dict(e.design) for e in session.history]


@pytest.mark.parametrize(
    ("agent", "before", "after"),
    [
        (Opro, "", ""),
        (Opro, "```json\n", "\n```"),
        *((a, "The tail starves the pair.\n```json\n", "\n```\nThat should help.") for a in AGENTS),
    ],
)
def test_the_budget_is_used_up_and_no_more(agent, before, after, task):
    policy = Script(task, write=lambda text: before + text + after)
    session = run(agent, policy, task=task)
    assert len(session.history) == BUDGET and session.remaining == 0
    assert not policy.complaints
    assert session.usage.duplicates == 0 and session.usage.tokens > 0


@every_agent
def test_the_same_replies_and_seed_give_the_same_simulations(agent, task):
    first = Script(task, ["no idea", None, "still none"])
    session = run(agent, first, task=task, budget=9)
    again = run(agent, Script(task, first.answered), task=task, budget=9)
    assert again.history == session.history
    other = run(agent, Script(task, first.answered), task=task, budget=9, seed=SEED + 1)
    assert other.history != session.history


@every_agent
def test_the_transcript_holds_what_was_said_and_simulated(agent, task, tmp_path):
    policy = Script(task, ["no idea"])
    path = tmp_path / "cell" / "transcript.jsonl"
    with ChatServer(policy) as server, task.session(BUDGET) as session:
        loop = agent(LlmConfig(model="scripted", base_url=server.url))
        loop.keep_files_in(path.parent)
        loop.run(session)
    records = read_transcript(path)
    assert records[0].agent == agent.id and records[0].config == agent_config(loop)
    assert [r.content for r in records if isinstance(r, Replied)] == policy.answered
    simulated = [r.evaluation["design"] for r in records if isinstance(r, Simulated)]
    assert simulated == designs(session)
    said = [r for r in records if isinstance(r, Said)]
    assert [r.role for r in said].count("system") == 1
    assert isinstance(records[-1], End) and records[-1].reason == "the budget is used up"
    assert records[-1].simulations == BUDGET


@every_agent
def test_a_transcript_replays_to_the_same_simulations(agent, task, tmp_path):
    path = tmp_path / "t.jsonl"
    sizes = type(agent.default_sizes)(repairs=0)
    policy = Script(task, ["no idea", None, "none again"])
    session = run(agent, policy, task=task, budget=6, transcript=path, sizes=sizes)
    again = replay(path)
    assert again.equal, again.differences
    assert again.compared == 6 and again.score == session.best.score


mistakes = {
    "no JSON": ("I would widen the pair.", "holds no JSON object or list"),
    "cut off": ('{"w_pair": ["5u', "JSON cannot be read"),
    "no reply": ("", "holds no JSON object or list"),
    "no UTF-8": ('{"\ud800": 1}', "unknown parameter"),
}


@every_agent
@pytest.mark.parametrize(("text", "complaint"), mistakes.values(), ids=mistakes)
def test_an_unusable_answer_is_sent_back_with_its_mistake(agent, text, complaint, task):
    policy = Script(task, [text])
    session = run(agent, policy, task=task, budget=6)
    (said,) = policy.complaints
    assert complaint in said and "Nothing was simulated" in said and "```json" in said
    assert len(session.history) == 6


@every_agent
def test_a_model_that_was_cut_off_is_told_to_be_brief(agent, task):
    policy = Script(task)

    def cut_off_once(messages, tools):
        reply = policy(messages, tools)
        return Reply(text="First,", finish_reason="length") if len(policy.asked) == 1 else reply

    run(agent, cut_off_once, task=task, budget=3)
    (said,) = policy.complaints
    assert "cut off at its length limit, so be brief" in said


@pytest.mark.parametrize("agent", [Opro, AdoLlm], ids=lambda a: a.id)
def test_a_design_out_of_range_is_sent_back_with_the_range(agent, task):
    wrong = design_text(task, task.space.sample(np.random.default_rng(0))) | {"w_pair": "1"}
    policy = Script(task, [json.dumps([wrong])])
    run(agent, policy, task=task)
    (said,) = policy.complaints
    assert "w_pair = 1 is not allowed; it goes from 500 nm to 100 um" in said


@every_agent
def test_an_answer_is_sent_back_a_few_times_only(agent, task):
    policy = Script(task, ["?"] * 500)
    sizes = type(agent.default_sizes)(repairs=1)
    session = run(agent, policy, task=task, budget=6, sizes=sizes)
    steps = [m for m in policy.asked if len(m) == 2]
    assert len(policy.asked) == 2 * len(steps)
    assert 0 < len(session.history) <= 6


@pytest.mark.parametrize("agent", [Opro, AdoLlm], ids=lambda a: a.id)
def test_a_run_ends_when_every_spec_is_met(agent, task, tmp_path):
    policy = Script(task, [json.dumps([design_text(task, task.reference)])])
    path = tmp_path / "t.jsonl"
    session = run(agent, policy, task=task, budget=20, transcript=path)
    assert session.best.feasible and session.remaining > 0
    assert read_transcript(path)[-1].reason.startswith("all specs are met")


@every_agent
@pytest.mark.parametrize("budget", [0, 1, 2, 5])
def test_the_smallest_budgets_are_kept(agent, budget, task):
    session = run(agent, Script(task), task=task, budget=budget)
    assert len(session.history) == budget


@every_agent
def test_more_designs_than_are_left_are_never_simulated(agent):
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="generic")
    many = [Script(task).design(np.random.default_rng(k)) for k in range(30)]
    session = run(agent, Script(task, [json.dumps(many)] * 3), task=task, budget=7)
    assert len(session.history) == 7


@every_agent
def test_a_cap_ends_the_run_and_what_was_simulated_counts(agent, task, tmp_path):
    path = tmp_path / "t.jsonl"
    policy = Script(task)
    session = run(agent, policy, task=task, budget=20, transcript=path, max_turns=1)
    assert len(policy.asked) == 1 and 0 < len(session.history) < 20
    assert "the cap of 1 turns" in read_transcript(path)[-1].reason
    session = run(agent, policy, task=task, transcript=path, max_tokens=100)
    assert "the cap leaves no room" in read_transcript(path)[-1].reason


@every_agent
def test_a_model_that_cannot_be_talked_to_is_an_error(agent, task, tmp_path):
    path = tmp_path / "t.jsonl"

    def broken(messages, tools):
        raise RuntimeError("out of order")

    with pytest.raises(ModelError):
        run(agent, broken, task=task, transcript=path, retries=0)
    assert read_transcript(path)[-1].reason.startswith("ModelError")


class Unavailable(Simulator):
    """Loses every design."""

    def run(self, jobs):
        return [Outcome(Status.INFRA_ERROR, {}, "no ngspice") for _ in jobs]


@every_agent
def test_a_simulator_that_loses_every_design_does_not_keep_a_loop_going(agent, task):
    with (
        ChatServer(Script(task)) as server,
        task.session(BUDGET, simulator=Unavailable()) as session,
        pytest.raises(SimulatorUnavailable, match="no ngspice"),
    ):
        agent(LlmConfig(model="scripted", base_url=server.url)).run(session)


class Failing(Simulator):
    """No design converges."""

    def __init__(self):
        self.batches = []

    def run(self, jobs):
        self.batches.append(len(jobs))
        return [Outcome(Status.NONCONVERGED, {}, "no solution") for _ in jobs]


@every_agent
def test_failed_simulations_are_values(agent, task):
    policy = Script(task)
    with ChatServer(policy) as server, task.session(BUDGET, simulator=Failing()) as session:
        agent(LlmConfig(model="scripted", base_url=server.url)).run(session)
    assert len(session.history) == BUDGET
    assert "nonconverged" in policy.asked[-1][1]["content"]


@pytest.mark.parametrize(
    ("agent", "batches"), [(Opro, [1, 4, 2]), (Ledro, [2, 2, 2, 1]), (AdoLlm, [1, 1, 2, 2, 1])]
)
def test_optimisers_are_asked_for_as_many_designs_as_there_are_workers(agent, batches, task):
    simulator = Failing()
    with (
        ChatServer(Script(task)) as server,
        task.session(7, workers=2, simulator=simulator) as session,
    ):
        agent(LlmConfig(model="scripted", base_url=server.url)).run(session)
    assert simulator.batches == batches


@every_agent
def test_a_session_without_a_budget_is_refused(agent, task):
    with (
        task.session() as session,
        pytest.raises(ValueError, match="needs a session with a budget"),
    ):
        agent(LlmConfig(model="m", base_url="http://127.0.0.1:9/v1")).run(session)


@pytest.mark.parametrize("factory", [opro, ledro, ado_llm])
def test_a_factory_reads_a_file_or_the_environment(factory, tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text('model = "of-file"\nbase_url = "http://127.0.0.1:9/v1"\n')
    monkeypatch.setenv("ACS_GYM_LLM_MODEL", "of-environment")
    monkeypatch.setenv("ACS_GYM_LLM_BASE_URL", "http://127.0.0.1:9/v1")
    for agent, model in ((factory(str(file)), "of-file"), (factory(), "of-environment")):
        assert agent.settings.model == model
        assert agent_track(agent) == "metrics"
        assert agent_config(agent)["repairs"] == 3


@every_agent
def test_sizes_are_part_of_the_identity(agent):
    config = LlmConfig(model="m", base_url="http://x")
    other = type(agent.default_sizes)(repairs=1)
    assert agent(config).config != agent(config, sizes=other).config


@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [(OproSizes, {"shown": 0}), (LedroSizes, {"search": -1}), (Sizes, {"repairs": -1})],
)
def test_a_size_that_makes_no_sense_is_refused(sizes, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is at least"):
        sizes(**wrong)


@pytest.mark.parametrize("agent", [Ledro, AdoLlm], ids=lambda a: a.id)
def test_a_missing_library_is_answered_with_what_to_install(agent, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a)
    )
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'acs-gym\[botorch\]'"):
        agent(LlmConfig(model="m", base_url="http://x"))


def test_importing_the_loops_imports_no_heavy_library():
    code = (
        "import sys, agents.loops, agents.loops.opro, agents.loops.ledro, agents.loops.ado_llm;"
        "bad = {'torch', 'botorch', 'openai'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
