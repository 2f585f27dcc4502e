"""What does training cost: packed trees against naive rows, and simulation beside sampling.

    python benchmarks/tlgrpo/speed.py --json benchmarks/results/tlgrpo_speed.json

packing    loss and gradient of one update on the study's shapes (8 episodes, K = 5, G = 8), packed
           and with every action in a padded row of its own; both in parts of as many tokens, for
           several sizes of a part; and the same trees with a prompt as long as one for a chat model.
           In turns, medians; with the largest difference of log-probabilities from the sampler's.
overlap    whole updates with real simulation, and with the same updates' reactions from memory:
           what simulation adds where two cores work on both
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acs_gym.simulation.pool import WorkerPool
from tlgrpo.config import TrainConfig
from tlgrpo.credit import assign
from tlgrpo.domain import Reaction, State
from tlgrpo.domains.circuits import Circuits
from tlgrpo.learner import token_log_probs
from tlgrpo.loop import Trainer, plan_of
from tlgrpo.loss import grpo_loss
from tlgrpo.packing import collate, micro_batches, naive_rows, pack
from tlgrpo.policy import Policy
from tlgrpo.rollout import roll_out
from tlgrpo.tree import Episode

PARTS = (1024, 4096, 16_384)
LONG = 512


def config(task: str, pdk: str) -> TrainConfig:
    return TrainConfig.of(
        {
            "domain": {"name": "circuits", "arguments": {"tasks": [task], "pdk": pdk}},
            "sft": {"episodes": 256, "epochs": 3},
        },
        "speed",
    )


class Remembering:
    """A domain that answers from memory what was asked before: training without its simulator."""

    def __init__(self, domain: Circuits) -> None:
        self.domain = domain
        self.known: dict[tuple[str, str], Reaction] = {}
        self.recording = True

    def evaluate(self, tries: Sequence[tuple[State, str]]) -> list[Reaction]:
        if self.recording:
            reactions = self.domain.evaluate(tries)
            for (state, text), reaction in zip(tries, reactions, strict=True):
                self.known[state.problem.key, text] = reaction
            return reactions
        return [self.known[state.problem.key, text] for state, text in tries]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.domain, name)


def packed_step(policy: Policy, episodes: Sequence[Episode], settings: TrainConfig) -> torch.Tensor:
    packed = [pack(e) for e in episodes]
    total = float(sum(p.trained for p in packed))
    found = []
    for part in micro_batches(packed, settings.micro_tokens):
        batch = collate([packed[k] for k in part], pad=policy.codec.pad)
        log_probs, _ = token_log_probs(policy.model, batch)
        grpo_loss(
            log_probs, batch.sampled, batch.advantage, batch.action, total=total
        ).loss.backward()
        found.append((log_probs.detach() - batch.sampled).abs().max())
    return torch.stack(found).max()


def naive_step(policy: Policy, episodes: Sequence[Episode], settings: TrainConfig) -> torch.Tensor:
    """Every action in a row of its own, in padded batches of as many tokens as the packed ones have."""
    rows = [row for e in episodes for row in naive_rows(e)]
    total = float(sum(len(node.ids) for _, _, node in rows))
    rows.sort(key=lambda r: len(r[0]))
    found = []
    first = 0
    while first < len(rows):
        last = first + 1
        while last < len(rows) and len(rows[last][0]) * (last + 1 - first) <= settings.micro_tokens:
            last += 1
        part = rows[first:last]
        first = last
        length = max(len(ids) for ids, _, _ in part)
        ids = torch.full((len(part), length), policy.codec.pad)
        mask = torch.zeros((len(part), length), dtype=torch.long)
        for k, (row, _, _) in enumerate(part):
            ids[k, : len(row)], mask[k, : len(row)] = torch.tensor(row), 1
        logits = policy.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        places = [
            (k, start - 1 + i, token, p, node.advantage, k)
            for k, (_, start, node) in enumerate(part)
            for i, (token, p) in enumerate(zip(node.ids, node.log_probs, strict=True))
        ]
        where, source, token, sampled, advantage, action = map(
            torch.tensor, zip(*places, strict=True)
        )
        log_probs = torch.log_softmax(logits[where, source].float(), -1)
        chosen = log_probs.gather(1, token[:, None])[:, 0]
        grpo_loss(chosen, sampled.float(), advantage.float(), action, total=total).loss.backward()
        found.append((chosen.detach() - sampled).abs().max())
    return torch.stack(found).max()


def _longer(episode: Episode) -> Episode:
    """The same tree below a prompt of LONG tokens."""
    repeated = episode.prompt * (LONG // len(episode.prompt) + 1)
    return dataclasses.replace(episode, prompt=repeated[:LONG])


def timed(work: Any, *arguments: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="ACS-OTA5T-v0")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = config(options.task, options.pdk)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, WorkerPool(2) as pool:

        def circuits() -> Circuits:
            """One that remembers no simulation."""
            return Circuits([options.task], options.pdk, simulator=pool)

        domain = Remembering(circuits())
        trainer = Trainer(settings, Path(folder) / "run", domain=domain)
        policy = trainer.policy
        problems = [domain.problem(k, "train") for k in range(settings.problems)]
        state = trainer.sampler.generator.get_state()

        def sample() -> list[Episode]:
            trainer.sampler.generator.set_state(state)
            return roll_out(
                domain, policy.codec, trainer.sampler, problems, plan_of(settings),
                rng=np.random.default_rng(0),
            )  # fmt: skip

        episodes = sample()
        assign(episodes, settings)
        shapes = {"study": episodes, "long prompt": [_longer(e) for e in episodes]}
        times: dict[str, list[float]] = {}
        differences = {}
        for _ in range(options.rounds):
            for shape, size in itertools.product(shapes, PARTS):
                part = settings.model_copy(update={"micro_tokens": size})
                for name, step in (("packed", packed_step), ("naive", naive_step)):
                    policy.model.zero_grad()
                    seconds, difference = timed(step, policy, shapes[shape], part)
                    times.setdefault(f"{name}, {shape}, {size}", []).append(seconds)
                    if shape == "study":
                        differences[name] = float(difference)
            for name, recording in (("simulated", True), ("remembered", False)):
                domain.recording, domain.domain = recording, circuits()
                times.setdefault(name, []).append(timed(sample)[0])
    middle = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        f"{shape}, parts of {size}": round(
            middle[f"naive, {shape}, {size}"] / middle[f"packed, {shape}, {size}"], 2
        )
        for shape, size in itertools.product(shapes, PARTS)
    }
    update = middle["remembered"] + middle[f"packed, study, {settings.micro_tokens}"]
    result = {
        "command": "python benchmarks/tlgrpo/speed.py " + " ".join(sys.argv[1:]),
        "seconds": {k: round(v, 4) for k, v in middle.items()},
        "naive_over_packed": ratios,
        "tokens": {
            shape: {
                "packed": sum(len(pack(e)) for e in chosen),
                "naive": sum(len(ids) for e in chosen for ids, _, _ in naive_rows(e)),
            }
            for shape, chosen in shapes.items()
        },
        "simulation_adds": round((middle["simulated"] - middle["remembered"]) / update, 4),
        "largest_log_prob_difference": differences,
        "tokens_trained": sum(len(n.ids) for e in episodes for n in e.nodes),
        "simulations": sum(e.simulations for e in episodes),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
