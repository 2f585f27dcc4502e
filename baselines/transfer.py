"""Start from what is known: the same circuit in another process, or at other targets.

Simulations of another technology are a model of this one that is wrong by something smooth. So each
margin is modelled as gain · known(x) + a Gaussian process: `known` is the mean of a process fitted
to the known designs under the targets of now, and the process learns how this circuit differs. The gain
is a regression of what was measured on what was expected, drawn towards 1, so that knowledge that does
not carry over fades instead of misleading. This is the two-fidelity model of Kennedy and O'Hagan
("Predicting the Output from a Complex Computer Code When Fast Approximations Are Available", Biometrika
87, 2000) in the place of the ranked ensemble of RGPE (Feurer et al., arXiv 1802.02219), which does not
shift and scale a source; KATO (arXiv 2404.14433) transfers between circuits of different parameters,
which this does not. All the rest is `composite-ei`.

In the place of initial designs are the best of the known ones: what they would score here is the
first thing to know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import Evaluation, Status
from acs_gym.task import Task
from baselines.composite_ei import CompositeEI, GaussianProcesses, Processes
from baselines.failures import Observation, Track, observe, teaches

Array = NDArray[np.float64]

_MOST = 240  # Known designs that are modelled; a fit costs the cube of their number.
_STARTS = 2  # Known designs that are simulated first,
_APART = 0.1  # and by how much they differ in a coordinate at least.
_GAIN_SIGMA = 0.5  # How far the gain is from 1, before anything is measured.


class NothingKnown(ValueError):
    """There is nothing to start from; the message says what would be."""


class Transfer(CompositeEI):
    """`composite-ei` on what the known designs do not explain.

    Args:
        known: evaluations of this circuit, judged under the targets of now.
        options: those of `CompositeEI`.
    """

    name: ClassVar[str] = "transfer"
    track: ClassVar[Track] = "metrics"

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int,
        initial: Sequence[Design],
        known: Sequence[Evaluation] = (),
        **options: Any,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial, **options)
        best = _best(space, known)
        self._prior = _Prior.fitted(best, seed) if len(best) > 1 else None

    @classmethod
    def check(cls, task: Task) -> None:
        elsewhere(task)

    @classmethod
    def initial(cls, task: Task, size: int, seed: int) -> list[Design]:
        return starts(task.space, elsewhere(task))

    @classmethod
    def for_task(cls, task: Task, *, seed: int, initial: Sequence[Design]) -> Self:
        return cls.knowing(elsewhere(task), task, seed=seed, initial=initial)

    @classmethod
    def knowing(
        cls, known: Sequence[Evaluation], task: Task, *, seed: int, initial: Sequence[Design]
    ) -> Self:
        """The method at work on a task, from these evaluations."""
        weights = {s.metric: s.weight for s in task.specs}
        return cls(task.space, seed=seed, initial=initial, known=known, weights=weights)

    def _processes(self, x: Array, values: Array, specs: Sequence[str]) -> Processes:
        if self._prior is None:
            return GaussianProcesses(x, values)
        return _Shifted.fitted(self._prior, x, values, specs)


def elsewhere(task: Task) -> list[Evaluation]:
    """The training anchors of the same circuit in another process, judged by this task's specs.

    Of `generic` where it has some, else of the first process by name. Raises NothingKnown where none has.
    """
    tables = {pdk: t for pdk, t in task.circuit.anchors.items() if pdk != task.pdk_name}
    if not tables:
        raise NothingKnown(
            f"{task.id} has no designs in another process; give some: transfer:FOLDER, of a run of "
            "leaderboard.run on it with another --pdk or with other targets"
        )
    table = tables[min(tables, key=lambda pdk: (pdk != "generic", pdk))]
    return [
        Evaluation.judged(clipped(task.space, a.design), Status.OK, a.metrics, task.specs)
        for a in table.anchors("train")
    ]


@dataclass(frozen=True, slots=True)
class FromTraces:
    """The method that knows the designs of a finished run, as the leaderboard builds methods.

    Args:
        path: a `trace.jsonl`, or a folder that holds some.
    """

    path: Path
    name: ClassVar[str] = "transfer"
    track: ClassVar[Track] = "metrics"

    def __post_init__(self) -> None:
        if not self._files():
            what = "no trace.jsonl in it" if self.path.is_dir() else "no such file"
            raise NothingKnown(f"{self.path}: {what}; give a folder of leaderboard.run")

    @property
    def config(self) -> Mapping[str, Any]:
        """What was known, by its digest."""
        digest = hashlib.sha256()
        for file in self._files():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return {"known": digest.hexdigest()}

    def check(self, task: Task) -> None:
        self._known(task)

    def initial(self, task: Task, size: int, seed: int) -> list[Design]:
        return starts(task.space, self._known(task))

    def for_task(self, task: Task, *, seed: int, initial: Sequence[Design]) -> Transfer:
        return Transfer.knowing(self._known(task), task, seed=seed, initial=initial)

    def _known(self, task: Task) -> list[Evaluation]:
        known = [e for file in self._files() for e in _recorded(file, task)]
        if not known:
            raise NothingKnown(f"{self.path} has no design of {task.id}: its parameters are others")
        return known

    def _files(self) -> list[Path]:
        if self.path.is_dir():
            return sorted(self.path.rglob("trace.jsonl"))
        return [self.path] if self.path.is_file() else []


def _recorded(file: Path, task: Task) -> Iterator[Evaluation]:
    """The evaluations of a trace that have this task's parameters, judged by its specs.

    The last line may be cut off, by an interrupt. Raises ValueError naming a line that is no evaluation.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)["evaluation"]
            if set(data["design"]) != set(task.space.names):
                return
            found = Evaluation.from_json(data, task.specs)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                return
            raise ValueError(f"{file}, line {number}: no evaluation of a trace: {error}") from None
        if teaches(found) and not found.unknown:
            yield Evaluation.judged(
                clipped(task.space, found.design), found.status, found.metrics, task.specs
            )


