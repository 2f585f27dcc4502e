"""How hard a task is for somebody who knows nothing: what blind sampling finds.

The feasible share of a scrambled Sobol sample, and the best score among its first hundred designs. A
task that a hundred blind designs solve measures nothing. The sample is fixed, so the same task gives
the same numbers; nothing here has a side effect but the simulations.

A folder keeps the numbers in `difficulty.json`, `{pdk: {tier: {...}}}`, each with the digest of the task
that was measured: those of another version of the circuit or its specs are recognised as stale.
`benchmarks/difficulty.py` writes the file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)  # fmt: skip

from acs_gym.circuit import CircuitError
from acs_gym.circuit_files import Unreadable, read_text
from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import Evaluation, Status
from acs_gym.session import available_cores
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task
from acs_gym.wording import first_problem

FILE = "difficulty.json"
FIRST = 100  # The blind designs that must not solve a task.
EASY_SHARE = 0.002  # Of a sample; beyond it there is little left to search for.
_SEED = 0
_BATCH = 100
# Designs simulated at every condition at once, in the hope that one of them rules out the others.
_CANDIDATES = 8

Progress = Callable[[int, int], None]
_T = TypeVar("_T")


class Difficulty(BaseModel):
    """What blind sampling finds of a task.

    Attributes:
        digest: of the task that was measured (`Task.digest`).
        designs: sampled.
        feasible: of these.
        best_of_100: the best score among the first hundred (or all, when there are fewer).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    designs: Annotated[int, Field(ge=1)]
    feasible: Annotated[int, Field(ge=0)]
    best_of_100: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _a_share(self) -> Difficulty:
        if self.feasible > self.designs:
            raise ValueError(f"{self.feasible} feasible of {self.designs} designs")
        return self

    @property
    def share(self) -> float:
        return self.feasible / self.designs

    @property
    def text(self) -> str:
        """`3 of 2000 · best 0.87`; the score is rounded down, so that 1.00 is a solved task."""
        return f"{self.feasible} of {self.designs} · best {math.floor(100 * self.best_of_100) / 100:.2f}"

    @property
    def advice(self) -> str:
        """What the author of the circuit should think of it; empty when it is as it should be."""
        if self.best_of_100 == 1.0:
            return f"too easy: {FIRST} random designs solve it; tighten the specs that conflict"
        if self.share > EASY_SHARE:
            return (
                f"rather easy: {self.share:.2%} of blind designs are feasible; at most "
                f"{EASY_SHARE:.1%} leaves something to search for"
            )
        if self.best_of_100 == 0.0:
            return (
                f"the first {FIRST} designs score nothing at all: are gates or ranges too narrow?"
            )
        return ""


