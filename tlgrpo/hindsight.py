"""A warm start from banks, in hindsight: a design that is known solves the targets drawn from it.

python -m tlgrpo.hindsight --config examples/tlgrpo/sizing.toml --banks runs/banks --out runs/sizing

Problems and labels are those of `tlgrpo.labels`; every bank of the configuration's circuits and PDKs is
used, those at other supplies and loads too. Without `--episodes` nothing is simulated. With it, every
`--every` steps the policy plays so many episodes of training problems: what it tried is added to the
banks, and a share of the problems after that are the policy's own histories, labelled anew with what the
banks then know. Those simulations are counted in `metrics.jsonl` and in the banks.

What it leaves is the `warm` folder of a run: `tlgrpo.train` with the same configuration goes on from
it, `tlgrpo.evaluate RUN --warm` tries it. The same command resumes: each step's problems follow from
the seed and its number, and from the banks as they are then.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from acs_gym import program
from tlgrpo.checkpoint import CheckpointError, begin
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.designs import BankError, write_bank
from tlgrpo.labels import Aim, episode, relabelled, sources
from tlgrpo.tree import Episode, load_episodes, save_episodes, total_simulations

HISTORIES = "histories"
# Rounds whose histories are trained on: older ones are of a policy that is no more.
_ROUNDS = 3
_WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a warm start goes on.

    Attributes:
        steps: of the whole schedule.
        batch: episodes of a step.
        rate: highest learning rate; rises at first, then falls as a cosine to a fiftieth.
        save_every: steps.
        bfloat16: matrix products in bfloat16: faster on processors that multiply in it (AMX,
            AVX512-BF16), slower by an order of magnitude on others.
        episodes: that the policy plays each round; 0 for none.
        every: steps between rounds.
        share: of the problems that are its own histories, once there are some.
    """

    steps: int = 20_000
    batch: int = 24
    rate: float = 1e-3
    save_every: int = 100
    bfloat16: bool = False
    episodes: int = 0
    every: int = 1_000
    share: float = 0.5

    def rate_at(self, step: int) -> float:
        falling = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, (step + 1) / _WARM_UP) * falling


