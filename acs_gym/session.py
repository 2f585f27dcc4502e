"""The metered door: every agent, optimiser and environment simulates through a Session.

Nobody has a shortcut. The meter counts designs as they are handed in, before anything runs, so no
failure, duplicate, exception or interrupt gives budget back; only our own `infra_error` is not
charged.

What is simulated without a session is simulated by `simulation.uncharged.simulate_uncharged`, whose page
says who does so and why: operating points and pictures of designs that were paid for (`operating_points`,
`render`, `acs-gym plot`, the circuits' pages), measurements of a task before anybody is given it
(difficulty, references), checks of the installation (`acs-gym doctor`), what is looked at after a run
(the second simulator, robustness), training (`tlgrpo`), and benchmarks of the simulator. A test finds any
other way to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import overload

import numpy as np

from acs_gym.design import InvalidDesign
from acs_gym.evaluation import Evaluation, Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.operating_point import OperatingPoint
from acs_gym.simulation.pool import Simulator, shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.task import Task

DesignLike = Mapping[str, float]
# (a canonical design's values, names of conditions or None for all) -> its evaluation, or None for one
# that is to be simulated.
Recall = Callable[[tuple[float, ...], tuple[str, ...] | None], Evaluation | None]


class BudgetExhausted(RuntimeError):
    """A simulation was asked for that the budget does not cover; nothing was simulated."""


@dataclass(slots=True)
class SimulationMeter:
    """What was spent of a budget, in simulations; it only goes up. `limit` None means unlimited."""

    limit: int | None
    used: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and (isinstance(self.limit, bool) or self.limit < 0):
            raise ValueError(
                f"a budget is a number of simulations >= 0 or None, got {self.limit!r}"
            )

    @property
    def remaining(self) -> float:
        """Simulations left; inf when unlimited."""
        return float("inf") if self.limit is None else self.limit - self.used

    def charge(self, cost: int) -> None:
        """Take `cost` simulations. Raises BudgetExhausted, taking nothing, if they are not there."""
        if cost > self.remaining:
            raise BudgetExhausted(
                f"{cost} simulations asked for, {self.remaining:g} of {self.limit} left; "
                "ask session.remaining first"
            )
        self.used += cost

    def refund(self, cost: int) -> None:
        """Give back what was reserved and not simulated, or what our own failure took."""
        self.used -= cost


@dataclass(slots=True)
class Usage:
    """What an agent says it spent beside simulations, and what the session measured.

    Attributes:
        tokens, money: of a model, as the agent says.
        simulator_seconds: waited for the simulator.
        duplicates: designs that the session knew.
        refused: batches that were not granted, or were larger than what remained.
    """

    tokens: int = 0
    money: float = 0.0
    simulator_seconds: float = 0.0
    duplicates: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One design through the metered door, as the trace records it.

    Attributes:
        conditions: names of those asked for; None for all of the tier.
        duplicate: whether the session knew it at all of them.
    """

    evaluation: Evaluation
    duplicate: bool
    conditions: tuple[str, ...] | None = None


@dataclass(slots=True)
class _Slot:
    """Where one design of a batch gets its evaluation from."""

    design: dict[str, float] | None = None
    key: tuple[float, ...] | None = None
    evaluation: Evaluation | None = None
    duplicate: bool = False