def sobol_designs(space: DesignSpace, count: int) -> list[Design]:
    """The first `count` designs of the scrambled Sobol sequence that difficulty is measured with."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space), scramble=True, seed=_SEED)
    points = sequence.random_base2(max(0, math.ceil(math.log2(count))))
    return [space.from_unit(p) for p in points[:count]]


def measure_difficulty(
    task: Task,
    *,
    designs: int = 2000,
    simulator: Simulator | None = None,
    progress: Progress | None = None,
) -> Difficulty:
    """Simulate a sample of `designs` blind designs of `task`.

    In a tier of several conditions each design is simulated at nominal first, and what cannot change
    the answer is left out: a design that misses a target at nominal, or at any one condition of
    `pvt`, is infeasible; one whose nominal score is below the best found is not the best. Under `pvt`
    both are exact, since nominal is one of the conditions and the worst one counts. Under `mc` they
    suppose that a metric's three-sigma value is no better than its nominal one.

    Args:
        designs: how many; at least 1.
        simulator: by default, workers on all cores.
        progress: called with (simulations done, simulations expected at most).

    Raises ValueError for a wrong number, CircuitError when no design can be simulated at all because
    the circuit asks for something that the simulator does not give.
    """
    if designs < 1:
        raise ValueError(f"difficulty needs at least one design, got {designs}")
    run = _Run(task, simulator or shared_pool(available_cores()), progress or _silent)
    sample = sobol_designs(task.space, designs)
    nominal = run.nominal(sample)
    head = nominal[:FIRST]
    if task.cost == 1:
        feasible = sum(e.feasible for e in nominal)
        best = max(e.score for e in head)
    else:
        solved = run.solved([k for k, e in enumerate(nominal) if e.feasible], sample)
        feasible = len(solved)
        best = 1.0 if any(k < FIRST for k in solved) else run.best_of(head)
    run.finish()
    return Difficulty(digest=task.digest, designs=designs, feasible=feasible, best_of_100=best)


class _Run:
    """The simulations of one measurement, counted for whoever watches."""

    def __init__(self, task: Task, simulator: Simulator, progress: Progress) -> None:
        self._task, self._simulator, self._progress = task, simulator, progress
        self._done = 0

    def nominal(self, designs: Sequence[Design]) -> list[Evaluation]:
        """Every design at the nominal condition, judged by the targets of the tier."""
        task = self._task
        found: list[Evaluation] = []
        for part in _batches(designs, _BATCH):
            outcomes = self._simulate([_nominal_job(task, d) for d in part], len(designs))
            if all(o.status is Status.INFRA_ERROR for o in outcomes) and not found:
                raise CircuitError(f"{task.id}: no design can be simulated: {outcomes[0].message}")
            found += [
                Evaluation.judged(d, o.status, o.metrics, task.specs)
                for d, o in zip(part, outcomes, strict=True)
            ]
        return found

    def solved(self, candidates: Sequence[int], designs: Sequence[Design]) -> list[int]:
        """Which of the candidates, feasible at nominal, are so in the tier; both by number."""
        task, conditions = self._task, list(range(self._task.cost))
        # Draws are judged together, so one that fails says nothing; a corner that fails is enough.
        together = task.conditions.kind == "mc"
        waves = [conditions] if together else [[c] for c in conditions]
        found: list[int] = []
        for part in _batches(candidates, _CANDIDATES):
            outcomes: dict[int, list[Outcome]] = {k: [] for k in part}
            for wave in waves:
                jobs = [task.job(designs[k], c) for k in outcomes for c in wave]
                results = iter(self._simulate(jobs, self._done + len(jobs)))
                for done in outcomes.values():
                    done += [next(results) for _ in wave]
                outcomes = {
                    k: done
                    for k, done in outcomes.items()
                    if (
                        task.judge(designs[k], *done).feasible
                        if together
                        else task.passes(done[-1])
                    )
                }
            found += outcomes
        return found

    def best_of(self, designs: Sequence[Evaluation]) -> float:
        """The best score in the tier of designs whose nominal scores are upper bounds of it."""
        task, best = self._task, 0.0
        order = sorted(designs, key=lambda e: -e.score)
        for part in _batches(order, _CANDIDATES):
            part = [e for e in part if e.score > best]
            jobs = [task.job(dict(e.design), c) for e in part for c in range(task.cost)]
            results = iter(self._simulate(jobs, self._done + len(jobs)))
            for evaluation in part:
                outcomes = [next(results) for _ in range(task.cost)]
                best = max(best, task.judge(dict(evaluation.design), *outcomes).score)
        return best

    def finish(self) -> None:
        self._progress(self._done, self._done)

    def _simulate(self, jobs: Sequence[Job], expected: int) -> list[Outcome]:
        outcomes = simulate_uncharged(jobs, self._simulator)
        self._done += len(jobs)
        self._progress(self._done, max(expected, self._done))
        return outcomes


def _nominal_job(task: Task, design: Design) -> Job:
    if task.conditions.kind == "mc":  # No draw is nominal.
        return Job(task.program, design)
    return task.job(design, task.conditions.nominal)


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _silent(_done: int, _expected: int) -> None:
    pass


# --- difficulty.json ------------------------------------------------------------------------------

Difficulties = dict[str, dict[str, Difficulty]]
_FILE = TypeAdapter(Difficulties)


def read_difficulties(folder: Path) -> Difficulties:
    """PDK -> tier -> what `difficulty.json` says; empty without one. Raises CircuitError."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        return _FILE.validate_json(read_text(path))
    except Unreadable as error:
        raise CircuitError(f"{path}: {error}") from None
    except ValidationError as error:
        problem = first_problem(error, "file")
        raise CircuitError(f"{path}: {problem}; delete the file") from None


def known_difficulty(task: Task) -> Difficulty | None:
    """What was measured of this very task; None where nothing was, or of another version of it."""
    found = read_difficulties(task.circuit.folder).get(task.pdk_name, {}).get(task.tier)
    return found if found is not None and found.digest == task.digest else None


def write_difficulty(folder: Path, pdk: str, tier: str, difficulty: Difficulty) -> None:
    """Put one entry into the folder's file, leaving the others; whole or not at all."""
    table = read_difficulties(folder)
    table.setdefault(pdk, {})[tier] = difficulty
    ordered = {
        p: {t: d.model_dump() for t, d in sorted(tiers.items())}
        for p, tiers in sorted(table.items())
    }
    draft = folder / f".{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    draft.replace(folder / FILE)
