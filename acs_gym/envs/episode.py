"""One episode as a value, and the rules that all episodes of an environment share. Pure.

The single and the vector environment are both a thin shell around this: an episode knows nothing
of Gymnasium's calls, of sessions or of budgets beyond being told whether there is any left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from acs_gym.design import Design, InvalidDesign
from acs_gym.envs.observation import Observation, observation_space, observe
from acs_gym.envs.snapshot import EnvState, InvalidState, best_of, own, rng_to_text
from acs_gym.evaluation import Evaluation
from acs_gym.specs import InvalidSpec, SpecSheet
from acs_gym.targets import Split, parse_split
from acs_gym.task import DEFAULT_PDK, Task, make_task
from acs_gym.wording import did_you_mean


@dataclass(frozen=True, slots=True)
class Rules:
    """What every episode of an environment has in common.

    Attributes:
        task: with the targets of an episode that asks for no others.
        sampled: the split that each episode's targets are drawn from, or None for the task's own.
        nominal: the task's sheet with the circuit's own, fixed targets.
        digest: of the task with its fixed targets; states of another digest are refused.
        max_turns: turns per episode.
        stop_when_feasible: end the episode at the first design that meets every spec.
    """

    task: Task
    sampled: Split | None
    nominal: SpecSheet
    digest: str
    max_turns: int
    stop_when_feasible: bool

    @classmethod
    def of(
        cls,
        task: str | Task,
        pdk: str,
        tier: str,
        specs: Mapping[str, float] | str | None,
        max_turns: int,
        stop_when_feasible: bool,
    ) -> Rules:
        """The rules that an environment's arguments ask for; see `SizingEnv` for their meaning."""
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise ValueError(f"max_turns is a whole number >= 1, got {max_turns!r}")
        if isinstance(task, str):
            task = make_task(task, pdk=pdk, tier=tier)
        elif pdk not in (DEFAULT_PDK, task.pdk_name):
            raise ValueError(f"the task given is on {task.pdk_name}, not {pdk}; leave pdk out")
        nominal = _nominal_specs(task)
        sampled = parse_split(specs) if isinstance(specs, str) else None
        if sampled is not None:
            task.sample_specs(np.random.default_rng(0), sampled)  # Raises where there are none.
        return cls(
            task=task if specs is None or sampled else task.with_specs(_plain(specs)),
            sampled=sampled,
            nominal=nominal,
            digest=replace(task, specs=nominal).digest,
            max_turns=max_turns,
            stop_when_feasible=bool(stop_when_feasible),
        )

    def action_space(self) -> Any:
        return Box(-1.0, 1.0, (len(self.task.space),), np.float32)

    def observation_space(self) -> Any:
        return observation_space(len(self.task.space), len(self.nominal))

    def begin(
        self, rng: np.random.Generator, targets: Mapping[str, float] | None = None
    ) -> Episode:
        """An episode before its first turn.

        Its targets are the task's, or drawn with `rng`; those in `targets` replace them. They are
        drawn even where all are replaced, so that what follows does not depend on it. Raises
        InvalidSpec.
        """
        drawn = {} if self.sampled is None else self.task.sample_specs(rng, self.sampled)
        wanted = {**drawn, **(targets or {})}
        return Episode(self, self.task.with_specs(wanted) if wanted else self.task)

    def asked(
        self, options: Mapping[str, Any] | None, allowed: Sequence[str] = ("specs",)
    ) -> dict[str, float]:
        """The targets among the options of a reset.

        Raises ValueError for an option not `allowed`, InvalidSpec for a target that makes no sense.
        """
        for name in options or ():
            if name not in allowed:
                hint = did_you_mean(name, allowed)
                raise ValueError(f"no reset option {name!r}; {hint}options: {', '.join(allowed)}")
        given = (options or {}).get("specs")
        targets = {} if given is None else _plain(given)
        self.task.with_specs(targets)
        return targets

    def design(self, action: ArrayLike) -> Design:
        """The design that an action names. Raises ValueError for an action that is none."""
        space = self.task.space
        return space.from_unit((numbers_of(action, space.names) + 1.0) / 2.0)

    def resume(self, state: EnvState) -> Episode:
        """The episode that `state` is a moment of.

        Raises InvalidState for a state of another task or another kind of episode.
        """
        if not isinstance(state, EnvState):
            raise InvalidState(f"restore takes an EnvState, got {type(state).__name__}")
        here, there = (
            f"{i} on {p} ({t}, {d[:12]})"
            for i, p, t, d in (
                (self.task.id, self.task.pdk_name, self.task.tier, self.digest),
                (state.task_id, state.pdk, state.tier, state.digest),
            )
        )
        if state.digest != self.digest:
            raise InvalidState(f"the state is of {there}, this environment is {here}")
        if state.specs != self.nominal.with_targets(state.targets):
            raise InvalidState("the state's specs differ from the task's in more than targets")
        for name in ("max_turns", "stop_when_feasible"):
            if getattr(state, name) != getattr(self, name):
                raise InvalidState(
                    f"the state was taken with {name}={getattr(state, name)}, this environment has "
                    f"{name}={getattr(self, name)}"
                )
        if state.turn > self.max_turns:
            raise InvalidState(f"the state has {state.turn} turns, at most {self.max_turns} exist")
        try:
            for evaluation in state.history:
                self.task.space.canonicalize(evaluation.design)
        except InvalidDesign as error:
            raise InvalidState(f"the state's history has an impossible design: {error}") from None
        return Episode(
            self,
            replace(self.task, specs=state.specs),
            tuple(own(e, state.specs) for e in state.history),
            state.terminated,
            state.truncated,
        )


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode so far. What it hands out shares nothing mutable with it.

    Attributes:
        rules: shared with every other episode of the environment.
        task: the task with this episode's targets.
        past: one evaluation per turn, oldest first; never handed out, see `history`.
        terminated, truncated: whether it is over, and how.
    """

    rules: Rules
    task: Task
    past: tuple[Evaluation, ...] = ()
    terminated: bool = False
    truncated: bool = False

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated

    @property
    def history(self) -> tuple[Evaluation, ...]:
        """A copy of the evaluations, oldest first."""
        return tuple(own(e, self.task.specs) for e in self.past)

    @property
    def last(self) -> Evaluation | None:
        """A copy of the last turn's evaluation; None before the first."""
        return own(self.past[-1], self.task.specs) if self.past else None

    @property
    def reward(self) -> float:
        """The last turn's score."""
        return self.past[-1].score

    def after(self, evaluation: Evaluation, *, budget_left: bool) -> Episode:
        """The episode one turn later. Without budget for another turn it is truncated."""
        evaluation = own(evaluation, self.task.specs)
        past = (*self.past, evaluation)
        terminated = self.rules.stop_when_feasible and evaluation.feasible
        truncated = not terminated and (len(past) >= self.rules.max_turns or not budget_left)
        return replace(self, past=past, terminated=terminated, truncated=truncated)

    def observation(self) -> Observation:
        """New arrays; see `SizingEnv` for the entries."""
        rules = self.rules
        return observe(self.task.space, rules.nominal, self.task.specs, self.past, rules.max_turns)

    def info(self, remaining: float) -> dict[str, Any]:
        """See `SizingEnv`; `remaining` is the designs that the budget still covers."""
        info: dict[str, Any] = {
            "turn": len(self.past),
            "targets": self.task.specs.targets,
            "remaining_budget": remaining,
        }
        best = best_of(self.past)
        if best is not None:
            info["evaluation"] = self.last
            info["best_score"] = best.score
            info["best_design"] = dict(best.design)
        return info

    def state(self, rng: np.random.Generator) -> EnvState:
        """This moment, with the environment's `np_random` as it stands."""
        return EnvState(
            task_id=self.task.id,
            pdk=self.task.pdk_name,
            tier=self.task.tier,
            digest=self.rules.digest,
            specs=self.task.specs,
            history=self.history,
            max_turns=self.rules.max_turns,
            stop_when_feasible=self.rules.stop_when_feasible,
            terminated=self.terminated,
            truncated=self.truncated,
            rng=rng_to_text(rng),
        )


