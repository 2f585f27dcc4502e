"""Problems for whoever gives a model one after the other: what is asked, and the work on it.

A `Problem` is a line of a data set: a task, its targets and a budget, as JSON. `Work` is one attempt at
it through the tools, with a reward for each call. It is what the modules of `acs_gym.integrations` for
frameworks of language models have in common.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from acs_gym.circuit_reading import load_circuit
from acs_gym.evaluation import Evaluation
from acs_gym.registry import circuit_folders
from acs_gym.session import Session
from acs_gym.simulation.pool import Simulator
from acs_gym.targets import Split
from acs_gym.task import DEFAULT_PDK, Task, make_task, task_ids
from acs_gym.tools.answers import count, json_text
from acs_gym.tools.definitions import HISTORY
from acs_gym.tools.statement import statement
from acs_gym.tools.toolbox import ToolAnswer, Toolbox, ToolRefused

ProblemSplit = Literal["train", "held-out-targets", "held-out-circuits"]
SPLITS: tuple[ProblemSplit, ...] = get_args(ProblemSplit)
BEGIN = "Begin."
_FINISHED = f"the work was finished, so nothing is simulated any more; {HISTORY} still answers"
_SEEDS = {"train": 11, "held-out-targets": 12, "held-out-circuits": 13}
# Of an attempt; a state is a list of designs that were paid for.
_STATES = 64


class InvalidProblem(ValueError):
    """A record that is no problem; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked.

    Attributes:
        task: id, e.g. `ACS-OTA5T-v0`.
        targets: (metric, target) in SI units of the specs that differ from the circuit's own.
        budget: simulations of designs.
    """

    task: str
    pdk: str = DEFAULT_PDK
    budget: int = 10
    targets: tuple[tuple[str, float], ...] = ()

    def make(self) -> Task:
        """The task with its targets. Raises what `make_task` and `with_specs` raise."""
        return make_task(self.task, pdk=self.pdk).with_specs(dict(self.targets))

    def messages(self) -> list[dict[str, str]]:
        """The conversation so far: the task in words, and the word to begin."""
        return [
            {"role": "system", "content": statement(self.make(), self.budget)},
            {"role": "user", "content": BEGIN},
        ]

    def to_json(self) -> str:
        """One line, which `from_json` reads."""
        return json_text(self.record())

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"targets": dict(self.targets)}

    @classmethod
    def from_json(cls, text: str) -> Problem:
        """Raises InvalidProblem for what `to_json` does not write."""
        try:
            return cls.from_record(json.loads(text))
        except json.JSONDecodeError as error:
            raise InvalidProblem(f"no problem: {text[:200]!r} ({error})") from None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Problem:
        """Raises InvalidProblem for what `record` does not give."""
        try:
            rest = dict(record)
            targets = tuple((str(k), float(v)) for k, v in rest.pop("targets", {}).items())
            found = cls(**rest, targets=targets)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidProblem(
                f'no problem: {str(record)[:200]} ({error}); write {{"task": "ACS-OTA5T-v0", "pdk": '
                '"generic", "budget": 10, "targets": {}}'
            ) from None
        if isinstance(found.budget, bool) or not isinstance(found.budget, int) or found.budget < 1:
            raise InvalidProblem(f"budget is a number of designs >= 1, got {found.budget!r}")
        return found


def problems(
    split: ProblemSplit = "train",
    number: int = 100,
    *,
    tasks: Sequence[str] = (),
    pdk: str = DEFAULT_PDK,
    budget: int = 10,
    seed: int = 0,
) -> list[Problem]:
    """Problems with sampled targets that an actual design meets together, circuit after circuit.

    Args:
        split: `train`, with targets to train on; `held-out-targets` of the same circuits, none of
            which a training anchor meets; `held-out-circuits`, those of circuits that are never
            trained on.
        tasks: ids; all of the split that the PDK has, by default.
        budget: designs an attempt may simulate.

    Raises ValueError for an unknown split, and for one of which there is no circuit.
    """
    return [
        problem_of(split, index, tasks=tasks, pdk=pdk, budget=budget, seed=seed)
        for index in range(number)
    ]


def problem_of(
    split: ProblemSplit,
    index: int,
    *,
    tasks: Sequence[str] = (),
    pdk: str = DEFAULT_PDK,
    budget: int = 10,
    seed: int = 0,
) -> Problem:
    """The one of `problems` that stands at `index`; the same arguments and errors."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; use one of: {', '.join(SPLITS)}")
    names = tuple(tasks) or circuits_of(split, pdk)
    if not names:
        raise ValueError(f"no circuit of the split {split} has a sizing on {pdk}; give tasks=[...]")
    name = names[index % len(names)]
    rng = np.random.default_rng((_SEEDS[split], seed, index))
    drawn_from: Split = "train" if split == "train" else "held-out"
    targets = _nominal(name, pdk).sample_specs(rng, drawn_from)
    return Problem(name, pdk, budget, tuple(targets.items()))