def clipped(space: DesignSpace, design: Mapping[str, float]) -> Design:
    """The canonical design nearest to one of another process, whose ranges may be others."""
    return space.canonicalize({p.name: min(max(design[p.name], p.low), p.high) for p in space})


def _best(space: DesignSpace, known: Iterable[Evaluation]) -> list[Observation]:
    """What can be learnt from the known designs, the best one first."""
    learnt = (observe(space, e) for e in known)
    return sorted((o for o in learnt if o is not None and o.margins), key=lambda o: -o.score)


def starts(space: DesignSpace, known: Iterable[Evaluation]) -> list[Design]:
    """The best known designs that differ."""
    chosen: list[Observation] = []
    for observation in _best(space, known):
        if all(np.abs(observation.unit - c.unit).max() > _APART for c in chosen):
            chosen.append(observation)
        if len(chosen) == _STARTS:
            break
    return [o.design for o in chosen]


@dataclass(frozen=True, slots=True, eq=False)
class _Prior:
    """Processes of the margins of the known designs, in the order of `specs`."""

    specs: tuple[str, ...]
    processes: GaussianProcesses

    @classmethod
    def fitted(cls, best: Sequence[Observation], seed: int) -> Self:
        """The prior of the best known designs and, as many, of the others at random."""
        half = list(best[: _MOST // 2])
        rest = best[_MOST // 2 :]
        size = min(len(rest), _MOST - len(half))
        others = np.random.default_rng((seed, 2)).choice(len(rest), size=size, replace=False)
        chosen = [*half, *(rest[int(k)] for k in others)]
        specs = tuple(s for s in chosen[0].specs if sum(s in o.margins for o in chosen) > 1)
        values = np.array([[o.margins.get(s, np.nan) for o in chosen] for s in specs])
        return cls(specs, GaussianProcesses(np.array([o.unit for o in chosen]), values))


@dataclass(slots=True, eq=False)
class _Shifted:
    """gain · known + residual, for each column that is known; the others are residual alone.

    Attributes:
        rows: of the prior, that the first columns are.
        gains: of every column, shape (m,); 0 of one that is not known.
    """

    prior: _Prior
    residual: GaussianProcesses
    rows: NDArray[np.intp]
    gains: Array

    @classmethod
    def fitted(cls, prior: _Prior, x: Array, values: Array, specs: Sequence[str]) -> Self:
        """To columns `values`, shape (m, n), NaN where not measured, of which the first are `specs`."""
        rows = np.array([prior.specs.index(s) if s in prior.specs else 0 for s in specs])
        expected = prior.processes.mean_at(x)[rows]
        gains = np.zeros(len(values))
        for k, spec in enumerate(specs):
            if spec in prior.specs:
                seen = ~np.isnan(values[k])
                gains[k] = _gain(values[k, seen], expected[k, seen])
        shift = np.zeros_like(values)
        shift[: len(specs)] = gains[: len(specs), None] * expected
        return cls(prior, GaussianProcesses(x, values - shift), rows, gains)

    def at(self, points: Array) -> tuple[Array, Array]:
        mean, deviation = self.residual.at(points)
        return mean + self._known(self.prior.processes.mean_at(points)), deviation

    def slopes(self, point: Array) -> tuple[Array, Array, Array, Array]:
        mean, deviation, mean_slope, deviation_slope = self.residual.slopes(point)
        known, known_slope = self.prior.processes.mean_slope(point)
        return (
            mean + self._known(known),
            deviation,
            mean_slope + self._known(known_slope),
            deviation_slope,
        )

    def append(self, point: Array) -> None:
        self.residual.append(point)

    def _known(self, values: Array) -> Array:
        """What the prior's values (k, ...) say of each column, (m, ...)."""
        shift = np.zeros((len(self.gains), *values.shape[1:]))
        gains = self.gains[: len(self.rows)].reshape(-1, *[1] * (values.ndim - 1))
        shift[: len(self.rows)] = gains * values[self.rows]
        return shift


def _gain(measured: Array, expected: Array) -> float:
    """The slope of a regression on what was expected, with a normal prior about 1."""
    y, x = measured - measured.mean(), expected - expected.mean()
    drawn = max(float(np.var(y - x)), 1e-6) / _GAIN_SIGMA**2
    return float((x @ y + drawn) / (x @ x + drawn))
