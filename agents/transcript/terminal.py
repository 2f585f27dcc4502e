"""A transcript on a terminal: a summary, or the whole conversation.

What a model wrote is printed as text: neither rich's markup nor a terminal's control characters in it
do anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agents.transcript.page import COLUMNS, indented, seconds_text
from agents.transcript.records import Simulated
from agents.transcript.sheet import Quantity, Sheet, printable
from agents.transcript.turns import AnsweredCall, Conversation, Turn

# Of an answer in the plain conversation; a history holds again what stands above.
_LONGEST_ANSWER = 300


def summary(conversation: Conversation) -> Table:
    """What the run came to, in one small table."""
    start, best = conversation.start, conversation.best
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    score = "nothing simulated"
    if best is not None:
        verdict = "all specs met" if best.evaluation["feasible"] else "specs missed"
        score = f"{best.evaluation['score']:.4f} with design {best.number}, {verdict}"
    budget = "" if start.budget is None else f" of {start.budget}"
    tokens = f"{conversation.prompt_tokens:,} in, {conversation.completion_tokens:,} out"
    for name, value in {
        "task": f"{start.task} on {start.pdk}, {start.tier}",
        "agent": start.agent,
        "model": conversation.model or "none here",
        "replies": str(len(conversation.replies)),
        "tokens": tokens if conversation.replies else "none",
        "dollars": f"{conversation.usd:.4f}" if conversation.usd else "not counted",
        "simulations": f"{conversation.simulations}{budget}",
        "best score": score,
        "ended": conversation.reason,
    }.items():
        table.add_row(name, _text(value))
    return table


def conversation_text(conversation: Conversation) -> Iterator[RenderableType]:
    """The conversation, part by part."""
    sheet = Sheet.of(conversation.start)
    if conversation.before:
        yield _rule("Simulated before the model was asked" if conversation.turns else "Simulated")
        yield from _designs(sheet, conversation.before)
    for turn in conversation.turns:
        yield from _turn(sheet, turn)
    yield _rule("End")
    yield summary(conversation)


def _turn(sheet: Sheet, turn: Turn) -> Iterator[RenderableType]:
    yield _rule(f"Turn {turn.number}")
    reply = turn.reply
    if reply is not None:
        facts = [
            f"{reply.prompt_tokens:,} tokens in, {reply.completion_tokens:,} out",
            *([f"{reply.usd:.4f} $"] if reply.usd else []),
            f"model {seconds_text(reply.seconds)}, agent {seconds_text(reply.agent_seconds)}",
            *([f"{reply.attempts} attempts"] if reply.attempts > 1 else []),
            *(["cut off at the length limit"] if reply.finish_reason == "length" else []),
        ]
        yield Text("; ".join(facts), style="dim")
    for said in turn.prompt:
        yield from _said("System prompt" if said.role == "system" else "Agent", said.content)
    for fault in turn.faults:
        yield _text(f"no reply: {fault.message}", style="yellow")
    for note in turn.notes:
        yield _text(f"note: {note}", style="yellow")
    if reply is None:
        return
    if reply.reasoning:
        yield from _said("Reasoning", reply.reasoning, style="dim")
    if turn.text:
        yield from _said("Model", turn.text)
    for call in turn.calls:
        yield from _call(sheet, call)
    if turn.evaluations:
        yield Text("\nSimulated by the agent", style="bold")
        yield from _designs(sheet, turn.evaluations)


def _call(sheet: Sheet, call: AnsweredCall) -> Iterator[RenderableType]:
    yield _text(f"\nCall {call.name or '(no tool)'}", style="bold")
    if call.evaluations:
        yield from _designs(sheet, call.evaluations)
        return
    if call.designs:
        rows = sheet.design_quantities(call.designs)
        yield _table("asked for", [f"{k}" for k in range(1, len(call.designs) + 1)], rows, False)
    else:
        yield _quoted(indented(call.arguments))
    if call.refusal:
        yield _text(f"refused: {call.refusal}", style="yellow")
    elif call.transistors:
        yield _transistors(call)
    elif call.answer is not None:
        yield _text(f"answered: {call.answer[:_LONGEST_ANSWER]}")


def _transistors(call: AnsweredCall) -> Table:
    table = Table(header_style="bold")
    table.add_column("transistor")
    devices = call.transistors
    names = list(dict.fromkeys(name for values in devices.values() for name in values))
    for name in names:
        table.add_column(_text(name), justify="right")
    for device, values in devices.items():
        table.add_row(_text(device), *(_text(str(values.get(name, ""))) for name in names))
    return table


def _designs(sheet: Sheet, group: Sequence[Simulated]) -> Iterator[RenderableType]:
    for first in range(0, len(group), COLUMNS):
        some = group[first : first + COLUMNS]
        names = [f"#{s.number}" for s in some]
        sizes = sheet.design_quantities([s.evaluation["design"] for s in some])
        yield _table("sizing", names, sizes, False)
        scores = [f"{n} {s.evaluation['score']:.4f}" for n, s in zip(names, some, strict=True)]
        yield _table("metric", scores, sheet.metric_quantities(some), True)
        for s in some:
            if s.evaluation["message"]:
                what = f"{s.evaluation['status']}: {s.evaluation['message']}"
                yield _text(f"design {s.number}: {what}", style="yellow")


def _table(first: str, names: Sequence[str], quantities: Sequence[Quantity], specs: bool) -> Table:
    table = Table(header_style="bold")
    table.add_column(first)
    if specs:
        table.add_column("spec")
    for name in names:
        table.add_column(name, justify="right")
    for quantity in quantities:
        cells = [
            Text(printable(c.text))
            if c.met is None
            else Text(f"{c.text} {'✓' if c.met else '✗'}", style="green" if c.met else "red")
            for c in quantity.cells
        ]
        table.add_row(_text(quantity.name), *([Text(quantity.spec)] if specs else []), *cells)
    return table


def _said(who: str, text: str, style: str = "") -> Iterator[RenderableType]:
    yield Text(f"\n{who}", style="bold")
    yield _quoted(text, style)


def _quoted(text: str, style: str = "") -> Padding:
    return Padding(_text(text, style=style), (0, 0, 0, 2), expand=False)


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _rule(title: str) -> Rule:
    return Rule(title, align="left", style="dim")
