"""Transcripts for tests, made by really running agents: over HTTP, on real simulations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acs_gym.task import Task
from acs_gym.tools.answers import design_text
from agents.chat_server import ChatServer
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.loops.opro import Opro
from agents.model import Message, Reply, ToolCall, ToolDefinition
from agents.text_format import write_calls
from agents.transcript.records import End, Simulated, Start, TranscriptWriter

Edit = Callable[[list[dict[str, Any]]], Any]
HOSTILE = (
    '<script>document.title = "owned"</script> & <b>bold</b> "quoted" \x1b[2J [bold]markup[/bold]'
)


class Designer:
    """Goes through everything that a transcript can hold; looks at how often it was asked alone."""

    def __init__(self, task: Task, text: str = HOSTILE) -> None:
        random = [task.space.sample(np.random.default_rng(k)) for k in range(4)]
        self.designs = [design_text(task, d) for d in random]
        self.reference = design_text(task, task.reference or {})
        self.text = text

    def __call__(self, messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> Reply:
        turn = sum(m["role"] == "assistant" for m in messages)
        first, second, third, fourth = self.designs
        replies = [
            Reply(self.text, "Start with gm/Id.", (_call("simulate", designs=[first, second]),)),
            Reply(calls=(_call("operating_point", design=1),
                         _call("simulate", designs=[first | {"w_pair": "1 km", "nonsense": 3}]))),
            Reply("No call, only talk."),
            Reply("Three at once.", "Hm.", (
                _call("simulate", designs=[third, self.reference, fourth]),
                _call("nope", a=1), ToolCall("z", "simulate", "{broken"), _call("history"))),
            Reply("Done.", calls=(_call("finish", summary="met"),)),
        ]  # fmt: skip
        reply = replies[turn]
        if not tools:
            return Reply(write_calls(reply.text, reply.calls), reply.reasoning)
        return reply


def proposer(task: Task) -> Callable[..., Reply]:
    """Writes designs as plain JSON, other ones each time it is asked."""

    def policy(messages: Sequence[Message], _tools: Sequence[ToolDefinition]) -> Reply:
        rng = np.random.default_rng(len(json.dumps(messages)))
        designs = [design_text(task, task.space.sample(rng)) for _ in range(2)]
        return Reply(f"Try these.\n```json\n{json.dumps(designs)}\n```")

    return policy


def record_llm(path: Path, task: Task, policy: Any = None, **settings: Any) -> Path:
    """A run of `llm`."""
    with ChatServer(policy or Designer(task)) as server:
        config = LlmConfig(**{"model": "gpt-4.1-mini", "base_url": server.url} | settings)
        with task.session(budget=6, seed=3) as session:
            LlmAgent(config, transcript=path).run(session)
    return path


def record_opro(path: Path, task: Task) -> Path:
    """A run of an agent that reads plain text."""
    with ChatServer(proposer(task)) as server:
        config = LlmConfig(model="m", base_url=server.url)
        with task.session(budget=8, seed=3) as session:
            Opro(config, transcript=path).run(session)
    return path


def record_mcp(path: Path, task: Task) -> Path:
    """What the MCP server writes: evaluations alone."""
    writer = TranscriptWriter(path)
    writer.write(
        Start(
            agent="mcp", task=task.id, task_digest=task.digest, pdk=task.pdk_name, tier=task.tier,
            specs=task.specs.targets, budget=20, seed=0, config={}, started="2026-01-01T00:00:00",
        )
    )  # fmt: skip
    with task.session(budget=20) as session:
        session.on_call = lambda c: writer.write(Simulated.of(len(session.history), c.evaluation))
        session.simulate(task.reference or {})
        session.simulate([task.space.sample(np.random.default_rng(k)) for k in range(6)])
        best, used = session.best, session.meter.used
    assert best is not None
    writer.write(
        End(
            reason="the client left", score=best.score, feasible=best.feasible, simulations=used,
            replies=0, prompt_tokens=0, completion_tokens=0, usd=0, seconds=1.5,
        )
    )  # fmt: skip
    writer.close()
    return path


def edited(path: Path, copy: Path, change: Edit) -> Path:
    """A copy whose lines `change` has altered in place."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    change(lines)
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return copy


def of_type(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == kind]


def _call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(f"c-{name}", name, json.dumps(arguments))
