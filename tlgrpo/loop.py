"""Training: problems in, episodes, credit, an update; again until the simulations are spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlgrpo import checkpoint, distributed
from tlgrpo.alarms import alarms
from tlgrpo.attention import plain_attention
from tlgrpo.checkpoint import CheckpointError, Counters, Metrics
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.credit import GroupStatistics, assign
from tlgrpo.domain import Domain
from tlgrpo.domains import build_domain
from tlgrpo.learner import StepStatistics, update
from tlgrpo.policy import Policy, build_policy, reference_of
from tlgrpo.pretrained import read_weights, weights_file
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.sft import demonstrate, train_sft
from tlgrpo.tokens import mask_of
from tlgrpo.tree import Episode, save_episodes, total_simulations

_TOLD_EVERY = 50  # Steps of a warm start.
WARM = "warm"  # The folder of the policy after the warm start.
Say = Callable[[str], None]


def plan_of(config: TrainConfig) -> Plan:
    return Plan(
        turns=config.turns,
        group=config.group,
        per_turn=config.algorithm == "tl-grpo",
        continuation=config.continuation,
        stop_when_solved=config.stop_when_solved,
        waves=config.waves,
    )


class Trainer:
    """One run in one folder.

    Args:
        config: everything that decides it.
        folder: where it is kept; one that holds a run of the same configuration is gone on with.
        domain: another one than the configured, e.g. with a simulator of its own.
        policy: another one than the configured; it is not warm-started then.
        say: told a line now and then.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        domain: Domain | None = None,
        policy: Policy | None = None,
        say: Say = lambda _: None,
    ) -> None:
        torch.set_num_threads(1)
        self.config, self.folder, self.say = config, folder, say
        checkpoint.begin(folder, config)
        self.domain = domain if domain is not None else build_domain(config.domain)
        seeds = np.random.SeedSequence(config.seed).generate_state(4)
        self.policy = policy or self._warm_policy(int(seeds[0]), int(seeds[1]))
        self.reference = reference_of(self.policy.model) if config.kl else None
        codec = self.policy.codec
        self.answer = mask_of(self.domain, codec)
        self.sampler = HfSampler(
            self.policy.model,
            end=codec.end,
            pad=codec.pad,
            action_tokens=config.action_tokens,
            temperature=config.temperature,
            seed=int(seeds[2]) + distributed.rank(),
            answer=self.answer,
        )
        self.rng = np.random.default_rng((int(seeds[3]), distributed.rank()))
        trained = [p for p in self.policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda k: min(1.0, (k + 1) / max(1, config.warmup_updates))
        )
        self.counters = Counters()
        if (last := checkpoint.latest(folder)) is not None:
            self.counters = checkpoint.restore(
                last, self.policy, self.optimizer, self.schedule, self.sampler.generator, self.rng
            )
            say(f"going on from update {self.counters.update}")

    def run(self) -> Iterator[dict[str, Any]]:
        """Updates until the simulations are spent; yields each one's numbers."""
        first = distributed.rank() == 0
        metrics = Metrics(self.folder, keep=self.counters.update) if first else None
        try:
            while self.counters.simulations < self.config.simulations:
                numbers = self.step()
                if metrics is not None:
                    metrics.write(numbers)
                for alarm in alarms(numbers):
                    self.say(f"update {self.counters.update}: {alarm}")
                done = self.counters.simulations >= self.config.simulations
                if done or self.counters.update % self.config.checkpoint_every == 0:
                    self.save()
                yield numbers
        finally:
            if metrics is not None:
                metrics.close()

    def step(self) -> dict[str, Any]:
        """One update: sample, simulate, give credit, learn."""
        config, counters = self.config, self.counters
        start = time.perf_counter()
        episodes: list[Episode] = []
        useful: list[Episode] = []
        for _ in range(config.rounds):
            fresh = self._sampled()
            groups = assign(fresh, config)
            episodes += fresh
            useful += [e for e in fresh if any(n.advantage for n in e.nodes)]
            copies = 1 if config.algorithm == "tl-grpo" else config.group
            if distributed.sum_numbers([len(useful)])[0] >= config.problems * copies:
                break
        if config.rounds == 1 or not distributed.sum_numbers([len(useful)])[0]:
            useful = episodes
        else:
            groups = assign(episodes, config)
        sampled = time.perf_counter()
        self.policy.model.train()
        with plain_attention(self.policy.model):
            learnt = update(
                self.policy.model,
                self.optimizer,
                useful,
                config,
                pad=self.policy.codec.pad,
                reference=self.reference,
                answer=self.answer,
            )
        self.schedule.step()
        counters.update += 1
        spent = distributed.sum_numbers([total_simulations(episodes)])
        counters.simulations += int(spent[0])
        if config.save_rollouts_every and counters.update % config.save_rollouts_every == 0:
            save_episodes(episodes, self.folder / "rollouts" / f"{counters.update:06d}.jsonl")
        seconds = {
            "sample_seconds": round(sampled - start, 4),
            "learn_seconds": round(time.perf_counter() - sampled, 4),
        }
        return _numbers(counters, episodes, groups, learnt) | seconds

    def _sampled(self) -> list[Episode]:
        """Episodes of the next problems, this process's share of them."""
        config, counters = self.config, self.counters
        share = range(distributed.rank(), config.problems, distributed.size())
        problems = [self.domain.problem(counters.problems + k, "train") for k in share]
        counters.problems += config.problems
        return roll_out(
            self.domain,
            self.policy.codec,
            self.sampler,
            problems,
            plan_of(config),
            rng=self.rng,
            version=counters.update,
        )

    def save(self) -> Path:
        return checkpoint.save(
            self.folder, self.policy, self.optimizer, self.schedule, self.sampler.generator,
            self.rng, self.counters,
        )  # fmt: skip

    def _warm_policy(self, model_seed: int, demonstration_seed: int) -> Policy:
        """The policy after its warm start, which is kept: an interrupted run does not repeat it."""
        config = self.config
        policy = build_policy(config.policy, self.domain.grammar(), model_seed)
        kept = self.folder / WARM / "weights.pt"
        if kept.exists():  # Also one that `python -m tlgrpo.hindsight` made.
            policy.load_weights(torch.load(kept, weights_only=True))
            return policy
        if config.start_from is not None:
            try:
                policy.load_weights(read_weights(weights_file(config.start_from)))
            except RuntimeError as error:
                raise CheckpointError(f"start_from: {config.start_from}: {error}") from None
            return policy
        if not config.sft.episodes:
            return policy
        rng = np.random.default_rng(demonstration_seed)
        episodes = self._lessons(policy, rng)
        # Every process does the same, so that all start from the same weights.
        losses: list[float] = []
        with plain_attention(policy.model):
            for loss in train_sft(policy, episodes, config.sft, rng):
                losses.append(loss)
                if len(losses) % _TOLD_EVERY == 0:
                    recent = float(np.mean(losses[-_TOLD_EVERY:]))
                    self.say(f"warm start: step {len(losses)}, {recent:.3f} nats a token")
        self.say(f"warm start: {losses[0]:.3f} to {losses[-1]:.3f} nats a token")
        if distributed.rank() == 0:
            policy.save(kept.parent)
            torch.save(policy.weights(), kept)
        distributed.wait()
        return policy

    def _lessons(self, policy: Policy, rng: np.random.Generator) -> list[Episode]:
        """What a warm start learns from."""
        sft, turns = self.config.sft, self.config.turns
        # Problems of the training split that training itself will meet later, if ever.
        first = 1_000_000
        if sft.banks is None:
            return demonstrate(self.domain, policy, sft.episodes, turns, rng, first=first)
        from tlgrpo.brief_labels import hindsight
        from tlgrpo.designs import BankError, read_bank
        from tlgrpo.domains.brief_circuits import BriefCircuits

        if not isinstance(self.domain, BriefCircuits):
            raise ConfigError(
                "sft.banks: labels from a bank are for the domain `brief-circuits`; "
                "`sizing` has python -m tlgrpo.hindsight"
            )
        try:
            banks = [read_bank(sft.banks, task) for task in self.domain.tasks.values()]
        except BankError as error:
            raise ConfigError(f"sft.banks: {error}") from None
        self.say(
            f"labels from {sum(map(len, banks))} designs, {sum(b.simulated for b in banks)} simulated "
            "for them"
        )
        return hindsight(self.domain, banks, policy, sft.episodes, turns, rng, first=first)


