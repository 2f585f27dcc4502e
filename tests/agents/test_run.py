"""`python -m agents.run`: what a person at a terminal is told."""

import json

import pytest
from typer.testing import CliRunner

from agents.model import Reply
from agents.run import EXIT_MODEL, app
from agents.transcript.records import read_transcript
from tests.agents.faulty import FaultyServer, context_too_long
from tests.agents.policies import Walk
from tests.agents.test_servers import TOO_MUCH, Picky, limited


@pytest.fixture
def run(tmp_path):
    """Runs the command against a server, with more arguments."""

    def run_it(server, *more):
        known = [
            "--task",
            "ota5t",
            "--pdk",
            "generic",
            "--budget",
            "2",
            "--model",
            "m",
            "--workers",
            "1",
        ]
        where = ["--base-url", server.url, "--transcript", str(tmp_path / "t")]
        return CliRunner().invoke(app, [*known, *where, *more])

    return run_it


def test_a_run_without_a_simulation_says_why_and_fails(run):
    with FaultyServer(lambda m, t: Reply(text="I would rather talk.")) as server:
        result = run(server)
    assert result.exit_code == EXIT_MODEL
    assert "error: 8 turns in a row simulated nothing" in result.stderr
    assert "'I would rather talk.'" in result.stderr and "--tool-format text" in result.stderr


def test_a_server_that_refuses_is_quoted_with_what_to_try(run):
    refused = (400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"})
    with Picky(lambda r: refused) as server:
        result = run(server)
    assert result.exit_code == EXIT_MODEL
    assert "HTTP 400: registry.ollama.ai/library/gemma:2b does not support tools" in result.stderr
    assert "try --tool-format text" in result.stderr


def test_a_server_of_4096_tokens_works_by_default_and_what_was_changed_is_said(run, task):
    with Picky(limited(TOO_MUCH[0], prompt=2500), policy=Walk(task)) as server:
        result = run(server)
    assert result.exit_code == 0, result.stderr
    assert (
        "note: replies are shortened to what the server's context of 4096 tokens" in result.stderr
    )
    assert server.asked[0]["max_tokens"] == 4096 and len(server.asked) == 3


def test_the_longest_reply_is_a_flag(run, task):
    with FaultyServer(Walk(task)) as server:
        assert run(server, "--reply-tokens", "777").exit_code == 0
    assert {r["max_tokens"] for r in server.requests} == {777}


def test_a_context_that_fills_up_drops_its_oldest_turns(run, task, tmp_path):
    """The server counts four characters a token, tools included."""

    def counted(request):
        prompt = len(json.dumps([request["messages"], request["tools"]])) // 4
        return limited(TOO_MUCH[1], context=4000, prompt=prompt)(request)

    with Picky(counted, policy=Walk(task)) as server:
        result = run(server, "--budget", "12")
    assert result.exit_code == 0, result.stderr
    records = read_transcript(tmp_path / "t")
    assert sum(r.type == "evaluation" for r in records) == 12
    assert any("Earlier turns are left out" in json.dumps(r) for r in server.asked)


def test_a_task_that_fits_into_no_context_is_said(run):
    with FaultyServer(lambda m, t: Reply(), [context_too_long] * 9) as server:
        result = run(server)
    assert result.exit_code == EXIT_MODEL
    assert "1200 input tokens; start the server with a longer context" in result.stderr
