"""python -m agents.transcript: read a run's transcript, or run it again without its model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from acs_gym import program
from acs_gym.simulation.driver import SimulatorNotFound
from agents.transcript.records import TranscriptError, read_transcript
from agents.transcript.sheet import printable
from agents.transcript.turns import Conversation, read_turns

EXIT_DIFFERENT, EXIT_USAGE = 1, 2
# In a file or a pipe, where nothing is gained by folding to 80 columns.
_LOG_WIDTH = 140

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The transcript, e.g. transcript.jsonl.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Page to write.", show_default="FILE with .html")
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Print the conversation here and write no page.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Simulate it again, without its model, and compare.")
    ] = False,
) -> None:
    """Write a readable page of a transcript, or run it again.

    The page is one HTML file that loads nothing. --replay runs the agent once
    more with the replies that the transcript holds, needs neither key nor
    network, and compares every evaluation digit for digit: exit code 0 when
    all are equal, 1 when one is not, 2 when it cannot be done.

    [bold]Examples[/bold]

      python -m agents.transcript runs/transcripts/mine.jsonl

      python -m agents.transcript runs/transcripts/mine.jsonl --text

      python -m agents.transcript runs/transcripts/mine.jsonl --replay
    """
    try:
        if sum((text, replay, out is not None)) > 1:
            raise TranscriptError("give one of --text, --replay and --out")
        code = _replay(file) if replay else _show(file, out, text)
    except (TranscriptError, SimulatorNotFound, ImportError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    raise typer.Exit(code)


def _show(file: Path, out: Path | None, as_text: bool) -> int:
    from agents.transcript.terminal import conversation_text, summary

    conversation = read_turns(read_transcript(file))
    console = _console()
    if as_text:
        for part in conversation_text(conversation):
            console.print(part)
        return 0
    page = _write_page(conversation, file, out or file.with_suffix(".html"))
    console.print(summary(conversation))
    console.print(Text(f"Page: {page}"), soft_wrap=True)
    return 0


def _write_page(conversation: Conversation, file: Path, out: Path) -> Path:
    from agents.transcript.page import render

    if out.resolve() == file.resolve():
        raise TranscriptError(f"{out} is the transcript itself; name another file with --out")
    try:
        out.write_text(render(conversation), encoding="utf-8")
    except OSError as error:
        raise TranscriptError(f"cannot write {out}: {error.strerror}") from None
    return out


def _replay(file: Path) -> int:
    from agents.transcript.replay import AGENTS, replay

    found = replay(file)
    start, console = found.start, _console()
    how = (
        "the recorded designs"
        if AGENTS[start.agent] is None
        else f"{start.agent} with {found.replies} recorded replies"
    )
    score = "none" if found.score is None else f"{found.score:.4f}"
    said = [f"{start.task} on {start.pdk}, {start.tier}: {how}, simulated again."]
    if found.equal:
        said.append(f"{found.compared} evaluations equal to the digit; score {score}.")
    else:
        said += [
            f"{found.compared} evaluations compared; score {score}. Different: {found.differences[0]}",
            *([f"{len(found.differences) - 1} more differences"] if found.differences[1:] else []),
            "The transcript was edited, or was written with another version of ngspice.",
        ]
    if found.beyond and found.equal:
        said.append(f"The transcript is cut off; {found.beyond} simulated beyond its last line.")
    console.print(printable("\n".join(said)), markup=False, highlight=False, soft_wrap=True)
    return 0 if found.equal else EXIT_DIFFERENT


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    return console


if __name__ == "__main__":
    program.start()
    app(prog_name="python -m agents.transcript")
