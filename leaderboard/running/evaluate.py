"""From a request to a board: what `python -m leaderboard.run` and a notebook have in common."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acs_gym.session import available_cores
from leaderboard.cells.spec import FIXED
from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt, remove_unfinished
from leaderboard.running.backends import MakeBackend, Observer, find_backend
from leaderboard.running.plan import PlannedCell, plan_cells
from leaderboard.suites import SUITE_SEED, resolve_task
from leaderboard.trust.perturbations import Salt, targets_of
from leaderboard.trust.verified import look, run_checks, sign, signing_key

if TYPE_CHECKING:
    from leaderboard.board.chosen import Chosen
    from leaderboard.board.standings import Standings

# Called with the cells to run, once they are known; what it gives hears of them while it is open.
MakeObserver = Callable[[Sequence[PlannedCell]], AbstractContextManager[Observer]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        tasks, agents: by id, each an agent of its own.
        budget: simulations that an agent may spend on a task; seeds: repetitions.
        salt: targets are drawn from; None for the fixed ones of the circuits.
        out: folder of the results; what is finished there is not run again.
        backend: `local`, `ray`, `slurm` with options; jobs: cells at once, None for the backend's own.
    """

    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    budget: int
    seeds: int
    out: Path
    pdk: str = "sky130"
    tier: str = "tt"
    salt: Salt | None = None
    suite_seed: int = SUITE_SEED
    backend: str = "local"
    jobs: int | None = None

    def plan(self) -> list[PlannedCell]:
        """Every cell. Raises LeaderboardError on anything that cannot run."""
        return plan_cells(
            self.tasks, self.agents, repetitions=self.seeds, pdk=self.pdk, tier=self.tier,
            budget=self.budget, suite_seed=self.suite_seed, salt=self.salt,
        )  # fmt: skip

    def choose(self) -> Chosen:
        """The finished cells of the folder that are alike to those asked for."""
        # Here, because scipy.stats takes longer to import than everything else together.
        from leaderboard.board.chosen import choose

        return choose(
            self.out, pdk=self.pdk, tier=self.tier, budget=self.budget,
            suite_seed=self.suite_seed, targets=self.targets,
        )  # fmt: skip

    @property
    def targets(self) -> str:
        """As in a cell's spec."""
        return FIXED if self.salt is None else targets_of(self.salt)


@dataclass(slots=True)
class Run:
    """A request that is being carried out, alone in its folder.

    Attributes:
        cells: all of it; todo: those without a sound result.
        damage: of each damaged cell, what was found and where the files are now.
        failures: a line for each cell that could not be run.
    """

    request: Request
    cells: list[PlannedCell]
    store: Store
    todo: list[PlannedCell]
    damage: list[str]
    failures: list[str] = field(default_factory=list)
    _make_backend: MakeBackend | None = None

    @property
    def done(self) -> list[PlannedCell]:
        return [c for c in self.cells if self.store.is_done(c.key)]

    def carry_out(self, make_observer: MakeObserver) -> None:
        """Run what is to be run; KeyboardInterrupt ends it in order and passes through."""
        assert self._make_backend is not None
        jobs = self.request.jobs
        jobs = None if jobs is None else min(jobs, max(1, len(self.todo)))
        with make_observer(self.todo) as observer:
            runner = self._make_backend(self.store, jobs, _Signing(observer, self.store))
            runner.run(self.todo)
        self.failures += runner.failures


@contextmanager
def started(request: Request) -> Iterator[Run]:
    """A run of this request; nobody else writes to its folder meanwhile.

    Raises LeaderboardError for what cannot run, and where the folder cannot be written to.
    """
    make_backend = find_backend(request.backend)
    cells = request.plan()
    signing_key()
    store = _open(request.out)
    try:
        with store.locked():
            remove_unfinished(store.folder)
            todo, damage = _undone(cells, store)
            yield Run(request, cells, store, todo, damage, _make_backend=make_backend)
    except OSError as error:
        what = error.strerror or str(error)
        raise LeaderboardError(
            f"cannot write to --out {request.out}: {what}; put that right and run the same "
            "command again: what is finished is kept"
        ) from None


