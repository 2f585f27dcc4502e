"""python -m leaderboard.check_agent SPEC: what is wrong with an agent, and how to mend it, in seconds.

Works for `stdio:COMMAND`, `mcp:COMMAND`, either after `container:`, registered ids and
`package.module:factory` alike, and needs no ngspice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from acs_gym import program
from leaderboard.agents.conformance import Finding, Verdict, check
from leaderboard.errors import LeaderboardError

EXIT_PROBLEMS, EXIT_USAGE = 1, 2

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)

_COLOURS = {Verdict.FINE: "green", Verdict.NOTE: "yellow", Verdict.PROBLEM: "bold red"}


@app.command()
def main(
    spec: Annotated[
        str,
        typer.Argument(
            help="The agent: stdio:COMMAND, mcp:COMMAND, either after container:, "
            "a registered id, or package.module:factory."
        ),
    ],
    budget: Annotated[int, typer.Option(help="Designs of a run.")] = 12,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for agent.log and wire.json of the first run.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that the agent may think at once.")
    ] = 60.0,
) -> None:
    """Say what is wrong with an agent, and how to mend it. Needs no ngspice and takes seconds.

    Exit code 0: nothing is wrong; 1: something is; 2: there is no such agent.

    [bold]Examples[/bold]

      python -m leaderboard.check_agent "stdio:python my_agent.py"

      python -m leaderboard.check_agent "mcp:python my_client.py mcp.json"

      python -m leaderboard.check_agent my_package.my_module:MyAgent
    """
    console = Console(highlight=False, soft_wrap=True)
    problems = 0
    try:
        if budget < 1:
            raise LeaderboardError(f"--budget is {budget}; it must be at least 1")
        if not timeout > 0:
            raise LeaderboardError(f"--timeout is {timeout:g}; it must be positive")
        if keep is not None:
            _make_folder(keep)
        for finding in check(spec, budget, timeout_s=timeout, keep=keep):
            problems += finding.verdict is Verdict.PROBLEM
            _show(finding, console.print)
    except LeaderboardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    verdict = f"{problems} to mend" if problems else "ready to be ranked"
    console.print(Text(verdict, style="bold"))
    raise typer.Exit(EXIT_PROBLEMS if problems else 0)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LeaderboardError(f"cannot write to --keep {folder}: {error.strerror}") from None


def _show(finding: Finding, show: Callable[[Text], None]) -> None:
    line = Text(f"{finding.verdict:<8}", style=_COLOURS[finding.verdict])
    show(line + Text(f"{finding.check}: {finding.found}", style="default"))
    if finding.remedy and finding.verdict is not Verdict.FINE:
        show(Text(f"        -> {finding.remedy}", style="default"))


if __name__ == "__main__":
    program.start()
    app()
