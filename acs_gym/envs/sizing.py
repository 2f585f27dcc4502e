"""A task as a Gymnasium environment: one turn proposes a sizing, the reward is its score.

The environment is a thin layer over `Session`: it turns an action into a design, hands it through
the metered door, and turns the evaluation into an observation. It has no way to the simulator of
its own, except to draw a sizing that was already paid for.
"""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from acs_gym.design import InvalidDesign
from acs_gym.envs.observation import Observation, observation_space, observe
from acs_gym.envs.snapshot import (
    EnvState,
    InvalidState,
    best_of,
    own,
    rng_from_text,
    rng_to_text,
)
from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.specs import InvalidSpec, SpecSheet
from acs_gym.task import DEFAULT_PDK, Task, make_task

if TYPE_CHECKING:
    from acs_gym.simulation.engine import Waveforms

_OPTIONS = ("specs",)


class SizingEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Size a circuit, one design per turn.

    Action: `Box(-1, 1, (n,), float32)`, one number per parameter in the order of
    `task.space.names`. `(a + 1) / 2` are unit-cube coordinates, which `DesignSpace.from_unit` maps
    to SI values (along each parameter's own log or linear scale) and snaps to its grid. Finite
    values outside [-1, 1] are clipped; a NaN, an infinity or a wrong shape raises ValueError and
    costs nothing.

    Observation: a `Dict` of float32 boxes, with k specs in the order of `task.specs.metrics`:

        design      (n,)  [-1, 1]  the last design as an action; 0 before the first turn
        metrics     (k,)  [-5, 5]  margins of the last metrics to the task's *fixed* targets
        margins     (k,)  [-5, 5]  their margins to this episode's targets; >= 0 is met
        targets     (k,)  [-5, 5]  margin of this episode's targets to the fixed ones; > 0 is harder
        measured    (k,)  {0, 1}   whether the metric could be measured; if not, both margins are -5
        best_score  (1,)  [0, 1]   highest score of the episode so far
        remaining   (1,)  [0, 1]   share of the episode's turns that is left

    Margins are dimensionless (see `acs_gym.specs`) and clipped to the bounds.

    Reward: the score of the turn's design, in [0, 1]. `terminated` when every spec is met,
    `truncated` at the turn limit or at the turn that used up the simulation budget.

    Info: `turn`, `targets` (SI, by metric) and `remaining_budget` (designs, inf without a limit);
    after a turn also `evaluation` (an `Evaluation`, SI units), `best_score` and `best_design`.
    All of it belongs to the caller.

    Args:
        task: a task id, a circuit's name, or a Task (which brings its own PDK and tier).
        pdk: `sky130` or `generic`.
        tier: `tt`.
        specs: targets to replace, by metric, for every episode.
        max_turns: turns per episode.
        stop_when_feasible: end the episode at the first design that meets every spec.
        budget: simulations over *all* episodes, or None for unlimited.
        render_mode: `ansi`, `rgb_array` or None.
        session: simulate through this session instead of one of our own; its meter then counts
            (excludes `budget`), and it is not closed with the environment.
        workers: simulation processes, shared within this Python process.

    Raises TaskNotFound, PdkNotFound, CircuitError, InvalidSpec; ValueError for the rest.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        task: str | Task,
        *,
        pdk: str = DEFAULT_PDK,
        tier: str = "tt",
        specs: Mapping[str, float] | None = None,
        max_turns: int = 20,
        stop_when_feasible: bool = True,
        budget: int | None = None,
        render_mode: str | None = None,
        session: Session | None = None,
        workers: int = 1,
    ) -> None:
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise ValueError(f"max_turns is a whole number >= 1, got {max_turns!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            modes = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"no render_mode {render_mode!r}; use one of: {modes}, or None")
        if isinstance(task, str):
            task = make_task(task, pdk=pdk, tier=tier)
        elif pdk not in (DEFAULT_PDK, task.pdk_name):
            raise ValueError(f"the task given is on {task.pdk_name}, not {pdk}; leave pdk out")
        self.max_turns = max_turns
        self.stop_when_feasible = bool(stop_when_feasible)
        self.render_mode = render_mode
        self._base = task if specs is None else task.with_specs(_plain(specs))
        self._nominal = _nominal_specs(task)
        self._task = self._base
        self._digest = replace(task, specs=self._nominal).digest
        self._workers = workers
        self._metered = session is not None or budget is not None
        self._owns_session = session is None
        self._session = self._door(session, budget)
        self._history: tuple[Evaluation, ...] = ()
        self._started = self._terminated = self._truncated = self._closed = False
        self._drawn: tuple[Mapping[str, float], Waveforms] | None = None
        self.action_space = Box(-1.0, 1.0, (len(task.space),), np.float32)
        self.observation_space = observation_space(len(task.space), len(self._nominal))

    def _door(self, session: Session | None, budget: int | None) -> Session:
        if session is None:
            return self._base.session(budget, workers=self._workers)
        if budget is not None:
            raise ValueError("give either a session, which brings its own budget, or a budget")
        if session.task.program.key != self._base.program.key:
            raise ValueError(
                f"the session is about {session.task.program.name}, "
                f"this environment about {self._base.program.name}"
            )
        return session

    @property
    def task(self) -> Task:
        """The task with this episode's targets."""
        return self._task

    @property
    def session(self) -> Session:
        """The door this environment simulates through."""
        return self._session

    @property
    def history(self) -> tuple[Evaluation, ...]:
        """A copy of this episode's evaluations, oldest first."""
        return tuple(own(e, self._task.specs) for e in self._history)

    # --- Gymnasium ------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; costs no simulation and gives no budget back.

        `options={"specs": {metric: target}}` replaces targets for this episode (in the metric's SI
        unit). Raises ValueError for an unknown option, InvalidSpec for a target that makes no
        sense.
        """
        self._check_open()
        targets = _target_option(options)
        task = self._base if targets is None else self._base.with_specs(targets)
        super().reset(seed=seed)
        self._begin(task, ())
        return self._observation(), self._info()

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Simulate the design that `action` names; see the class for what is returned.

        Raises ValueError for an action that is none, ResetNeeded outside an episode, and
        BudgetExhausted, when there was no budget to begin the turn with; none of them costs any.
        """
        self._check_open()
        if not self._started:
            raise ResetNeeded("call reset() before the first step()")
        if self._terminated or self._truncated:
            raise ResetNeeded("this episode is over; call reset() or restore() before step()")
        design = self._base.space.from_unit((self._checked(action) + 1.0) / 2.0)
        if self._remaining < 1:
            raise BudgetExhausted(
                f"the budget of {self._session.budget.limit} simulations is used up; neither "
                "reset() nor restore() gives any back"
            )
        evaluation = own(self._session.simulate(design), self._task.specs)
        self._history = (*self._history, evaluation)
        self._terminated = self.stop_when_feasible and evaluation.feasible
        self._truncated = not self._terminated and (
            len(self._history) >= self.max_turns or self._remaining < 1
        )
        return (
            self._observation(),
            evaluation.score,
            self._terminated,
            self._truncated,
            self._info(),
        )

    def render(self) -> Any:
        """Text (`ansi`) or an (H, W, 3) uint8 picture (`rgb_array`) of the last turn.

        Drawing simulates the last design once more, for its waveforms; that is not charged, since
        the design was.
        """
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() without a render mode; make the environment with render_mode='ansi' or "
                "'rgb_array'"
            )
            return None
        if not self._started:
            raise ResetNeeded("call reset() before render()")
        if self.render_mode == "ansi":
            from acs_gym.envs.render import episode_text

            return episode_text(self._task, self._history, best_of(self._history), self.max_turns)
        return self._picture()

    def close(self) -> None:
        """No more turns. Safe to call twice; a session that was handed in stays open."""
        if self._owns_session:
            self._session.close()
        self._closed = True
        super().close()

    # --- branching ------------------------------------------------------------------------------

    def snapshot(self) -> EnvState:
        """Where this episode stands, for `restore`. Raises ResetNeeded before the first reset."""
        if not self._started:
            raise ResetNeeded("call reset() before snapshot()")
        return EnvState(
            task_id=self._task.id,
            pdk=self._task.pdk_name,
            tier=self._task.tier,
            digest=self._digest,
            specs=self._task.specs,
            history=self.history,
            max_turns=self.max_turns,
            stop_when_feasible=self.stop_when_feasible,
            terminated=self._terminated,
            truncated=self._truncated,
            rng=rng_to_text(self.np_random),
        )

    def restore(self, state: EnvState) -> tuple[Observation, dict[str, Any]]:
        """Go on from `state`; returns its observation and info.

        The continuation is bit-identical to the one from where the snapshot was taken, in any
        process. Costs no simulation and gives no budget back. The random state of `action_space`
        belongs to the agent and is left alone. Raises InvalidState, changing nothing, for a state
        of another task or another kind of episode.
        """
        self._check_open()
        self._check_state(state)
        rng = rng_from_text(state.rng)
        task = replace(self._base, specs=state.specs)
        self._begin(task, tuple(own(e, state.specs) for e in state.history))
        self.np_random = rng
        self._terminated, self._truncated = state.terminated, state.truncated
        return self._observation(), self._info()

    def _check_state(self, state: EnvState) -> None:
        if not isinstance(state, EnvState):
            raise InvalidState(f"restore takes an EnvState, got {type(state).__name__}")
        here, there = (
            f"{i} on {p} ({t}, {d[:12]})"
            for i, p, t, d in (
                (self._task.id, self._task.pdk_name, self._task.tier, self._digest),
                (state.task_id, state.pdk, state.tier, state.digest),
            )
        )
        if state.digest != self._digest:
            raise InvalidState(f"the state is of {there}, this environment is {here}")
        if state.specs != self._nominal.with_targets(state.targets):
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
                self._base.space.canonicalize(evaluation.design)
        except InvalidDesign as error:
            raise InvalidState(f"the state's history has an impossible design: {error}") from None

    # --- copies ---------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> SizingEnv:
        """A twin in this process; a budget is one meter for both."""
        session = self._session if self._metered else self._door(None, None)
        memo[id(self._session)] = session
        memo[id(self._base)], memo[id(self._task)] = self._base, self._task
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items()})
        if self._metered:
            twin._owns_session = False
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Everything but processes: the meter goes along as it stands, the simulator does not."""
        state = dict(self.__dict__)
        budget = self._session.budget
        state["_session"] = (budget.limit, budget.used)
        state["_owns_session"] = True
        state["_drawn"] = None
        if self.spec is not None and "session" in self.spec.kwargs:
            kwargs = {k: v for k, v in self.spec.kwargs.items() if k != "session"}
            state["spec"] = replace(self.spec, kwargs=kwargs)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit, used = state.pop("_session")
        self.__dict__.update(state)
        self._session = self._base.session(limit, workers=self._workers)
        self._session.budget.used = used
        if self._closed:
            self._session.close()

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _remaining(self) -> float:
        """Designs that can still be simulated; inf without a limit."""
        unlimited = self._session.budget.limit is None
        return math.inf if unlimited else float(self._session.remaining)

    def _begin(self, task: Task, history: tuple[Evaluation, ...]) -> None:
        if not self._metered and not self._history == () == history:
            # A session remembers all it simulated; without a meter there is nothing to carry over.
            self._session = self._base.session(None, workers=self._workers)
        self._task, self._history = task, history
        self._started, self._terminated, self._truncated = True, False, False

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")

    def _checked(self, action: ArrayLike) -> NDArray[np.float64]:
        names = self._base.space.names
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

    def _observation(self) -> Observation:
        return observe(
            self._base.space, self._nominal, self._task.specs, self._history, self.max_turns
        )

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "turn": len(self._history),
            "targets": self._task.specs.targets,
            "remaining_budget": self._remaining,
        }
        best = best_of(self._history)
        if best is not None:
            info["evaluation"] = own(self._history[-1], self._task.specs)
            info["best_score"] = best.score
            info["best_design"] = dict(best.design)
        return info

    def _picture(self) -> NDArray[np.uint8]:
        from acs_gym import plotting

        if not self._history:
            return plotting.to_rgb(plotting.draw_placeholder(self._task))
        last = self._history[-1]
        headline = f"turn {len(self._history)} of {self.max_turns}"
        return plotting.to_rgb(plotting.draw(self._task, last, self._waveforms(last), headline))

    def _waveforms(self, evaluation: Evaluation) -> Waveforms:
        if self._drawn is None or self._drawn[0] != evaluation.design:
            from acs_gym.simulation.pool import Job, shared_pool

            simulator = self._session.simulator or shared_pool(self._workers)
            job = Job(self._base.program, evaluation.design, waveforms=True)
            self._drawn = (evaluation.design, simulator.run([job])[0].waveforms)
        return self._drawn[1]


def _nominal_specs(task: Task) -> SpecSheet:
    """The task's sheet with the circuit's own targets, whatever targets it came with."""
    fixed = task.circuit.specs(task.pdk_name).targets
    return task.specs.with_targets({m: t for m, t in fixed.items() if m in task.specs.metrics})


def _target_option(options: Mapping[str, Any] | None) -> dict[str, float] | None:
    for name in options or ():
        if name not in _OPTIONS:
            close = difflib.get_close_matches(str(name), _OPTIONS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"no reset option {name!r}; {hint}options: {', '.join(_OPTIONS)}")
    targets = (options or {}).get("specs")
    return None if targets is None else _plain(targets)


def _plain(targets: object) -> dict[str, float]:
    """Targets as Python floats: a target drawn with numpy is a number like any other."""
    if not isinstance(targets, Mapping):
        raise InvalidSpec(f"specs maps metrics to targets, got {type(targets).__name__}")
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in targets.items()}