def evaluate(
    agents: Sequence[str | Callable[..., Any]],
    tasks: Sequence[str | Path],
    *,
    out: str | Path,
    budget: int = 40,
    seeds: int = 3,
    pdk: str = "sky130",
    tier: str = "tt",
    salt: Salt | None = None,
    suite_seed: int = SUITE_SEED,
    jobs: int | None = None,
    backend: str = "local",
) -> Standings:
    """Let agents spend the same budget on the same tasks, and compare them.

    Args:
        agents: names as `--agents` takes them, or classes and functions of modules that can be
            imported: cells run in processes of their own.
        tasks: ids, names of bundled circuits, or circuit folders.
        out: folder of the results. The same call again goes on where an earlier one stopped.
        budget: simulations that an agent may spend on a task.
        seeds: repetitions; rows of fewer than 10 are shown, not ranked.
        salt: targets are drawn from, others in each repetition (`leaderboard.trust.perturbations`).
        jobs: cells at once; None for one a core.

    Raises LeaderboardError for what cannot run, and where no cell could be finished. Cells that could
    not be run are named in a warning.
    """
    request = Request(
        tasks=tuple(resolve_task(str(task)) for task in tasks),
        agents=tuple(map(agent_name, agents)),
        budget=budget, seeds=seeds, out=Path(out), pdk=pdk, tier=tier, salt=salt,
        suite_seed=suite_seed, backend=backend,
        jobs=available_cores() if jobs is None and backend == "local" else jobs,
    )  # fmt: skip
    with started(request) as run:
        for text in run.damage:
            warnings.warn(text, stacklevel=2)
        run.carry_out(lambda _todo: _silence())
        if not run.done:
            raise nothing_finished(run)
        for text in run.failures:
            warnings.warn(f"not run: {text}", stacklevel=2)
    return request.choose().board()


def agent_name(agent: str | Callable[..., Any]) -> str:
    """As `--agents` takes it. Raises LeaderboardError for what another process cannot import."""
    if isinstance(agent, str):
        return agent
    module = getattr(agent, "__module__", "")
    name = getattr(agent, "__qualname__", "")
    if not name or module == "__main__" or "<" in name:
        raise LeaderboardError(
            f"agent {agent!r}: cells run in processes of their own, which cannot import it from here; "
            "put it into a module and give package.module:name"
        )
    return f"{module}:{name}"


def nothing_finished(run: Run) -> LeaderboardError:
    return LeaderboardError(
        f"no cell could be finished; the first failure: {run.failures[0]}; put that right and run "
        "the same command again: what was simulated is kept"
    )


def _open(folder: Path) -> Store:
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LeaderboardError(f"cannot write to --out {folder}: {error.strerror}") from None
    return Store(folder.resolve())


def check_folder(folder: Path) -> None:
    """Raises LeaderboardError where the results cannot be kept there."""
    if folder.exists() and not folder.is_dir():
        raise LeaderboardError(f"--out {folder} is a file; give a folder")


def _undone(cells: Sequence[PlannedCell], store: Store) -> tuple[list[PlannedCell], list[str]]:
    """The cells without a sound result; damaged files are named and moved aside."""
    todo, damage = [], []
    for cell in cells:
        try:
            if store.load(cell.key) is not None:
                continue
        except Corrupt as found:
            moved = store.set_aside(cell.key)
            damage.append(f"corrupt: {found}\n  kept as {', '.join(moved)}; the cell is run again")
        todo.append(cell)
    return todo, damage


class _Signing:
    """Sees to it that every cell that this run has finished is signed for; passes on what it hears."""

    def __init__(self, observer: Observer, store: Store) -> None:
        self._observer, self._store = observer, store

    def started(self, cell: PlannedCell) -> None:
        self._observer.started(cell)

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None:
        self._observer.advanced(cell, simulations, best)

    def finished(self, cell: PlannedCell) -> None:
        if self._store.is_done(cell.key):
            folder, result = self._store.cell(cell.key), self._store.result(cell.key)
            if isinstance(look(folder, result), str):  # Run where there was another key, or none.
                sign(folder, "run", run_checks(result))
        self._observer.finished(cell)

    def note(self, text: str) -> None:
        self._observer.note(text)

    def tick(self) -> None:
        self._observer.tick()


class _Nobody:
    """Hears what happens and says nothing."""

    def started(self, cell: PlannedCell) -> None: ...

    def advanced(self, cell: PlannedCell, simulations: int, best: float) -> None: ...

    def finished(self, cell: PlannedCell) -> None: ...

    def note(self, text: str) -> None: ...

    def tick(self) -> None: ...


@contextmanager
def _silence() -> Iterator[Observer]:
    yield _Nobody()
