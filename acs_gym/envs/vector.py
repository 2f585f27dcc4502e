"""Many episodes of one task at once: a step's designs are simulated side by side, as one batch.

Digit for digit what Gymnasium's `SyncVectorEnv` gives over as many `SizingEnv`, only faster: both
are built from the same episodes. What it adds is the batch, the budget shared by all, and states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from numpy.typing import NDArray

from acs_gym.design import Design
from acs_gym.envs.env_session import EnvSession
from acs_gym.envs.episode import Episode, Rules
from acs_gym.envs.observation import Observation
from acs_gym.envs.render import check_mode, frames
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState, InvalidState, rng_from_text
from acs_gym.session import Session, available_cores
from acs_gym.task import DEFAULT_PDK, Task

Rewards = NDArray[np.float64]
Flags = NDArray[np.bool_]
_Seeded = tuple[np.random.Generator, int]


class SizingVectorEnv(VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """`num_envs` sub-environments of one task; see `SizingEnv` for what a single one does.

    Actions are `Box(-1, 1, (num_envs, n), float32)`, observations the same `Dict` with a leading
    axis of `num_envs`, rewards float64 and both flags bool of shape `(num_envs,)`. Infos follow
    Gymnasium: per key an array over the sub-environments and, under `_key`, which of them have it;
    `evaluation` is an object array, `targets` and `best_design` are dicts of arrays.

    A sub-environment whose episode is over is reset as Gymnasium's `AutoresetMode` says:

        NextStep  by the next step, which ignores its action, simulates nothing for it and gives
                  reward 0 (the default);
        SameStep  by the same step; the episode's last observation and info are in `final_obs` and
                  `final_info`;
        Disabled  not at all: give `reset` a `reset_mask`, or step raises ResetNeeded.

    Budget: one for all sub-environments. A step's batch is simulated whole or not at all: the step
    after which the budget no longer covers one design for each sub-environment truncates every
    episode that took a turn in it, and a step whose batch does not fit raises BudgetExhausted. (In
    Gymnasium's "sync" mode `budget` is each sub-environment's own.)

    Args:
        task: a task id, a circuit's name, or a Task (which brings its own PDK and tier).
        num_envs: sub-environments.
        autoreset_mode: an AutoresetMode or its value.
        budget: simulations over all episodes of all sub-environments, or None for unlimited.
        workers: simulation processes, shared within this Python process; None for one a core.

    The other arguments, and what is raised, are those of `SizingEnv`.
    """

    metadata = dict(SizingEnv.metadata)  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        task: str | Task,
        num_envs: int = 1,
        *,
        pdk: str = DEFAULT_PDK,
        tier: str = "tt",
        specs: Mapping[str, float] | str | None = None,
        max_turns: int = 20,
        stop_when_feasible: bool = True,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        budget: int | None = None,
        render_mode: str | None = None,
        session: Session | None = None,
        workers: int | None = None,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs is a whole number >= 1, got {num_envs!r}")
        check_mode(render_mode)
        self._mode = _autoreset_mode(autoreset_mode)
        self._rules = Rules.of(task, pdk, tier, specs, max_turns, stop_when_feasible)
        workers = available_cores() if workers is None else workers
        self._env_session = EnvSession(self._rules.task, session, budget, workers)
        self._episodes: list[Episode] | None = None
        self._seeded: list[_Seeded] = [np_random() for _ in range(num_envs)]
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        self.single_action_space = self._rules.action_space()
        self.single_observation_space = self._rules.observation_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    @property
    def task(self) -> Task:
        """The task with the targets of an episode that asks for no others."""
        return self._rules.task

    @property
    def session(self) -> Session:
        """The metered door that every sub-environment simulates through."""
        return self._env_session.session

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Each sub-environment's generator, as in Gymnasium's `SyncVectorEnv`."""
        return tuple(rng for rng, _ in self._seeded)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """Each sub-environment's seed; -1 for one whose generator was restored."""
        return tuple(seed for _, seed in self._seeded)

    # --- Gymnasium ------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start episodes; costs no simulation and gives no budget back.

        Args:
            seed: of the first sub-environment, the others counting on from it; or one for each.
            options: `specs` ({metric: target}) replaces targets for all the episodes started;
                `reset_mask` (bool array of shape `(num_envs,)`) says which sub-environments start
                one, the others go on where they are.

        Observations are of all sub-environments, infos only of those that were reset. Raises
        ValueError or TypeError for an unknown option, a wrong mask or wrong seeds, InvalidSpec for
        a target that makes no sense, ResetNeeded for a mask before the first reset; nothing is
        changed then.
        """
        self._env_session.check_open()
        asked = self._rules.asked(options, ("specs", "reset_mask"))
        mask = self._mask((options or {}).get("reset_mask"))
        seeds = self._seeds(seed)
        seeded = [
            old if given is None or not starts else np_random(given)
            for old, given, starts in zip(self._seeded, seeds, mask, strict=True)
        ]
        if mask.all():
            self._env_session.forget()
        else:
            self._started("a reset with a reset_mask")
        self._seeded = seeded
        episodes = [
            self._rules.begin(rng, asked) if starts else self._started("reset()")[i]
            for i, ((rng, _), starts) in enumerate(zip(seeded, mask, strict=True))
        ]
        return self._go_on_with(episodes, mask)

    def step(
        self, actions: Iterable[Any]
    ) -> tuple[Observation, Rewards, Flags, Flags, dict[str, Any]]:
        """One turn in every sub-environment, simulated as one batch; see the class.

        Raises ValueError naming the sub-environment whose action is none, ResetNeeded outside an
        episode, and BudgetExhausted when the batch does not fit; none of them costs any or changes
        anything.
        """
        self._env_session.check_open()
        episodes = list(self._started("the first step()"))
        over = [i for i, episode in enumerate(episodes) if episode.done]
        if over and self._mode is not AutoresetMode.NEXT_STEP:
            raise ResetNeeded(
                f"the episode is over in sub-environment {', '.join(map(str, over))}; call "
                "reset(options={'reset_mask': ...}) or restore() before step()"
            )
        designs = self._designs(actions, skip=over)
        self._forget_what_is_long_over()
        evaluations = self._env_session.simulate(list(designs.values())) if designs else []
        remaining = self._env_session.remaining
        infos: dict[str, Any] = {}
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=np.bool_)
        for i, evaluation in zip(designs, evaluations, strict=True):
            episode = episodes[i].after(evaluation, budget_left=remaining >= self.num_envs)
            rewards[i] = episode.reward
            terminated[i], truncated[i] = episode.terminated, episode.truncated
            if episode.done and self._mode is AutoresetMode.SAME_STEP:
                final = {"final_obs": episode.observation(), "final_info": episode.info(remaining)}
                infos = self._add_info(infos, final, i)
                episode = self._rules.begin(self.np_random[i])
            episodes[i] = episode
        for i in over:
            episodes[i] = self._rules.begin(self.np_random[i])
        observations, infos = self._go_on_with(episodes, infos=infos)
        return observations, rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The last turn of each sub-environment, as `SizingEnv.render` shows it; not charged."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() without a render mode; make the environment with render_mode='ansi' or "
                "'rgb_array'"
            )
            return None
        return tuple(
            frames(self.render_mode, self._started("render()"), self._env_session.waveforms)
        )

    def close_extras(self, **kwargs: Any) -> None:
        """No more turns; a session that was handed in stays open. (`close` is safe to repeat.)"""
        self._env_session.close()

    # --- branching ------------------------------------------------------------------------------

    def snapshot(self) -> list[EnvState]:
        """Where each episode stands, for `restore` here or in a `SizingEnv`.

        Raises ResetNeeded before the first reset.
        """
        episodes = self._started("snapshot()")
        return [e.state(rng) for e, rng in zip(episodes, self.np_random, strict=True)]

    def restore(self, states: Sequence[EnvState]) -> tuple[Observation, dict[str, Any]]:
        """Go on from one state for each sub-environment; returns observations and infos.

        Costs no simulation and gives no budget back. A state whose episode is over waits to be
        reset, as the autoreset mode says. Raises InvalidState, changing nothing, naming the
        sub-environment whose state does not belong to it.
        """
        self._env_session.check_open()
        if not isinstance(states, (list, tuple)) or len(states) != self.num_envs:
            given = f"{len(states)}" if isinstance(states, (list, tuple)) else type(states).__name__
            raise InvalidState(f"restore takes a list of {self.num_envs} EnvState, got {given}")
        episodes, seeded = [], []
        for i, state in enumerate(states):
            try:
                episodes.append(self._rules.resume(state))
                seeded.append((rng_from_text(state.rng), -1))
            except InvalidState as error:
                raise InvalidState(f"sub-environment {i}: {error}") from None
        self._seeded = seeded
        return self._go_on_with(episodes)

    # --- inside ---------------------------------------------------------------------------------

    def _started(self, call: str) -> list[Episode]:
        if self._episodes is None:
            raise ResetNeeded(f"call reset() before {call}")
        return self._episodes

    def _designs(self, actions: Iterable[Any], skip: Sequence[int]) -> dict[int, Design]:
        """What each sub-environment's action asks for; those to `skip` are not even looked at."""
        allowed = f"step takes an array of shape {self.action_space.shape}"
        try:
            rows = list(actions)
        except TypeError:
            raise ValueError(f"{allowed}, got {type(actions).__name__}") from None
        if len(rows) != self.num_envs:
            raise ValueError(f"{len(rows)} actions for {self.num_envs} sub-environments; {allowed}")
        designs = {}
        for i in (k for k in range(self.num_envs) if k not in skip):
            try:
                designs[i] = self._rules.design(rows[i])
            except ValueError as error:
                raise ValueError(f"sub-environment {i}: {error}") from None
        return designs

    def _forget_what_is_long_over(self) -> None:
        """Training takes millions of turns; a session should not remember them all."""
        if len(self.session.history) >= self.num_envs * self._rules.max_turns:
            self._env_session.forget()

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return [seed + i for i in range(self.num_envs)]
        if not isinstance(seed, (list, tuple)):
            raise TypeError(f"seed is an int, a list of them or None, got {type(seed).__name__}")
        if len(seed) != self.num_envs:
            raise ValueError(
                f"{self.num_envs} sub-environments need as many seeds, got {len(seed)}"
            )
        return seed

    def _mask(self, mask: object) -> Flags:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        allowed = f"reset_mask is a numpy array of bool, shape ({self.num_envs},), not all False"
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"{allowed}; got {getattr(mask, 'dtype', type(mask).__name__)}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"{allowed}; got {mask}")
        return mask

    def _go_on_with(
        self,
        episodes: list[Episode],
        which: Flags | None = None,
        infos: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Observations of all; infos of those `which`, added to `infos` as Gymnasium batches them."""
        self._episodes = episodes
        remaining, infos = self._env_session.remaining, infos or {}
        for i, episode in enumerate(episodes):
            if which is None or which[i]:
                infos = self._add_info(infos, episode.info(remaining), i)
        space = self.single_observation_space
        out: Any = create_empty_array(space, self.num_envs)
        batch: Any = concatenate(space, [e.observation() for e in episodes], out)
        return batch, infos


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        modes = ", ".join(m.value for m in AutoresetMode)
        raise ValueError(f"no autoreset_mode {mode!r}; use one of: {modes}") from None
