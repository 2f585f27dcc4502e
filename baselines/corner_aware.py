"""Sign-off over many conditions: look at few of them until a design is worth all.

A designer sizes at nominal, then looks at every corner once, goes on with the three or four that hurt,
and verifies. So does this, around any ask/tell method:

* the method sees a design at the *active* conditions only: the worst of each metric over them. They
  are simulated one after the other, the most telling first, until the design can be no better than the
  best one: the worst over some conditions is a bound of the worst over more;
* one that meets every spec there is verified at the others, those first that were worst before, some
  at a time, until one fails; the condition of each failing spec's least margin joins the active ones;
* a fresh method then learns every design so far. What is not known of it at the new conditions is
  taken to lie as far below what is known as it does where both were simulated, and the best few are
  simulated there to measure how far.

Active at first is the nominal condition.

Mismatch draws are all alike, and what counts is three sigma of all of them. Active are the first few, and
stay so. The best design that was simulated at every draw tells how they lie: the draws are the same
numbers for every design, so another one lies where that one does, in its own deviations. What is expected
of it so decides whether it is worth every draw; the first that every active draw passes is, and the best
one after a while without any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acs_gym.evaluation import AtCondition, Evaluation, Status
from acs_gym.session import Session
from acs_gym.simulation.engine import Outcome
from acs_gym.specs import Spec
from acs_gym.task import Task
from baselines.agent import (
    UNCHARGED_CALLS_ALLOWED,
    AskTellAgent,
    BuildsMethod,
    SimulatorUnavailable,
)
from baselines.failures import Track
from baselines.initial import split_seed
from baselines.protocol import Optimizer

_FIRST_DRAWS = 4
_MEASURED_AGAIN = 5  # Designs that are simulated at conditions that become active.
_CHUNK = 8  # Conditions of a verification between two looks at its outcome.
_SIMULATED = (Status.OK, Status.MEASURE_FAILED)
_JOIN = 2  # Conditions that join at a time, after the first.
_LOOK_AFTER = 2  # Times what all draws cost: as much is spent between two looks at all of them.


class _NotCovered(Exception):
    """The next step is not covered."""


class CornerAwareAgent:
    """Spends a session's budget on a design that meets every spec in every condition.

    Args:
        method: what proposes the designs.
        start_from: a sizing; it and a few designs about it are the initial ones.
    """

    deterministic = True

    def __init__(
        self,
        method: BuildsMethod | type[Optimizer],
        *,
        start_from: Mapping[str, float] | None = None,
    ) -> None:
        # Without conditions there is nothing more to it than this agent.
        self._plain = AskTellAgent(method, start_from=start_from)
        self.method, self.start_from = method, self._plain.start_from

    @property
    def track(self) -> Track:
        return "metrics"

    @property
    def config(self) -> Mapping[str, Any]:
        """What decides the agent's behaviour beside the seed; part of a result's identity."""
        return {**self._plain.config, "chunk": _CHUNK, "again": _MEASURED_AGAIN}

    def check(self, task: Task) -> None:
        """Raises ValueError where the method, or the sizing to start from, is not for this task."""
        self._plain.check(task)

    def run(self, session: Session, known: Sequence[Evaluation] = ()) -> None:
        """Until a design is signed off or the next step is not covered by the budget.

        Args:
            known: designs that were simulated before at some conditions; none of them is again.

        Raises SimulatorUnavailable after three calls in a row that were not charged, and ValueError
        for a session without a budget, which would never end.
        """
        if session.budget is None:
            raise ValueError("an optimiser needs a session with a budget; this one has no limit")
        if session.task.cost == 1:  # Nothing to be aware of.
            self._plain.run(session)
            return
        search = _Search(self._plain, session)
        try:
            signed_off = bool(known) and search.begin(known)
            while not signed_off:
                signed_off = search.step()
        except _NotCovered:
            search.complete_the_best()


class _Search:
    """One run."""

    def __init__(self, agent: AskTellAgent, session: Session) -> None:
        method = agent.method
        self._build, self._session, self._task = method, session, session.task
        tier = self._task.conditions
        self._names = [c.name for c in tier.conditions]
        self._draws = tier.conditions[0].draw is not None
        self._active = self._names[:_FIRST_DRAWS] if self._draws else [self._names[tier.nominal]]
        self._known: dict[tuple[float, ...], Evaluation] = {}
        self._worst: dict[str, float] = dict.fromkeys(self._names, math.inf)
        self._seeds = split_seed(session.seed)
        self._uncharged = self._looked = 0
        initial = agent.initial(self._task, session.meter.remaining, self._seeds.initial)
        self._method = method.for_task(self._task, seed=self._seeds.method, initial=initial)

    def begin(self, known: Sequence[Evaluation]) -> bool:
        """Learn what was simulated before, and verify the most promising of it: is it signed off?"""
        kept = [e for e in known if self._keep(e)]
        return self._weigh(sorted(kept, key=lambda e: -_least_margin(self._seen(e))))

    def step(self) -> bool:
        """Propose, simulate at the active conditions, and verify what meets them: is it signed off?"""
        width = min(self._session.workers, self._spare() // len(self._active))
        if width < 1:
            raise _NotCovered
        return self._weigh(self._raced(self._method.ask(width)))

    def _weigh(self, evaluations: Sequence[Evaluation]) -> bool:
        """Tell the method of them, and verify the first that is worth it: is it signed off?"""
        self._method.tell([self._estimate(e) for e in evaluations])
        worth = [e for e in evaluations if self._measured(e) and self._promising(e)][:1]
        for evaluation in worth or self._overdue():
            whole = self._verified(evaluation)
            if whole.feasible:
                return True
            self._widen(whole)
        return False

    def _promising(self, evaluation: Evaluation) -> bool:
        """Whether the design is worth every condition.

        How the draws lie is known of a design that was simulated at all of them: the first is one
        that every active draw passes.
        """
        if self._draws and self._donor() is None:
            return all(evaluation.by_condition[n].feasible for n in self._active)
        return self._seen(evaluation).feasible

    def _overdue(self) -> list[Evaluation]:
        """The best design, where much was spent on designs near to it that draws unseen decide about."""
        spent = self._session.meter.used - self._looked
        if self._donor() is None or spent < _LOOK_AFTER * len(self._names):
            return []
        best = max(self._known.values(), key=lambda e: self._estimate(e).score)
        return [] if best.complete or len(self._names) > self._spare() else [best]

    def _raced(self, designs: Sequence[Mapping[str, float]]) -> list[Evaluation]:
        """The designs at the active conditions, each until it can be no better than the best one."""
        bar = max(
            (self._seen(e).score for e in self._known.values() if self._measured(e)), default=-1.0
        )
        order = sorted(self._active, key=lambda n: self._worst[n])
        found: list[Evaluation] = self._simulate(designs, order[:1])
        for name in order[1:]:
            alive = [
                k for k, e in enumerate(found)
                if e.status in _SIMULATED and self._seen(e).score > bar
            ]  # fmt: skip
            if not alive:
                break
            again = self._simulate([found[k].design for k in alive], [name])
            for k, evaluation in zip(alive, again, strict=True):
                found[k] = evaluation
        return found

    def _measured(self, evaluation: Evaluation) -> bool:
        """Whether the design was simulated at every active condition."""
        return all(n in evaluation.by_condition for n in self._active)

    def complete_the_best(self) -> None:
        """What is left of the budget goes to the most promising designs, so that one counts."""
        if not self._known and self._session.meter.remaining >= len(self._names):
            self._simulate(self._method.ask(1), self._names)
        for best in sorted(self._known.values(), key=lambda e: -self._estimate(e).score):
            rest = [n for n in self._names if n not in best.by_condition]
            if len(rest) > self._session.meter.remaining:
                break
            if rest:
                self._simulate([best.design], rest)

    def _verified(self, evaluation: Evaluation) -> Evaluation:
        """The design at the remaining conditions, the ones worst so far first, until one fails."""
        unseen = all(math.isinf(self._worst[n]) for n in self._names if n not in self._active)
        rest = sorted(
            (n for n in self._names if n not in evaluation.by_condition),
            key=lambda n: self._worst[n],
        )
        # The first look at corners says which of them are the worst; of draws it is the spread of all
        # that counts.
        size = max(1, len(rest)) if unseen or self._draws else _CHUNK
        self._looked = self._session.meter.used + len(rest)
        for k in range(0, len(rest), size):
            chunk = rest[k : k + size]
            if len(chunk) > self._session.meter.remaining:
                raise _NotCovered
            [evaluation] = self._simulate([evaluation.design], chunk)
            if not all(evaluation.by_condition[n].feasible for n in chunk):
                break
        return evaluation

    def _widen(self, evaluation: Evaluation) -> None:
        """Make the conditions that fail active, and start anew from all that is known.

        After the first look at all of them these are the worst of every failing spec, later the two
        where most is missing. Draws are all alike: the first few stand for all.
        """
        failing: dict[str, float] = {}
        for spec in self._task.specs:
            margins = {
                n: _margin(at.margins[spec.metric]) for n, at in evaluation.by_condition.items()
            }
            where = min(margins, key=margins.__getitem__)
            if margins[where] < 0.0 and where not in self._active:
                failing[where] = min(margins[where], failing.get(where, 0.0))
        new = sorted(failing, key=failing.__getitem__)
        if not self._draws:
            self._active += new[:_JOIN] if len(self._active) > 1 else new
        ranked = sorted(self._known.values(), key=lambda e: -self._estimate(e).score)
        for other in ranked[:_MEASURED_AGAIN]:
            missing = [n for n in self._active if n not in other.by_condition]
            if missing and other.status in _SIMULATED:
                if len(missing) > self._spare():
                    raise _NotCovered
                self._simulate([other.design], missing)
        seed = int(np.random.default_rng((self._seeds.method, len(self._active))).integers(2**31))
        self._method = self._build.for_task(self._task, seed=seed, initial=[])
        self._method.tell([self._estimate(e) for e in self._known.values()])

    def _seen(self, evaluation: Evaluation) -> Evaluation:
        """The design as if the active conditions were all there are; of draws, as if it had all."""
        if not evaluation.by_condition or (self._draws and evaluation.complete):
            return evaluation
        if (donor := self._donor()) is not None and len(evaluation.by_condition) > 1:
            return self._at_all_draws(evaluation, donor)
        outcomes = self._task.known_outcomes(evaluation)
        active = {self._names.index(n) for n in self._active}
        return self._judged(evaluation, {k: o for k, o in outcomes.items() if k in active})

    def _judged(self, evaluation: Evaluation, outcomes: Mapping[int, Outcome]) -> Evaluation:
        seen = self._task.judge_at(dict(evaluation.design), outcomes)
        return Evaluation.judged(
            seen.design, seen.status, seen.metrics, self._task.specs, message=seen.message
        )

    def _donor(self) -> Evaluation | None:
        """The best design that was simulated at every draw; none in other tiers."""
        if not self._draws:
            return None
        whole = [e for e in self._known.values() if e.complete and e.status is Status.OK]
        return max(whole, key=lambda e: e.score, default=None)

    def _at_all_draws(self, evaluation: Evaluation, donor: Evaluation) -> Evaluation:
        """The design at every draw: where it was not simulated, as many deviations off as the donor is.

        Mean and deviation are those of the draws that it was simulated at, for both. This is exact as
        long as the same devices decide a metric, however large its deviation is.
        """
        known, full = (self._task.known_outcomes(e) for e in (evaluation, donor))
        metrics = list(self._task.metric_units)
        own = np.array([[o.metrics[m] for m in metrics] for o in known.values()])
        other = np.array([[o.metrics[m] for m in metrics] for o in full.values()])
        there = np.array([[full[k].metrics[m] for m in metrics] for k in known])
        spread = there.std(axis=0)
        # One draw tells no deviation: it is taken to be the donor's.
        scale = np.divide(own.std(axis=0), spread, out=np.ones(len(metrics)), where=spread > 0.0)
        guessed = own.mean(axis=0) + scale * (other - there.mean(axis=0))
        outcomes = {
            k: known.get(k) or Outcome(Status.OK, dict(zip(metrics, row, strict=True)))
            for k, row in zip(full, guessed.tolist(), strict=True)
        }
        return self._judged(evaluation, outcomes)

    def _estimate(self, evaluation: Evaluation) -> Evaluation:
        """The same, with what is missing estimated from the designs that have it."""
        seen = self._seen(evaluation)
        missing = [n for n in self._active if n not in evaluation.by_condition]
        if not missing or seen.status not in _SIMULATED:
            return seen
        if (donor := self._donor()) is not None:
            return self._at_all_draws(evaluation, donor)
        given = frozenset(n for n in self._active if n in evaluation.by_condition)
        margins = {
            s.metric: seen.margins[s.metric] - self._loss(s, given) for s in self._task.specs
        }
        metrics = {
            **seen.metrics,
            **{s.metric: _value(s, margins[s.metric]) for s in self._task.specs},
        }
        return Evaluation.judged(seen.design, seen.status, metrics, self._task.specs)

    def _loss(self, spec: Spec, given: frozenset[str]) -> float:
        """By how much the active conditions together are worse than some of them: the median."""
        losses = []
        for other in self._known.values():
            if self._measured(other):
                at = {n: other.by_condition[n].margins[spec.metric] for n in self._active}
                if not any(map(math.isnan, at.values())):
                    losses.append(min(at[n] for n in given) - min(at.values()) if given else 0.0)
        return float(np.median(losses)) if losses else 0.0

    def _spare(self) -> int:
        """Simulations beyond those that one design at every condition costs: those are kept for it."""
        return int(self._session.meter.remaining) - len(self._names)

    def _simulate(
        self, designs: Sequence[Mapping[str, float]], names: Sequence[str]
    ) -> list[Evaluation]:
        before = self._session.meter.used
        evaluations = self._session.simulate(list(designs), conditions=list(names))
        self._uncharged = self._uncharged + 1 if self._session.meter.used == before else 0
        if self._uncharged >= UNCHARGED_CALLS_ALLOWED:
            raise SimulatorUnavailable(f"the simulator failed: {evaluations[-1].message}")
        for evaluation in evaluations:
            self._keep(evaluation)
        return evaluations

    def _keep(self, evaluation: Evaluation) -> bool:
        """Whether it was simulated, and so is known."""
        if evaluation.status in (Status.INFRA_ERROR, Status.INVALID_DESIGN):
            return False
        self._known[tuple(evaluation.design.values())] = evaluation
        for name, at in evaluation.by_condition.items():
            self._worst[name] = min(self._worst[name], _least_margin(at))
        return True


def _margin(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _least_margin(found: Evaluation | AtCondition) -> float:
    return min(map(_margin, found.margins.values()))


def _value(spec: Spec, margin: float) -> float:
    """A value of the metric that has this margin."""
    sign = 1.0 if spec.direction == ">=" else -1.0
    if math.isnan(margin) or math.isinf(margin):
        return math.nan
    if spec.tolerance is not None:
        return max(
            spec.target + sign * margin * spec.tolerance,
            0.0 if spec.direction == "within" else -math.inf,
        )
    return spec.target * math.exp(sign * margin)
