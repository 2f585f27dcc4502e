"""`acs-gym`: look at tasks, simulate a sizing, draw it, bring a circuit of your own, check this machine.

Exit codes: 0 done, 1 the simulation or a check failed, 2 wrong use or something missing (one line
on stderr says what). Commands import what they need when they run, so `--help` is quick.

Other packages bring commands of their own (`acs-gym run` is the leaderboard's) through the entry-point
group `acs_gym.commands`: name -> a function that typer makes a command of. This package imports none of
them before one is named.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence

import typer

from acs_gym import program
from acs_gym.cli import catalogue, check, corners, doctor, gmid, harbor, importing, new, pdk, sizing

GROUP = "acs_gym.commands"


def brought() -> dict[str, importlib.metadata.EntryPoint]:
    """Name -> entry point of every command that another package brings; nothing is imported."""
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


app = typer.Typer(
    name="acs-gym",
    help="Analog circuit sizing on real ngspice simulation.",
    epilog=f"Commands of other packages: {', '.join(sorted(brought()))}." if brought() else None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("list")(catalogue.list_tasks)
app.command("show")(catalogue.show)
app.command("simulate")(sizing.simulate)
app.command("corners")(corners.corners)
app.command("plot")(sizing.plot)
app.command("gmid")(gmid.gmid)
app.command("new")(new.new)
app.command("import")(importing.import_netlist)
app.command("export")(importing.export)
app.command("export-harbor")(harbor.export_harbor)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.add_typer(pdk.app, name="pdk")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (`sys.argv` without `arguments`) and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    own = {command.name for command in app.registered_commands}
    point = brought().get(given[0]) if given and given[0] not in own else None
    if point is not None:
        app.command(point.name)(point.load())
    program.start()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="acs-gym")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        if not isinstance(error, _expected()):
            raise
        print(f"acs-gym: {error}", file=sys.stderr)
        return 2
    return 0


def _expected() -> tuple[type[Exception], ...]:
    """What a person can cause; anything else is a defect of ours and keeps its traceback."""
    import acs_gym

    return (
        acs_gym.TaskNotFound,
        acs_gym.CircuitError,
        acs_gym.PdkError,
        acs_gym.InvalidDesign,
        acs_gym.InvalidSpec,
        acs_gym.SimulatorNotFound,
        OSError,
    )
