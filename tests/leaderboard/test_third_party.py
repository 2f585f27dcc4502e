"""The examples for authors, run as they would run them, through the real harness."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import sys

import pytest

from acs_gym.tools.mcp import RECORD
from leaderboard.wire.exchange import Exchange, Patience
from leaderboard.wire.isolation.levels import Container, Subprocess
from leaderboard.wire.mcp import McpAgent
from leaderboard.wire.mcp_lines import REVISIONS, USAGE
from leaderboard.wire.mcp_listener import CONFIG, CONFIG_VARIABLE
from leaderboard.wire.messages import ERRORS, MAX_LINE, MAX_PARAMETERS
from leaderboard.wire.schema import protocol_schema
from leaderboard.wire.stdio import StdioAgent
from leaderboard.wire.strict_json import MAX_DEPTH, MAX_DIGITS
from tests.leaderboard.wire_runs import EXAMPLES, analytic_session, drive, environment_with

SDK = EXAMPLES / "acs_gym_agent.py"


# Where there is no container, the level below repeats itself.
CONTAINER = Container()
HIGHEST = CONTAINER if CONTAINER.record()["level"] == "container" else Subprocess()


@pytest.fixture(scope="module")
def own_python(tmp_path_factory):
    """The Python of an agent that brings what it imports, in a folder that may be shown to it."""
    return environment_with(tmp_path_factory.mktemp("agents") / "environment", "optuna", "mcp")


def missing(program: str) -> bool:
    return shutil.which(program) is None


AGENTS = [
    pytest.param(
        f"{sys.executable} {EXAMPLES / 'optuna_agent.py'} {SDK}", id="optuna",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("optuna") is None, reason="optuna is not installed"
        ),
    ),
    pytest.param(
        f"mcp:{sys.executable} {EXAMPLES / 'mcp_agent.py'} mcp.json", id="mcp",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("mcp") is None, reason="mcp is not installed"
        ),
    ),
    pytest.param(
        f"node {EXAMPLES / 'random_agent.mjs'}", id="node",
        marks=pytest.mark.skipif(missing("node"), reason="node is not installed"),
    ),
    pytest.param(
        f"sh {EXAMPLES / 'random_agent.sh'}", id="shell",
        marks=pytest.mark.skipif(missing("jq") or missing("awk"), reason="jq is not installed"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("command", AGENTS)
def test_an_example_spends_its_budget_within_bounds_and_repeats_by_seed_in_every_level(
    tmp_path, own_python, command
):
    kind = McpAgent if command.startswith("mcp:") else StdioAgent
    command = command.removeprefix("mcp:").replace(sys.executable, own_python)
    first, second, other = (
        drive(command, tmp_path, seed=seed, kind=kind, isolation=isolation)
        for seed, isolation in ((1, Subprocess()), (1, HIGHEST), (2, Subprocess()))
    )
    assert second.record["isolation"]["level"] == HIGHEST.name
    for run in (first, second, other):
        assert run.error is None, run.error
        assert run.session.meter.used == 6 and run.session.usage.duplicates == 0
        assert "invalid_design" not in {str(e.status) for e in run.session.history}
        assert run.record["errors"] == [] and run.record["exit_code"] == 0
    assert first.session.history == second.session.history != other.session.history


def test_the_sdk_fits_on_a_page_imports_nothing_and_runs_on_old_pythons():
    source = SDK.read_text()
    assert len(source.splitlines()) <= 60
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported <= sys.stdlib_module_names
    assert not any(isinstance(n, ast.ImportFrom) for n in ast.walk(tree))


PAGE = EXAMPLES.parents[1] / "docs" / "wire-protocol.md"


def test_the_exchange_on_the_page_is_one_of_this_protocol():
    jsonschema = pytest.importorskip("jsonschema")
    lines = re.findall(r"^(harness|agent): +(\{.*)$", PAGE.read_text(), re.MULTILINE)
    speakers = " ".join(who for who, _ in lines)
    assert speakers == "harness agent" + " agent harness" * 3
    for who, line in lines:
        name = {"harness": "HarnessLine", "agent": "AgentLine"}[who]
        schema = {"$ref": f"#/$defs/{name}", "$defs": protocol_schema()["$defs"]}
        jsonschema.validate(json.loads(line), schema)
    assert lines[0][1].encode() == Exchange(analytic_session(2, seed=1)).opening().rstrip(b"\n")


def test_the_page_has_the_errors_and_the_limits_that_hold():
    page, patience = " ".join(PAGE.read_text().split()), Patience()
    for code, meaning in ERRORS.items():
        assert f"| {code} | {meaning} |" in page
    assert f"1 MB ({MAX_LINE:,} bytes)" in page
    assert f"| {MAX_PARAMETERS} parameters, names of 100 characters |" in page
    assert f"| answering `initialize` | {patience.start_s:g} s |" in page
    assert f"(or not reading an answer) | {patience.answer_s:g} s |" in page
    assert f"| errors in a row | {patience.errors} |" in page
    assert f"| calls in a row that simulate nothing | {patience.idle_calls} |" in page
    assert f"| ending after `finish` | {patience.leave_s:g} s |" in page
    assert f"integers of at most {MAX_DIGITS} digits" in page
    assert f"at most {MAX_DEPTH} levels" in page


def test_the_page_says_of_mcp_clients_what_holds():
    page, patience = " ".join(PAGE.read_text().split()), McpAgent.usual_patience
    assert f"the command has {patience.leave_s:g} s to end" in page
    assert f"{patience.start_s:g} s to connect, of {patience.answer_s:g} s between" in page
    assert f"{', '.join(REVISIONS[:-1])} and {REVISIONS[-1]}" in page
    assert CONFIG in page and CONFIG_VARIABLE in page and RECORD in page and USAGE in page


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    tests = "\n".join(p.read_text() for p in (PAGE.parents[1] / "tests").rglob("test_*.py"))
    assert len(named) > 30
    assert named <= set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))


SCRIPT = """
import sys
sys.path.insert(0, {sdk!r})
from acs_gym_agent import Refused, connect
with connect("mine", "2") as session:
    low = {{p["name"]: p["low"] for p in session.task["parameters"]}}
    try:
        session.simulate([low] * 9)
    except Refused as refused:
        print(refused)
    one = session.simulate(low)
    two = session.simulate([dict(low, w_pair=2e-6), {{}}])
    print(one["status"], [e["status"] for e in two], session.remaining)
    session.usage = {{"tokens": 5, "money": 0.25}}
    {end}
"""


@pytest.mark.parametrize("end", ["pass", "session.finish(recommendation=low, usage=session.usage)"])
def test_the_sdk_simulates_one_or_many_survives_refusals_and_finishes_once(tmp_path, end):
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.format(sdk=str(EXAMPLES), end=end))
    run = drive(f"{sys.executable} {script}", tmp_path)
    assert run.error is None, run.error
    refused, statuses = run.log.splitlines()
    assert refused.startswith("9 designs asked for, 6 remain")
    assert statuses == "ok ['ok', 'invalid_design'] 3"
    assert run.record["agent"] == {"name": "mine", "version": "2"}
    assert (run.session.usage.tokens, run.session.usage.money) == (5, 0.25)
