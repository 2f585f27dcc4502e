"""`python -m leaderboard.check_agent`: an author is told what is wrong, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from acs_gym.evaluation import Status
from acs_gym.simulation.driver import LIBRARY_VARIABLE
from leaderboard.agents.analytic import AnalyticSimulator
from leaderboard.agents.conformance import Verdict, check
from leaderboard.check_agent import app
from tests.leaderboard.conftest import AGENTS, ROOT
from tests.leaderboard.wire_runs import EXAMPLES, adversary, task

STDIO = f"stdio:{sys.executable}"
PREAMBLE = f"""
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
from acs_gym_agent import *
import os, random
def draw(session, rng):
    return {{p["name"]: rng.randint(int(p["low"]), int(p["high"])) if p["integer"]
            else rng.uniform(p["low"], p["high"]) for p in session.task["parameters"]}}
"""
GOOD = """
with connect("good") as session:
    rng = random.Random(session.seed)
    while session.remaining:
        session.simulate(draw(session, rng))
"""


@pytest.fixture
def script(tmp_path):
    def _script(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(PREAMBLE + text)
        return f"{STDIO} {path}"

    return _script


def verdicts(spec: str, budget: int = 6, timeout_s: float = 30.0):
    return {f.check: f for f in check(spec, budget, timeout_s=timeout_s)}


@pytest.mark.parametrize("spec", ["sobol", "random", f"{AGENTS}:Walker"])
def test_agents_of_this_process_are_fine(spec):
    found = verdicts(spec)
    assert {f.verdict for name, f in found.items() if name != "reports usage"} == {Verdict.FINE}
    assert found["reports usage"].verdict is Verdict.NOTE


def test_a_command_is_fine(script):
    found = verdicts(script(GOOD))
    assert {f.verdict for name, f in found.items() if name != "reports usage"} == {Verdict.FINE}
    assert found["starts and answers initialize"].found == "it is good"


def test_a_command_that_is_an_mcp_client_is_fine():
    found = verdicts(f"mcp:{adversary('mcp_misbehaves', 'sound')}")
    assert {f.verdict for f in found.values()} == {Verdict.FINE}
    assert found["starts and connects"].found == "it is sound 1"
    assert found["reports usage"].found == "5 tokens, 0.25 $"


@pytest.mark.parametrize(
    ("does", "name", "says", "remedy"),
    [
        ("never_connects", "starts and connects", "did not connect to its server", "mcp.json"),
        ("bad_lines", "speaks the protocol only", "10 lines were refused", "standard input"),
        (
            "overspends",
            "finishes",
            "1 design asked for, 0 can still",
            "ask for at most what remains",
        ),
        ("exits_unused", "uses its budget", "simulated nothing of 6", "call simulate"),
    ],
)
def test_what_is_wrong_with_an_mcp_client_is_found(does, name, says, remedy):
    spec = f"mcp:{adversary('mcp_misbehaves', does)}"
    finding = verdicts(spec, timeout_s=1.0 if does == "never_connects" else 30.0)[name]
    assert finding.verdict is Verdict.PROBLEM
    assert says in finding.found and remedy in finding.remedy


@pytest.mark.parametrize(
    ("text", "name", "says", "remedy"),
    [
        ("import no_such_library", "starts and answers initialize",
         "No module named 'no_such_library'", "read one line from descriptor 3"),
        ('os.write(4, b"loading\\n")', "speaks the protocol only",
         "not JSON", "print to standard output"),
        (GOOD.replace("while session.remaining:", "while True:"), "finishes",
         "1 designs asked for, 0 remain", "ask for at most what remains"),
        (GOOD.replace("draw(session, rng)", 'dict(draw(session, rng), w_pair="wide")'),
         "speaks the protocol only", "valid number", "docs/wire-protocol.md"),
        (GOOD.replace("draw(session, rng)", "dict(draw(session, rng), w_pair=1.0)"),
         "bounds and types", "6 of 6 designs were invalid", "from low to high"),
        ('session = connect("x")\nraise SystemExit("I leave")', "finishes",
         "exit code 1; it printed last: 'I leave'", "send finish"),
        ('with connect("x") as session: pass', "uses its budget", "simulated nothing of 6", "call"),
        (GOOD.replace("random.Random(session.seed)", "random.Random()"),
         "same seed, same designs", "they part at design 1", "the session's seed"),
        (GOOD.replace("while session.remaining:", "for _ in range(2):"),
         "survives a refused batch", "1 designs asked for, 0 remain", "at most what remains"),
        (GOOD.replace("session.simulate(draw(session, rng))",
                      'session.simulate(draw(session, rng))["metrics"]["gain"] + 1.0'),
         "survives failed simulations", "NoneType", "a failed simulation is an answer"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_command_is_found(script, text, name, says, remedy):
    finding = verdicts(script(text))[name]
    assert finding.verdict is not Verdict.FINE
    assert says in finding.found and remedy in finding.remedy


@pytest.mark.parametrize(
    ("agent", "name", "says"),
    [
        ("Overspends", "finishes", "BudgetExhausted"),
        ("Raises", "finishes", "the agent has a bug"),
        ("Exits", "finishes", "I leave"),
        ("Idle", "uses its budget", "simulated nothing"),
        ("Nonsense", "bounds and types", "missing parameter"),
    ],
)
def test_what_is_wrong_with_an_agent_of_this_process_is_found(agent, name, says):
    finding = verdicts(f"{AGENTS}:{agent}")[name]
    assert finding.verdict is Verdict.PROBLEM and says in finding.found


@pytest.mark.parametrize("spec", [f"{AGENTS}:Slow", f"{STDIO} -c 'import time; time.sleep(600)'"])
def test_an_agent_that_hangs_is_ended(spec):
    ended = [f for f in verdicts(spec, timeout_s=1.0).values() if f.verdict is Verdict.PROBLEM]
    assert ended and "1 s" in ended[0].found


def test_usage_is_reported(script):
    text = GOOD + '    session.usage = {"tokens": 7, "money": 0.5}\n'
    finding = verdicts(script(text))["reports usage"]
    assert (finding.verdict, finding.found) == (Verdict.FINE, "7 tokens, 0.5 $")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sobol"], 0, "ready to be ranked"),
        ([f"{AGENTS}:Raises"], 1, "1 to mend"),
        (["sobl"], 2, "did you mean sobol"),
        (["stdio:nowhere"], 2, "there is no program nowhere"),
        ([f"{AGENTS}:NoRun"], 2, "no run(session) method"),
        (["sobol", "--budget", "0"], 2, "--budget is 0"),
        (["sobol", "--timeout", "0"], 2, "--timeout is 0"),
        (["sobol", "--keep", "/dev/null/x"], 2, "cannot write to --keep"),
    ],
)
def test_the_exit_code_says_how_it_went(arguments, code, says):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code
    assert says in done.output


def test_what_the_agent_printed_can_be_kept(script, tmp_path):
    spec, keep = script('print("hello")' + GOOD), tmp_path / "kept"
    done = CliRunner().invoke(app, [spec, "--keep", str(keep)])
    assert done.exit_code == 0
    assert (keep / "agent.log").read_text() == "hello\n"
    assert (keep / "wire.json").exists()


def test_it_needs_no_ngspice(script):
    environment = os.environ | {LIBRARY_VARIABLE: "/nowhere"}
    command = [sys.executable, "-m", "leaderboard.check_agent", script(GOOD)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_analytic_simulator_is_deterministic_solvable_and_not_easy():
    sized = task()
    simulator = AnalyticSimulator(sized)
    with sized.session(400, simulator=simulator) as session:
        evaluations = session.simulate([sized.space.sample(session.rng) for _ in range(400)])
    with sized.session(400, simulator=AnalyticSimulator(sized)) as again:
        assert again.simulate([e.design for e in evaluations]) == evaluations
    statuses = {e.status for e in evaluations}
    assert statuses == {Status.OK, Status.MEASURE_FAILED, Status.NONCONVERGED}
    assert sum(e.status is not Status.OK for e in evaluations) < 80
    assert sum(e.feasible for e in evaluations) < 40
    middle = sized.space.from_unit([0.5] * len(sized.space))
    with sized.session(1, simulator=simulator) as session:
        assert session.simulate(middle).feasible


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_share_of_failures_is_one(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        AnalyticSimulator(task(), share)