class WarmStart:
    """A policy on its way from a random start, or from the weights of `start`, in a run's `warm` folder.

    Raises ConfigError for another domain than `sizing` or weights of another model, BankError where a
    bank is missing, CheckpointError where `start` holds no weights.
    """

    def __init__(
        self,
        settings: TrainConfig,
        banks: Path,
        out: Path,
        schedule: Schedule,
        gain: float = 1.0,
        start: Path | None = None,
    ) -> None:
        import torch

        from tlgrpo.loop import WARM
        from tlgrpo.onpolicy import Recorded
        from tlgrpo.policy import build_policy
        from tlgrpo.pretrained import read_weights, weights_file
        from tlgrpo.tokens import mask_of

        torch.set_num_threads(1)
        if settings.domain.name != "sizing":
            raise ConfigError("domain.name: hindsight needs the domain `sizing`")
        self.settings, self.schedule, self.banks = settings, schedule, banks
        try:
            self.domain = Recorded(**settings.domain.arguments)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"domain.arguments: {error}") from None
        self.aim = Aim(self.domain.subset, gain)
        self.known = sources(self.domain.tasks, banks)
        seed = int(np.random.SeedSequence(settings.seed).generate_state(1)[0])
        self.policy = build_policy(settings.policy, self.domain.grammar(), seed)
        if start is not None:
            try:
                self.policy.load_weights(read_weights(weights_file(start)))
            except RuntimeError as error:
                raise ConfigError(f"{start}: {str(error).splitlines()[0]}") from None
        self.answer = mask_of(self.domain, self.policy.codec)
        self.optimizer = torch.optim.AdamW(
            self.policy.model.parameters(), lr=schedule.rate, weight_decay=0.01
        )
        self.folder = out / WARM
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step = self.simulations = 0
        progress = self.folder / "progress.pt"
        if progress.exists():
            state = torch.load(progress, weights_only=True)
            self.policy.load_weights(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
        self.own = self._kept_histories()

    def run(self) -> None:
        """To the end of the schedule."""
        schedule = self.schedule
        losses: list[float] = []
        start, tokens = time.perf_counter(), 0
        round_: dict[str, Any] = {}
        while self.step < schedule.steps:
            if schedule.episodes and self.step and self.step % schedule.every == 0:
                round_ = self._play(self.step // schedule.every) or round_
            loss, seen = self._learn()
            losses.append(loss)
            tokens += seen
            if self.step % schedule.save_every == 0 or self.step == schedule.steps:
                self._save()
                numbers = {
                    "step": self.step,
                    "loss": round(float(np.mean(losses)), 4),
                    "tokens_per_second": round(tokens / (time.perf_counter() - start)),
                    "simulations": self.simulations,
                    "designs": sum(len(s.bank) for s in self.known),
                    "simulated": sum(s.bank.simulated for s in self.known),
                    **round_,
                }
                losses, round_ = [], {}
                start, tokens = time.perf_counter(), 0
                with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(numbers) + "\n")
                print(json.dumps(numbers), flush=True)

    def problems(self, rng: np.random.Generator) -> list[Episode]:
        """The labelled episodes of a step."""
        from tlgrpo.onpolicy import chosen, place_of, place_of_problem

        codec, values = self.policy.codec, self.domain.values
        found: list[Episode] = []
        by_place = {place_of(s): s for s in self.known}
        for _ in range(self.schedule.batch):
            if self.own and rng.random() < self.schedule.share:
                made = self.own[int(rng.integers(len(self.own)))]
                source = by_place[place_of_problem(made.problem)]
                found.append(relabelled(source, made, codec, values, self.aim.gain))
            else:
                source = chosen(self.known, rng)
                turns = self.settings.turns
                found.append(episode(source, codec, values, turns, rng, self.aim))
        return found

    def _learn(self) -> tuple[float, int]:
        """One step. Returns the loss in nats a label's token, and how many tokens it read."""
        import torch

        from tlgrpo.attention import use_plain_attention
        from tlgrpo.learner import token_log_probs
        from tlgrpo.packing import collate, micro_batches, pack

        rng = np.random.default_rng((self.settings.seed, 7, self.step))
        packed = [pack(e) for e in self.problems(rng)]
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate_at(self.step)
        use_plain_attention(self.policy.model)
        self.policy.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        # Of marks, values and the end only values are chosen.
        total = sum(len(n.ids) // 2 for p in packed for n in p.actions if n.advantage)
        value, tokens = 0.0, 0
        for rows in micro_batches(packed, self.settings.micro_tokens):
            data = collate([packed[k] for k in rows], pad=self.policy.codec.pad)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.schedule.bfloat16):
                log_probs, _ = token_log_probs(self.policy.model, data, answer=self.answer)
            loss = -(data.advantage * log_probs).sum() / total
            loss.backward()
            value += float(loss.detach())
            tokens += sum(len(packed[k]) for k in rows)
        torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return value, tokens

    def _play(self, number: int) -> dict[str, Any] | None:
        """A round: the policy's own episodes, kept, and the banks with what it tried."""
        from tlgrpo.onpolicy import extended, histories, place_of
        from tlgrpo.samplers.hf import HfSampler

        path = self.folder / HISTORIES / f"{number:04d}.jsonl"
        if path.exists():  # The run stopped between it and the next checkpoint.
            return None
        codec, settings = self.policy.codec, self.settings
        sampler = HfSampler(
            self.policy.model,
            end=codec.end,
            pad=codec.pad,
            action_tokens=settings.action_tokens,
            temperature=settings.temperature,
            seed=number,
            answer=self.answer,
        )
        self.domain.seen.clear()
        self.policy.model.set_attn_implementation("sdpa")
        rng = np.random.default_rng((settings.seed, 8, number))
        made = histories(
            self.known, self.domain, codec, sampler, self.schedule.episodes, settings.turns, rng
        )
        banks = extended(self.known, self.domain)
        for source in self.known:
            if (bank := banks.get(place_of(source))) is not None:
                write_bank(self.banks, source.task, bank, source.conditions)
        self.known = sources(self.domain.tasks, self.banks)
        making = path.with_name(f".{path.name}-{os.getpid()}")
        making.unlink(missing_ok=True)
        save_episodes(made, making)
        making.rename(path)
        self.own = self._kept_histories()
        return {
            "round": number,
            "played_best": round(float(np.mean([e.best for e in made])), 4),
            "played_solved": round(float(np.mean([e.solved for e in made])), 4),
        }

    def _kept_histories(self) -> list[Episode]:
        """Of the last rounds; all that were charged are counted."""
        paths = sorted((self.folder / HISTORIES).glob("*.jsonl"))
        rounds = [load_episodes(path) for path in paths]
        self.simulations = sum(total_simulations(made) for made in rounds)
        return [made for one in rounds[-_ROUNDS:] for made in one]

    def _save(self) -> None:
        import torch

        weights = self.policy.weights()
        state = {"weights": weights, "optimizer": self.optimizer.state_dict(), "step": self.step}
        for name, content in (("progress.pt", state), ("weights.pt", weights)):
            making = self.folder / f".{name}-{os.getpid()}"
            torch.save(content, making)
            making.rename(self.folder / name)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="TOML file of settings; the domain is `sizing`.")],
    banks: Annotated[Path, typer.Option(help="Folder of `tlgrpo.bank`.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    steps: Annotated[int, typer.Option(help="Of the whole schedule.")] = 20_000,
    batch: Annotated[int, typer.Option(help="Episodes of a step.")] = 24,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    gain: Annotated[
        float, typer.Option(help="Share of what the best so far misses that a label makes good.")
    ] = 1.0,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Run or `tlgrpo.pretrained` folder whose weights to begin with."),
    ] = None,
    episodes: Annotated[
        int, typer.Option(help="That the policy plays each round; they are simulated and counted.")
    ] = 0,
    every: Annotated[int, typer.Option(help="Steps between rounds.")] = 1_000,
    share: Annotated[float, typer.Option(help="Of problems that are its own histories.")] = 0.5,
    save_every: Annotated[int, typer.Option(help="Steps.")] = 100,
    bfloat16: Annotated[
        bool, typer.Option(help="Matrix products in bfloat16, for processors that multiply in it.")
    ] = False,
) -> None:
    """Warm-start a policy from banks; the same command resumes."""
    schedule = Schedule(steps, batch, rate, save_every, bfloat16, episodes, every, share)
    try:
        settings = TrainConfig.read(config)
        begin(out, settings)
        warm = WarmStart(settings, banks, out, schedule, gain, start_from)
        designs = sum(len(s.bank) for s in warm.known)
        print(
            f"{warm.policy.parameters / 1e6:.2f} M parameters, {designs} designs of "
            f"{len(warm.known)} banks, {sum(s.bank.simulated for s in warm.known)} simulated for "
            f"them, from step {warm.step}", flush=True,
        )  # fmt: skip
        warm.run()
    except (ConfigError, CheckpointError, BankError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    program.start()
    app()
