"""Training on verl 0.9 (its v1 trainer): Ray, FSDP or Megatron, vLLM or SGLang.

verl samples one prompt by an agent loop. Here a prompt is a problem, and its loop a whole episode: the
actions of every turn are sampled from verl's servers, simulated, and given back as rows of their own
with rewards of their own. Two things of verl have to be otherwise for that: a row is compared by the
uid of its turn, not of its prompt (`tl_grpo`, an advantage estimator), and keeps its reward, where
verl's worker gives all rows of a loop the last one's (`TurnLoopWorker`).

verl pins an older transformers, so it lives in an environment of its own; see docs/tlgrpo-engines.md.
Used by name, in verl's configuration:

    algorithm.adv_estimator=tl_grpo
    +actor_rollout_ref.rollout.agent.agent_loop_manager_class=tlgrpo.engines.verl.TurnLoopManager
    actor_rollout_ref.rollout.agent.default_agent_loop=tl_grpo
    actor_rollout_ref.rollout.agent.agent_loop_config_path=loop.yaml
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

try:
    import ray
    import transfer_queue
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
    from verl.trainer.ppo.core_algos import register_adv_est
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict
except ImportError as error:
    raise ImportError(
        f"{error}; training on verl needs pip install 'verl[verl-core]==0.9.1' in an environment "
        "of its own"
    ) from None

from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.credit import assign
from tlgrpo.domain import Domain
from tlgrpo.domains import build_domain
from tlgrpo.engines.credit import advantages_by_uid, turn_uid
from tlgrpo.engines.rows import taken
from tlgrpo.loop import plan_of
from tlgrpo.rollout import roll_out
from tlgrpo.samplers.base import Sampled
from tlgrpo.tokens import ChatCodec, Codec, WordCodec, read_conversation
from tlgrpo.tree import Episode

NAME = "tl_grpo"
# Episodes under way in a worker, each waiting for its servers or its simulations most of the time.
_EPISODES = ThreadPoolExecutor(256, thread_name_prefix="episode")


@register_adv_est(NAME)
def turn_level_advantage(
    token_level_rewards: Any,
    response_mask: Any,
    index: Any,
    config: Any = None,
    **_: Any,
) -> tuple[Any, Any]:
    """verl's advantage estimator: (advantages, returns), which are the same."""
    by_std = True if config is None else config.get("norm_adv_by_std_in_grpo", True)
    found = advantages_by_uid(
        token_level_rewards, response_mask, index, normalise="std" if by_std else "mean"
    )
    return found, found


class TurnAgentLoop:
    """An episode as verl's agent loop; one row an action.

    verl makes one for every prompt, with keyword arguments of which a few are used. Its base class is not
    needed, and brings a way of its own from text to tokens.

    Args:
        settings: a TOML file of `TrainConfig`: of it, the domain, the codec, turns, group and rewards
            are used.

    Raises ConfigError where verl's configuration would sample otherwise than is trained.
    """

    def __init__(
        self, *, settings: str, trainer_config: Any, server_manager: Any, tokenizer: Any, **_: Any
    ) -> None:
        self.settings, self.domain = _training(settings)
        check_rollout(self.settings, trainer_config.config.actor_rollout_ref.rollout)
        words = self.settings.policy.codec == "words"
        self.codec: Codec = WordCodec(tokenizer) if words else ChatCodec(tokenizer)
        self.server_manager = server_manager

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> list[AgentLoopOutput]:
        """The rows of an episode of the problem that `extra_info.index` names."""
        settings, number = self.settings, int(kwargs["extra_info"]["index"])
        step = int(kwargs.get("global_steps", 0))
        loop = asyncio.get_running_loop()
        sampler = _ServerSampler(
            self.server_manager, loop, sampling_params, settings, end=self.codec.end
        )
        start = time.perf_counter()
        (episode,) = await loop.run_in_executor(
            _EPISODES,
            functools.partial(
                roll_out,
                self.domain,
                self.codec,
                sampler,
                [self.domain.problem(number, "train")],
                plan_of(settings),
                rng=np.random.default_rng((settings.seed, step, number)),
                version=step,
            ),
        )
        assign([episode], settings)
        metrics = AgentLoopMetrics(
            generate_sequences=sampler.seconds,
            tool_calls=time.perf_counter() - start - sampler.seconds,
        )
        return outputs(episode, metrics, sampler.versions or [step])


def outputs(
    episode: Episode, metrics: AgentLoopMetrics, versions: Sequence[int]
) -> list[AgentLoopOutput]:
    """An episode's actions as verl's rows, in the order (turn, sibling)."""
    solved = float(episode.solved)
    return [
        AgentLoopOutput(
            prompt_ids=list(row.history),
            response_ids=list(row.ids),
            response_mask=[1] * len(row.ids),
            response_logprobs=list(row.log_probs),
            reward_score=row.reward,
            num_turns=row.turn + 1,
            metrics=metrics,
            extra_fields={
                "turn": row.turn,
                "min_global_steps": min(versions),
                "max_global_steps": max(versions),
                "reward_extra_info": {"best_of_episode": episode.best, "solved": solved},
            },
        )
        for row in taken(episode)
    ]


