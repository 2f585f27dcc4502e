"""A task as a Gymnasium environment: one turn proposes a sizing, the reward is its score.

The environment is a thin layer over `Session`: it turns an action into a design, hands it through
the metered door, and turns the evaluation into an observation. It has no way to the simulator of
its own, except to draw a sizing that was already paid for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from acs_gym.envs.env_session import EnvSession
from acs_gym.envs.episode import Episode, Rules
from acs_gym.envs.observation import Observation
from acs_gym.envs.render import MODES, check_mode, frames
from acs_gym.envs.snapshot import EnvState, rng_from_text
from acs_gym.evaluation import Evaluation
from acs_gym.session import Session
from acs_gym.specs import SpecSheet
from acs_gym.task import DEFAULT_PDK, Task


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
        pdk: a PDK of `pdk_names()`: `sky130`, `generic`, `gf180mcu` or a package's.
        tier: `tt`, `pvt`, `mc` or `mcN`.
        specs: targets to replace, by metric, for every episode; or `sampled`, and each reset draws
            targets that a known design meets (`sampled:held-out` draws from designs set aside for
            testing; see `Task.sample_specs`).
        max_turns: turns per episode.
        stop_when_feasible: end the episode at the first design that meets every spec.
        budget: simulations over *all* episodes, or None for unlimited.
        render_mode: `ansi`, `rgb_array` or None.
        session: simulate through this session instead of one of our own; its meter then counts
            (excludes `budget`), and it is not closed with the environment.
        workers: simulation processes, shared within this Python process.

    Raises TaskNotFound, PdkNotFound, CircuitError, InvalidSpec, TargetsNotFound where targets
    cannot be sampled; ValueError for the rest.
    """

    metadata = {"render_modes": list(MODES), "render_fps": 2}  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        task: str | Task,
        *,
        pdk: str = DEFAULT_PDK,
        tier: str = "tt",
        specs: Mapping[str, float] | str | None = None,
        max_turns: int = 20,
        stop_when_feasible: bool = True,
        budget: int | None = None,
        render_mode: str | None = None,
        session: Session | None = None,
        workers: int = 1,
    ) -> None:
        check_mode(render_mode)
        self.render_mode = render_mode
        self._rules = Rules.of(task, pdk, tier, specs, max_turns, stop_when_feasible)
        self._env_session = EnvSession(self._rules.task, session, budget, workers)
        self._episode: Episode | None = None
        self.action_space = self._rules.action_space()
        self.observation_space = self._rules.observation_space()

    @property
    def task(self) -> Task:
        """The task with this episode's targets."""
        return self._rules.task if self._episode is None else self._episode.task

    @property
    def fixed_specs(self) -> SpecSheet:
        """The sheet with the circuit's own targets, whatever this episode asks for."""
        return self._rules.nominal

    @property
    def session(self) -> Session:
        """The metered door this environment simulates through."""
        return self._env_session.session

    @property
    def max_turns(self) -> int:
        return self._rules.max_turns

    @property
    def stop_when_feasible(self) -> bool:
        return self._rules.stop_when_feasible

    @property
    def history(self) -> tuple[Evaluation, ...]:
        """A copy of this episode's evaluations, oldest first."""
        return () if self._episode is None else self._episode.history

    @property
    def last(self) -> Evaluation | None:
        """A copy of this episode's last evaluation; None before its first turn."""
        return None if self._episode is None else self._episode.last

    # --- Gymnasium ------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; costs no simulation and gives no budget back.

        `options={"specs": {metric: target}}` replaces targets for this episode (in the metric's SI
        unit); with sampled targets, those of the draw. Raises ValueError for an unknown option,
        InvalidSpec for a target that makes no sense.
        """
        self._env_session.check_open()
        asked = self._rules.asked(options)
        super().reset(seed=seed)
        return self._go_on_with(self._rules.begin(self.np_random, asked))

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Simulate the design that `action` names; see the class for what is returned.

        Raises ValueError for an action that is none, ResetNeeded outside an episode, and
        BudgetExhausted, when there was no budget to begin the turn with; none of them costs any.
        """
        self._env_session.check_open()
        episode = self._started("the first step()")
        if episode.done:
            raise ResetNeeded("this episode is over; call reset() or restore() before step()")
        [evaluation] = self._env_session.simulate([self._rules.design(action)])
        remaining = self._env_session.remaining
        self._episode = episode = episode.after(evaluation, budget_left=remaining >= 1)
        return (
            episode.observation(),
            episode.reward,
            episode.terminated,
            episode.truncated,
            episode.info(remaining),
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
        return frames(self.render_mode, [self._started("render()")], self._env_session.waveforms)[0]

    def close(self) -> None:
        """No more turns. Safe to call twice; a session that was handed in stays open."""
        self._env_session.close()
        super().close()

    # --- branching ------------------------------------------------------------------------------

    def snapshot(self) -> EnvState:
        """Where this episode stands, for `restore`. Raises ResetNeeded before the first reset."""
        return self._started("snapshot()").state(self.np_random)

    def restore(self, state: EnvState) -> tuple[Observation, dict[str, Any]]:
        """Go on from `state`; returns its observation and info.

        The continuation is bit-identical to the one from where the snapshot was taken, in any
        process. Costs no simulation and gives no budget back. The random state of `action_space`
        belongs to the agent and is left alone. Raises InvalidState, changing nothing, for a state
        of another task or another kind of episode.
        """
        self._env_session.check_open()
        episode = self._rules.resume(state)
        self.np_random = rng_from_text(state.rng)
        return self._go_on_with(episode)

    # --- copies ---------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> SizingEnv:
        """A twin in this process; a budget is one meter for both."""
        copy.deepcopy(self._env_session, memo)
        # Frozen, and nothing of theirs is ever handed out: the twins can share them.
        memo[id(self._rules)], memo[id(self._episode)] = self._rules, self._episode
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items()})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """A session that was handed in stays behind, where Gymnasium noted it down, too."""
        state = dict(self.__dict__)
        if self.spec is not None and "session" in self.spec.kwargs:
            kwargs = {k: v for k, v in self.spec.kwargs.items() if k != "session"}
            state["spec"] = replace(self.spec, kwargs=kwargs)
        return state

    # --- inside ---------------------------------------------------------------------------------

    def _started(self, call: str) -> Episode:
        if self._episode is None:
            raise ResetNeeded(f"call reset() before {call}")
        return self._episode

    def _go_on_with(self, episode: Episode) -> tuple[Observation, dict[str, Any]]:
        if episode.past or (self._episode is not None and self._episode.past):
            self._env_session.forget()
        self._episode = episode
        return episode.observation(), episode.info(self._env_session.remaining)