@dataclass(slots=True)
class Session:
    """A budgeted conversation with the simulator about one task.

    Args:
        task: what is being sized.
        budget: simulations allowed, or None for unlimited (environments, exploration); `meter` says what
            of them is used.
        seed: of `rng`.
        workers: simulation processes (shared within this Python process).
        simulator: another simulator than the shared pool; the session does not close it.
        one_by_one: whether a batch, charged as a whole, is simulated and told of design by design, so
            that one who records them loses a single design when killed.
        admit: asked with the number of designs of a batch before they are charged; refuses them all by
            raising BudgetExhausted.
        recall: asked before a design is simulated, for what an interrupted session was answered;
            that is charged as if it had been simulated now.
        on_call: called with each `Call`, in order, as soon as its batch is done.

    Whoever wants another rule for what is granted or another record of it gives one of these functions;
    a subclass is never needed.
    """

    task: Task
    budget: int | None = None
    _: KW_ONLY
    seed: int = 0
    workers: int = 1
    simulator: Simulator | None = None
    one_by_one: bool = False
    admit: Callable[[int], None] | None = None
    recall: Recall | None = None
    on_call: Callable[[Call], None] | None = None
    usage: Usage = field(init=False, default_factory=Usage)
    rng: np.random.Generator = field(init=False)
    meter: SimulationMeter = field(init=False)
    history: list[Evaluation] = field(init=False, default_factory=list)
    _known: dict[tuple[float, ...], Evaluation] = field(init=False, default_factory=dict)
    _closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.meter = SimulationMeter(self.budget)
        self.rng = np.random.default_rng(self.seed)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No more simulations through this session. Shared workers stay for the next one."""
        self._closed = True

    @property
    def remaining(self) -> float:
        """Designs that can still be simulated at every condition (inf when unlimited).

        Of simulations, one a condition, `meter.remaining` are left.
        """
        left = self.meter.remaining
        return left if left == float("inf") else left // self.task.cost

    @property
    def best(self) -> Evaluation | None:
        """The incumbent: the first evaluation with the highest score; None before any.

        One at every condition comes before any that was simulated at some.
        """
        return max(self.history, key=lambda e: (e.complete, e.score), default=None)

    @overload
    def simulate(
        self, designs: DesignLike, *, conditions: Sequence[str] | None = None
    ) -> Evaluation: ...
    @overload
    def simulate(
        self, designs: Sequence[DesignLike], *, conditions: Sequence[str] | None = None
    ) -> list[Evaluation]: ...

    def simulate(
        self,
        designs: DesignLike | Sequence[DesignLike],
        *,
        conditions: Sequence[str] | None = None,
    ) -> Evaluation | list[Evaluation]:
        """Simulate one design (a mapping) or a batch (a sequence, in parallel over the workers).

        Args:
            conditions: names of those of the tier (`task.conditions.conditions`) to simulate, which
                are charged; all by default. The evaluation is of every condition at which this
                session has simulated the design so far, so what is missing can be asked for later.

        Returns one Evaluation or a list in the same order. An invalid design is an evaluation
        with status `invalid_design` and is charged, as are failures and duplicates. Raises
        BudgetExhausted, charging nothing, when the whole batch does not fit the budget or is not
        granted, and ValueError for conditions that the tier has not.
        """
        wanted = self.task.conditions.numbers(conditions)
        if isinstance(designs, Mapping):
            return self._simulate([designs], wanted)[0]
        if not isinstance(designs, (list, tuple)):
            raise TypeError(
                f"simulate takes a design (a dict) or a list of them, got {type(designs).__name__}"
            )
        return self._simulate(list(designs), wanted)

    def operating_points(self, design: DesignLike) -> tuple[OperatingPoint, ...]:
        """Every transistor's DC operating point, at the nominal condition, of a design simulated here.

        Not charged: it says more of a simulation that was. Empty where there is no solution. Raises
        ValueError for a design that this session has not simulated.
        """
        if self._closed:
            raise RuntimeError("this session is closed")
        try:
            canonical = self.task.space.canonicalize(design)
        except InvalidDesign as error:
            raise ValueError(f"no such design was simulated: {error}") from None
        if tuple(canonical.values()) not in self._known:
            raise ValueError(
                "this design was not simulated in this session; simulate it first, which is charged"
            )
        start = time.perf_counter()
        job = self.task.operating_point_job(canonical)
        (outcome,) = simulate_uncharged([job], self._simulator)
        self.usage.simulator_seconds += time.perf_counter() - start
        return self.task.operating_points(outcome)

    @property
    def _simulator(self) -> Simulator:
        return shared_pool(self.workers) if self.simulator is None else self.simulator

    def log_usage(self, *, tokens: int = 0, money: float = 0.0) -> None:
        """Add to what this agent spent on a model; shown in the leaderboard, never limited here."""
        if tokens < 0 or not money >= 0:
            raise ValueError(f"usage only adds up: tokens={tokens}, money={money}")
        self.usage.tokens += int(tokens)
        self.usage.money += float(money)

    def _simulate(self, designs: list[DesignLike], wanted: tuple[int, ...]) -> list[Evaluation]:
        if self._closed:
            raise RuntimeError("this session is closed")
        try:
            if self.admit is not None:
                self.admit(len(designs))
            self.meter.charge(len(wanted) * len(designs))
        except BudgetExhausted:
            self.usage.refused += 1
            raise
        batches = [[d] for d in designs] if self.one_by_one else [designs]
        return [e for batch in batches for e in self._answer(batch, wanted)]

    def _answer(self, designs: list[DesignLike], wanted: tuple[int, ...]) -> list[Evaluation]:
        """The evaluations of designs that were charged."""
        slots = [self._slot(d, wanted) for d in designs]
        fresh: dict[tuple[float, ...], _Slot] = {}
        for slot in slots:
            if slot.evaluation is None and slot.key is not None:
                if slot.key in fresh:
                    slot.duplicate = True
                fresh.setdefault(slot.key, slot)
        asked = None
        if len(wanted) < self.task.cost:
            asked = tuple(self.task.conditions.conditions[k].name for k in wanted)
        self._fill(list(fresh.values()), wanted, asked)
        results: list[Evaluation] = []
        for slot in slots:
            if slot.evaluation is None:
                assert slot.key is not None
                slot.evaluation = fresh[slot.key].evaluation
            assert slot.evaluation is not None
            if slot.evaluation.status is Status.INFRA_ERROR:
                slot.evaluation = replace(slot.evaluation, cost=0)
            self.meter.refund(len(wanted) - slot.evaluation.cost)
            self.usage.duplicates += slot.duplicate
            self.history.append(slot.evaluation)
            results.append(slot.evaluation)
            if self.on_call is not None:
                self.on_call(Call(slot.evaluation, slot.duplicate, asked))
        return results

    def _slot(self, design: DesignLike, wanted: tuple[int, ...]) -> _Slot:
        try:
            canonical = self.task.space.canonicalize(design)
        except InvalidDesign as error:
            return _Slot(evaluation=self.task.refuse(design, str(error), cost=len(wanted)))
        key = tuple(canonical.values())
        known = self._known.get(key)
        if known is None or self._missing(known, wanted):
            return _Slot(canonical, key)
        return _Slot(canonical, key, replace(known, cost=self._charged(known, wanted)), True)

    def _missing(self, known: Evaluation, wanted: tuple[int, ...]) -> bool:
        """Whether there is more to simulate than is known of a design."""
        if known.complete:
            return False
        outcomes = self.task.known_outcomes(known)
        return self._next(outcomes, wanted) is not None

    def _next(self, outcomes: Mapping[int, Outcome], wanted: tuple[int, ...]) -> int | None:
        """The first condition without an outcome; None where all have one or one stops the design."""
        for k in wanted:
            if k not in outcomes:
                return k
            if self.task.stop_at_first_failure and not self.task.passes(outcomes[k]):
                return None
        return None

    def _charged(self, known: Evaluation, wanted: tuple[int, ...]) -> int:
        """Simulations that these conditions cost: those up to the one that stops the design."""
        if self.task.stop_at_first_failure and self.task.cost > 1:
            outcomes = self.task.known_outcomes(known)
            for count, k in enumerate(wanted, start=1):
                if k not in outcomes or not self.task.passes(outcomes[k]):
                    return count
        return len(wanted)

    def _fill(
        self, slots: list[_Slot], wanted: tuple[int, ...], asked: tuple[str, ...] | None
    ) -> None:
        """Give every slot its evaluation: the one recalled, or that of a simulation."""
        if self.recall is not None:
            for slot in slots:
                assert slot.key is not None
                slot.evaluation = self.recall(slot.key, asked)
        if missing := [s for s in slots if s.evaluation is None]:
            self._run(missing, wanted)
        for slot in slots:
            assert slot.key is not None and slot.evaluation is not None
            if slot.evaluation.status is not Status.INFRA_ERROR:
                self._known[slot.key] = slot.evaluation

    def _run(self, slots: list[_Slot], wanted: tuple[int, ...]) -> None:
        """Simulate every slot at the conditions wanted, or up to its first failing one."""
        task, start = self.task, time.perf_counter()
        simulator = self._simulator
        outcomes = [self._outcomes(slot) for slot in slots]
        # One wave with everything, or one wave a condition when a failing design may stop early.
        early = task.stop_at_first_failure
        while True:
            wave: list[tuple[int, int]] = []
            for k, known in enumerate(outcomes):
                if early:
                    following = self._next(known, wanted)
                    wave += [] if following is None else [(k, following)]
                else:
                    wave += [(k, c) for c in wanted if c not in known]
            if not wave:
                break
            jobs = [task.job(slots[k].design or {}, c) for k, c in wave]
            for (k, c), outcome in zip(wave, simulator.run(jobs), strict=True):
                outcomes[k][c] = outcome
        self.usage.simulator_seconds += time.perf_counter() - start
        for slot, done in zip(slots, outcomes, strict=True):
            assert slot.design is not None
            evaluation = task.judge_at(slot.design, done)
            slot.evaluation = replace(evaluation, cost=self._charged(evaluation, wanted))

    def _outcomes(self, slot: _Slot) -> dict[int, Outcome]:
        """What is known of a design already, to which more conditions are added."""
        assert slot.key is not None
        known = self._known.get(slot.key)
        return {} if known is None else self.task.known_outcomes(known)


def available_cores() -> int:
    """Cores this process may use (the affinity mask, not the machine)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Not Linux.
        return os.cpu_count() or 1