class _ServerSampler:
    """verl's servers as a `Sampler`, called from a thread of an episode.

    Attributes:
        seconds: spent waiting for the servers.
        versions: of the weights that sampled, where the servers say so.
    """

    def __init__(
        self,
        server: Any,
        loop: asyncio.AbstractEventLoop,
        sampling_params: dict[str, Any],
        settings: TrainConfig,
        *,
        end: int,
    ) -> None:
        self._server, self._loop = server, loop
        self._params = sampling_params | {
            "max_tokens": settings.action_tokens,
            "ignore_eos": True,
            "stop_token_ids": [end],
            "logprobs": True,
        }
        # One for the whole episode: its turns share a prefix, so they go to one server.
        self._session = uuid.uuid4().hex
        self.seconds = 0.0
        self.versions: list[int] = []

    def sample(self, histories: Sequence[Sequence[int]], count: int) -> list[list[Sampled]]:
        start = time.perf_counter()
        drawn = asyncio.run_coroutine_threadsafe(self._all(histories, count), self._loop).result()
        self.seconds += time.perf_counter() - start
        return [drawn[k : k + count] for k in range(0, len(drawn), count)]

    async def _all(self, histories: Sequence[Sequence[int]], count: int) -> list[Sampled]:
        return await asyncio.gather(*(self._one(h) for h in histories for _ in range(count)))

    async def _one(self, history: Sequence[int]) -> Sampled:
        found = await self._server.generate(
            request_id=self._session, prompt_ids=list(history), sampling_params=dict(self._params)
        )
        if found.log_probs is None or len(found.log_probs) != len(found.token_ids):
            raise ConfigError("verl's server gave no log-probability for each of its tokens")
        if not found.token_ids or found.stop_reason == "aborted":
            raise RuntimeError(f"verl's server gave no whole action: {found.stop_reason}")
        for name in ("min_global_steps", "max_global_steps"):
            if (version := found.extra_fields.get(name)) is not None:
                self.versions.append(int(version))
        return Sampled(tuple(found.token_ids), tuple(found.log_probs))


# The class behind the actor that verl makes of it under the same name.
_Worker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class.__ray_actor_class__


class TurnLoopWorker(_Worker):
    """verl's worker, for rows that are each compared with their own turn's."""

    async def _agent_loop_postprocess(
        self, output: list[AgentLoopOutput], validate: bool, **kwargs: Any
    ) -> None:
        uid, partition = kwargs["uid"], "val" if validate else "train"
        # As sessions of one row each, since the rows of one session are given one reward.
        for session, row in enumerate(output):
            await super()._agent_loop_postprocess(
                row, validate, **(kwargs | {"session_id": session})
            )
        # The keys stay those of the prompt, by which its rows are found again; only the field by
        # which they are compared changes, before the prompt is said to be finished.
        await transfer_queue.async_kv_batch_put(
            keys=[f"{uid}_{session}_0" for session in range(len(output))],
            fields=list_of_dict_to_tensordict(
                [{"uid": turn_uid(uid, row.extra_fields["turn"])} for row in output]
            ),
            partition_id=partition,
        )


class _WorkerActor:
    """The process of a worker. Holds one rather than being one: Ray sends an actor's inherited methods
    by value, in which `super()` no longer means the class that is there.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._worker = TurnLoopWorker(*args, **kwargs)

    async def generate_sequences(self, batch: Any) -> None:
        await self._worker.generate_sequences(batch)


class TurnLoopManager(AgentLoopManagerTQ):
    """verl's manager, with our workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(_WorkerActor)


@functools.lru_cache(maxsize=8)
def _training(path: str) -> tuple[TrainConfig, Domain]:
    """Read once a process: verl makes a loop for every prompt."""
    settings = TrainConfig.read(Path(path))
    if settings.algorithm != "tl-grpo":
        raise ConfigError(
            f"{path}: algorithm: {settings.algorithm}; on verl only tl-grpo is supported"
        )
    return settings, build_domain(settings.domain)


def check_rollout(settings: TrainConfig, rollout: Any) -> None:
    """Raises ConfigError for a setting of verl's rollout that contradicts ours."""
    wanted = {
        "n": (1, "the loop samples the group itself"),
        "top_p": (1.0, "what is trained is the whole distribution"),
        "top_k": (-1, "what is trained is the whole distribution"),
        "temperature": (settings.temperature, "the training settings say so"),
        "calculate_log_probs": (True, "training compares them with the learner's"),
    }
    for name, (value, reason) in wanted.items():
        if rollout.get(name) != value:
            raise ConfigError(
                f"actor_rollout_ref.rollout.{name} is {rollout.get(name)!r}; set it to {value!r}: "
                f"{reason}"
            )
    if rollout.get("response_length") < settings.action_tokens:
        raise ConfigError(
            f"actor_rollout_ref.rollout.response_length is {rollout.get('response_length')}, less "
            f"than the {settings.action_tokens} action_tokens"
        )


def write_problems(settings: TrainConfig, path: Path, count: int, first: int = 0) -> None:
    """The data set that verl draws from, as a parquet file: problems by number.

    The prompt is for verl's own books; the loop makes its own from the number.
    """
    import pandas

    domain = build_domain(settings.domain)
    pandas.DataFrame(
        {
            "data_source": domain.name,
            "prompt": read_conversation(domain.problem(number, "train").prompt),
            "reward_model": {"style": "rule", "ground_truth": ""},
            "extra_info": {"index": number},
        }
        for number in range(first, first + count)
    ).to_parquet(path)