def _numbers(
    counters: Counters,
    episodes: list[Episode],
    groups: GroupStatistics,
    learnt: StepStatistics,
) -> dict[str, Any]:
    nodes = [n for e in episodes for n in e.nodes]
    count = len(nodes)
    values: Mapping[str, float] = {
        "best_of_episode": float(np.mean([e.best for e in episodes])),
        "first_turn": float(np.mean([n.reaction.score for e in episodes for n in e.turns[0]])),
        "solved": float(np.mean([e.solved for e in episodes])),
        "invalid_share": sum(not n.reaction.valid for n in nodes) / count,
        "failed_share": sum(n.reaction.valid and n.reaction.score == 0 for n in nodes) / count,
        "dead_groups": groups.dead,
        "idle_groups": groups.idle,
        "reward_spread": groups.spread,
        "loss": learnt.loss,
        "gradient_norm": learnt.gradient_norm,
        "clip_fraction": learnt.clip_fraction,
        "approximate_kl": learnt.approximate_kl,
        "entropy": learnt.entropy,
        "mismatch": learnt.mismatch,
    }
    return {
        "update": counters.update,
        "simulations": counters.simulations,
        **{name: round(value, 6) for name, value in values.items()},
        "tokens": learnt.tokens,
        "packed_tokens": learnt.packed_tokens,
    }