def numbers_of(action: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """An action's number for each parameter, clipped to [-1, 1]; ValueError if it has none."""
    allowed = f"an action is {len(names)} finite numbers in [-1, 1]: {', '.join(names)}"
    try:
        vector = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"action is {str(action)[:80]!r}; {allowed}") from None
    if vector.shape != (len(names),):
        raise ValueError(f"action has shape {vector.shape}; {allowed}")
    if not np.isfinite(vector).all():
        bad = ", ".join(
            f"{n} is {v}" for n, v in zip(names, vector, strict=True) if not math.isfinite(v)
        )
        raise ValueError(f"{bad} in the action; {allowed}")
    return np.clip(vector, -1.0, 1.0)


def _nominal_specs(task: Task) -> SpecSheet:
    """The task's sheet with the circuit's own targets, whatever targets it came with."""
    fixed = task.circuit.specs(task.pdk_name, task.conditions.kind).targets
    return task.specs.with_targets({m: t for m, t in fixed.items() if m in task.specs.metrics})


def _plain(targets: object) -> dict[str, float]:
    """Targets as Python floats: a target drawn with numpy is a number like any other."""
    if not isinstance(targets, Mapping):
        raise InvalidSpec(f"specs maps metrics to targets, got {type(targets).__name__}")
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in targets.items()}
