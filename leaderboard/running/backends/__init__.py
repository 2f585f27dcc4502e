"""Where cells run: processes of this machine, a Ray cluster, a Slurm cluster.

A cell is pure and writes its own files, so cells are what is distributed, never single simulations.
Every backend ends up in `local`: a node of a cluster runs its cells in the very processes that this
machine would (`remote`), so the environment, the retries and the results are the same everywhere.

    local.py   one process a job slot, and what happens when one dies
    remote.py  cells on another machine, below a folder that all machines share
    ray.py     one Ray task a cell
    slurm.py   a Slurm job array, through submitit
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.running.plan import PlannedCell

BACKENDS = ("local", "ray", "slurm")


class Observer(Protocol):
    """Hears what happens, in order; for display."""

    def started(self, cell: PlannedCell) -> None: ...

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None: ...

    def finished(self, cell: PlannedCell) -> None: ...

    def note(self, text: str) -> None: ...

    def tick(self) -> None: ...


class Backend(Protocol):
    """Runs cells below one store."""

    failures: list[str]

    def run(self, cells: Sequence[PlannedCell]) -> None:
        """Run every cell; afterwards each has a result, or a line in `failures`. Called once.

        Raises LeaderboardError, before any cell has run, for what cannot work. KeyboardInterrupt
        ends every cell that is running, wherever it is, and passes through.
        """


# Called with the store, how many cells run at once (None leaves that to the backend), and who hears.
MakeBackend = Callable[[Store, int | None, Observer], Backend]


def find_backend(spec: str) -> MakeBackend:
    """What makes the backend that `NAME` or `NAME:KEY=VALUE,...` means: `slurm:partition=cpu,time=60`.

    Raises LeaderboardError for an unknown name or option, and for an extra that is not installed.
    """
    name, _, text = spec.partition(":")
    options = parse_options(text)
    if name == "local":
        from leaderboard.running.backends.local import LocalBackend

        _only(name, options, ())
        return LocalBackend
    if name == "ray":
        from leaderboard.running.backends.ray import OPTIONS, RayBackend, import_ray

        _only(name, options, OPTIONS)
        import_ray()
        return partial(RayBackend, address=options.get("address"))
    if name == "slurm":
        from leaderboard.running.backends.slurm import SlurmBackend, SlurmOptions, import_submitit

        _only(name, options, SlurmOptions.names())
        import_submitit()
        return partial(SlurmBackend, options=SlurmOptions.parse(options))
    raise unknown("backend", name, BACKENDS)


def parse_options(text: str) -> dict[str, str]:
    """`partition=cpu,nodelist=n1,n2` -> {partition: cpu, nodelist: "n1,n2"}.

    A part without `=` belongs to the value before it. Raises LeaderboardError.
    """
    options: dict[str, str] = {}
    key = ""
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if equals:
            key = name.strip()
            options[key] = value.strip()
        elif key:
            options[key] += f",{part.strip()}"
        else:
            raise LeaderboardError(f"--backend: {part!r} is no option; write KEY=VALUE,KEY=VALUE")
    return options


def _only(name: str, options: dict[str, str], known: Sequence[str]) -> None:
    for key in options:
        if not known:
            raise LeaderboardError(f"--backend {name} takes no options; {key!r} was given")
        if key not in known:
            raise unknown(f"option of --backend {name}", key, known)