@lru_cache(maxsize=64)
def _nominal(name: str, pdk: str) -> Task:
    return make_task(name, pdk=pdk)


@lru_cache(maxsize=16)
def circuits_of(split: ProblemSplit, pdk: str) -> tuple[str, ...]:
    """Ids of the bundled circuits of a split that have a sizing on a PDK."""
    wanted = "held-out" if split == "held-out-circuits" else "training"
    files = {name: load_circuit(circuit_folders()[name]).file for name in task_ids()}
    return tuple(n for n, file in files.items() if file.split == wanted and pdk in file.pdk)


@dataclass(frozen=True, slots=True)
class Step:
    """What a call gave.

    Attributes:
        improvement: of the best score through this call, in [0, 1]; those of an attempt add up to its
            best score, whatever is restored between.
        done: the work was finished, every spec is met, or the budget is used up.
    """

    answer: ToolAnswer
    improvement: float
    done: bool


class Work:
    """One attempt at a problem: a session of its own, the tools, and what calls were worth.

    Attributes:
        best: the best evaluation so far; None before any. A restored state does not take it back.
        finished: `finish` was called.
    """

    def __init__(self, problem: Problem, *, simulator: Simulator | None = None) -> None:
        self.problem, self.task = problem, problem.make()
        self.session = Session(self.task, problem.budget * self.task.cost, simulator=simulator)
        self.toolbox = Toolbox(self.session)
        self.best: Evaluation | None = None
        self.finished = False
        self._states: dict[str, list[Evaluation]] = {}

    @property
    def score(self) -> float:
        """The best score so far, in [0, 1]; 0 before any."""
        return 0.0 if self.best is None else self.best.score

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        met = self.best is not None and self.best.feasible
        return self.finished or met or not self.session.remaining

    def call(self, name: str, arguments: object) -> Step:
        """Carry out a call, as `Toolbox.call` does; after `finish`, `history` alone is answered."""
        if self.finished and name != HISTORY:
            answer = self.toolbox.refuse(ToolRefused(_FINISHED))
            return Step(answer, 0.0, True)
        before = self.score
        answer = self.toolbox.call(name, arguments)
        self.finished |= answer.finished
        for evaluation in answer.evaluations:
            if self.best is None or evaluation.score > self.best.score:
                self.best = evaluation
        return Step(answer, self.score - before, self.done)

    def snapshot(self) -> str:
        """Keep the state: which designs were simulated. Answers with its name, for `restore`."""
        if len(self._states) >= _STATES:
            return self._said(error=f"{_STATES} states are kept already; restore one of them")
        name = f"state-{len(self._states) + 1}"
        self._states[name] = list(self.session.history)
        return self._said(state=name, designs=len(self.session.history))

    def restore(self, state: str) -> str:
        """Go on from a kept state: later designs leave the history. No budget comes back."""
        if state not in self._states:
            known = ", ".join(self._states) or "none; call snapshot first"
            return self._said(error=f"no state {state[:80]!r}; kept: {known}")
        self.session.history[:] = self._states[state]
        return self._said(state=state, designs=len(self.session.history))

    def _said(self, **what: Any) -> str:
        return json_text(what | {"simulations_left": count(self.session.remaining)})


def solution(problem: Problem) -> Mapping[str, float]:
    """A design that meets the targets: the reference, or the anchor they were drawn from.

    For baselines and checks of a framework, never for a model. Raises ValueError where there is none.
    """
    task = problem.make()
    anchors = () if not problem.targets else (*task.anchors("train"), *task.anchors("held-out"))
    for anchor in anchors:
        if all(spec.margin(anchor.metrics[spec.metric]) >= 0 for spec in task.specs):
            return anchor.design
    if task.reference is None or problem.targets:
        raise ValueError(f"no sizing is known that meets the targets of {problem.to_json()}")
    return task.reference
