"""Inspect AI (`make test-inspect`): its own evaluation, its mock model, its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acs_gym.tools.problem import Problem, problems, solution
from agents.chat_server import ChatServer
from agents.model import Reply, ToolCall
from tests.frameworks.page import code_of, command_of

pytest.importorskip("inspect_ai")
PROBLEM = Problem("ACS-OTA5T-v0", "generic", 3)


@pytest.fixture
def evaluated(tmp_path):
    from inspect_ai import eval as evaluate
    from inspect_ai.model import get_model

    from acs_gym.integrations.inspect_ai import sizing_of

    def run(problem, outputs):
        model = get_model("mockllm/model", custom_outputs=outputs)
        (log,) = evaluate(sizing_of([problem]), model=model, log_dir=str(tmp_path), display="none")
        assert log.status == "success", log.error
        return log.samples[0]

    return run


def calls(name, arguments):
    from inspect_ai.model import ModelOutput

    return counted(ModelOutput.for_tool_call("mockllm/model", name, arguments))


def counted(output):
    """With tokens, which the mock model would count with a vocabulary that it downloads."""
    from inspect_ai.model import ModelUsage

    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def test_a_model_that_knows_the_answer_is_scored_1(evaluated):
    (problem,) = problems("held-out-targets", 1, tasks=[PROBLEM.task], pdk="generic", budget=3)
    task = problem.make()
    middle = task.space.from_unit([0.5] * len(task.space))
    sample = evaluated(problem, [
        calls("simulate", {"designs": [middle]}),
        calls("operating_point", {"design": None}),
        calls("simulate", {"designs": [solution(problem)]}),
    ])  # fmt: skip
    (score,) = sample.scores.values()
    assert score.value == {"score": 1.0, "solved": 1, "simulations": 2}
    answers = [json.loads(m.text) for m in sample.messages if m.role == "tool"]
    assert answers[0]["simulations_left"] == 2 and "transistors" in answers[1]


def test_a_model_that_calls_nothing_is_scored_0(evaluated):
    from inspect_ai.model import ModelOutput

    sample = evaluated(
        PROBLEM, [counted(ModelOutput.from_content("mockllm/model", "w = 1")) for _ in range(3)]
    )
    (score,) = sample.scores.values()
    assert score.value == {"score": 0.0, "solved": 0, "simulations": 0}


def test_the_page_s_code_runs(tmp_path, monkeypatch):
    from inspect_ai.model import get_model

    monkeypatch.chdir(tmp_path)
    model = get_model("mockllm/model", custom_outputs=[calls("finish", {"summary": "no"})])
    exec(code_of("Inspect AI", **{'"openai/gpt-4.1-mini"': "model"}), {"model": model})
    assert list((tmp_path / "logs").glob("*.eval"))


BY_NAME = """
from inspect_ai import eval as evaluate
from inspect_ai.model import ModelOutput, ModelUsage, get_model

output = ModelOutput.for_tool_call("mockllm/model", "finish", {"summary": "no"})
output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
(log,) = evaluate(
    "acs_gym/sizing",
    model=get_model("mockllm/model", custom_outputs=[output]),
    task_args={"pdk": "generic", "number": 1, "tasks": "ACS-OTA5T-v0", "budget": 2},
    log_dir=".",
    display="none",
)
print(log.status, log.eval.task, *[m.text for m in log.samples[0].messages if m.role == "tool"])
"""


def outside(command, folder, **variables):
    """Run in a folder apart, where the installed package is what there is of this project."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


def test_inspect_finds_the_task_by_its_name(tmp_path):
    done = outside([sys.executable, "-c", BY_NAME], tmp_path)
    assert done.stdout.split() == ["success", "acs_gym/sizing", '{"finished":true}'], done.stderr


def samples_of(folder):
    """Of the one log that a command left, which must have ended well."""
    from inspect_ai.log import read_eval_log

    (path,) = (folder / "logs").glob("*.eval")
    log = read_eval_log(str(path))
    assert log.status == "success" and log.eval.task == "acs_gym/sizing", log.error
    return log.samples


def test_the_page_s_command_runs_as_it_stands(tmp_path):
    """Word for word, with OpenAI's own client; a server on loopback is the model."""

    def once(messages, tools):
        tried = any(message["role"] == "tool" for message in messages)
        (problem,) = {m["content"] for m in messages if m["role"] == "system"}
        designs = [] if tried else [middles[problem]]
        call = ("finish", {"summary": ""}) if tried else ("simulate", {"designs": designs})
        return Reply(calls=(ToolCall("a", call[0], json.dumps(call[1])),))

    middles = {}
    for problem in problems("held-out-targets", 20, pdk="generic", budget=10):
        space = problem.make().space
        middles[problem.messages()[0]["content"]] = space.from_unit([0.5] * len(space))
    variables, (program, *words) = command_of("Inspect AI")
    assert program == "inspect" and not variables
    with ChatServer(once) as server:
        done = outside(
            [Path(sys.executable).with_name(program), *words],
            tmp_path,
            OPENAI_BASE_URL=server.url,
            OPENAI_API_KEY="none",
            INSPECT_DISPLAY="plain",
        )
    assert done.returncode == 0, done.stdout + done.stderr
    samples = samples_of(tmp_path)
    assert len(samples) == 20 and len(server.requests) == 40
    values = [score.value for sample in samples for score in sample.scores.values()]
    assert {v["simulations"] for v in values} == {1} and all(v["score"] > 0 for v in values)


# The mock model counts tokens with a vocabulary that it downloads; one token a byte does as well.
WITHOUT_DOWNLOAD = """
import sys
import tiktoken.registry

tiktoken.registry.ENCODINGS["o200k_base"] = tiktoken.Encoding(
    "bytes", pat_str="(?s:.)", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={}
)
from inspect_ai._cli.main import main

main()
"""


def test_the_command_runs_with_inspect_s_mock_model(tmp_path):
    _, words = command_of("Inspect AI")
    instead = {"openai/gpt-4.1-mini": "mockllm/model", "number=20": "number=1"}
    assert instead.keys() <= set(words)
    options = [instead.get(word, word) for word in words[1:]]
    done = outside(
        [sys.executable, "-c", WITHOUT_DOWNLOAD, *options], tmp_path, INSPECT_DISPLAY="plain"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sample,) = samples_of(tmp_path)
    (score,) = sample.scores.values()
    assert score.value == {"score": 0.0, "solved": 0, "simulations": 0}
    assert sum(m.role == "assistant" for m in sample.messages) == 3
