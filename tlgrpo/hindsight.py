"""A warm start from banks, in hindsight: a design that is known solves the targets drawn from it.

python -m tlgrpo.hindsight --config examples/tlgrpo/sizing.toml --banks runs/banks --out runs/sizing

A problem is a circuit, some or all of its specs and targets that one design of its bank meets. The
history is of designs of the bank that fail. The label of a turn depends on it: at first the design
with the most margin in its worst spec, later, of those that meet every spec, the one nearest to the
best of the history. Nothing is simulated here. Labels alone are trained: a failing design is a
member of the main line with weight 0, the label its sibling.

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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import acs_gym
from acs_gym import program
from acs_gym.specs import Spec, SpecSheet
from acs_gym.targets import SLACK_LEAST, SLACK_MOST
from acs_gym.task import Task
from tlgrpo.bank import ANCHOR, Bank, BankError, read_bank
from tlgrpo.checkpoint import CheckpointError, begin
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.domain import Problem, Reaction
from tlgrpo.domains.circuit_words import parameter_words
from tlgrpo.domains.sizing import Told, tell, write_levels
from tlgrpo.tokens import Codec
from tlgrpo.tree import Episode, Node

# Of the designs that fail, so many nearest to the answer, or best, are those a policy may well try.
_LIKELY = 40


@dataclass(frozen=True, slots=True)
class Source:
    """A bank with the task it is of."""

    task: Task
    bank: Bank
    described: tuple[tuple[str, ...], ...]


def sources(tasks: Sequence[Task], folder: Path) -> list[Source]:
    """Raises BankError where a bank is missing."""
    return [Source(t, read_bank(folder, t), parameter_words(t)) for t in tasks]


def margins(specs: Sequence[Spec], metrics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of every design, shape (designs, specs); minus infinity where not measured."""
    found = np.empty_like(metrics)
    for k, spec in enumerate(specs):
        value = np.abs(metrics[:, k]) if spec.direction == "within" else metrics[:, k]
        sign = 1.0 if spec.direction == ">=" else -1.0
        if spec.tolerance is not None:
            found[:, k] = sign * (value - spec.target) / spec.tolerance
        else:
            ratio = value / spec.target
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log(np.maximum(ratio, 0.0))
            found[:, k] = sign * logs
    found[np.isnan(metrics)] = -np.inf
    return found


def drawn(source: Source, rng: np.random.Generator, subset: float) -> tuple[SpecSheet, list[int]]:
    """Targets that some design of the bank meets, and which of the task's specs they are on.

    As `Task.sample_specs` draws them; with probability `subset` on some of the specs only.
    """
    bank, specs = source.bank, tuple(source.task.specs)
    whole = np.flatnonzero(np.isfinite(bank.metrics).all(1))
    known = np.flatnonzero(bank.source == ANCHOR)
    goal = int(rng.choice(known if rng.random() < 0.8 else whole))
    has = bank.metrics[goal]
    usable = []
    for k, spec in enumerate(specs):
        if not spec.fixed or spec.margin(float(has[k])) >= 0:
            usable.append(k)
    if len(usable) > 3 and rng.random() < subset:
        count = int(rng.integers(3, len(usable) + 1))
        usable = sorted(int(k) for k in rng.choice(usable, count, replace=False))
    easy = rng.uniform(SLACK_LEAST, SLACK_MOST - 0.01)
    found = []
    for k in usable:
        spec = specs[k]
        if spec.fixed:
            found.append(spec)
            continue
        target = _eased(spec, abs(has[k]) if spec.direction == "within" else has[k],
                        rng.uniform(SLACK_LEAST, easy))  # fmt: skip
        if spec.tolerance is None and target <= 0:
            found.append(spec)
        else:
            found.append(replace(spec, target=target))
    return SpecSheet(tuple(found)), usable


def _eased(spec: Spec, value: float, slack: float) -> float:
    sign = 1.0 if spec.direction == ">=" else -1.0
    if spec.tolerance is None:
        return float(value * math.exp(-sign * slack))
    return float(value - sign * slack * spec.tolerance)


def episode(
    source: Source, codec: Codec, turns: int, rng: np.random.Generator, subset: float = 0.4
) -> Episode:
    """One problem with a label after each of `turns` histories: the empty one, then longer ones."""
    sheet, places = drawn(source, rng, subset)
    bank = source.bank
    told = tell(replace(source.task, specs=sheet), rng, source.described)
    every = margins(tuple(sheet), bank.metrics[:, places])
    worst = every.min(1)
    satisfied = np.where(every >= 0, 1.0, 1.0 / (1.0 - np.minimum(every, 0.0)))
    weights = np.array([s.weight for s in sheet])
    score = satisfied @ weights / weights.sum()
    solved, failing = np.flatnonzero(worst >= 0), np.flatnonzero(worst < 0)
    first = int(worst.argmax())
    # Where no design meets the targets (an unusable goal), the best there is.
    solved = solved if len(solved) else np.array([first])
    problem = Problem("", told.prompt("levels"))
    made = Episode(problem, tuple(codec.prompt(problem.prompt)))
    tried: list[int] = []
    best = 0.0
    for turn in range(turns):
        label = first if not tried else _nearest(bank, solved, max(tried, key=lambda k: score[k]))
        answer = _node(codec, told, bank, label, turn, best)
        answer.advantage = 1.0
        if turn + 1 == turns or not len(failing):
            answer.on_main_line = True
            made.turns.append([answer])
            break
        chosen = _failing(bank, failing, label, score, rng)
        node = _node(codec, told, bank, chosen, turn, best)
        node.on_main_line = True
        made.turns.append([node, answer])
        if np.isfinite(every[chosen]).any():
            measured = np.where(np.isfinite(every[chosen]), every[chosen], np.nan)
            seen = told.observation(measured.tolist(), False)
        else:
            seen = "failed :"
        made.observations.append(tuple(codec.observation(seen)))
        tried.append(chosen)
        best = max(best, float(score[chosen]))
    return made


def _nearest(bank: Bank, among: NDArray[np.intp], place: int) -> int:
    away = np.abs(bank.levels[among] - bank.levels[place]).sum(1)
    return int(among[away.argmin()])


def _failing(
    bank: Bank,
    failing: NDArray[np.intp],
    label: int,
    score: NDArray[np.float64],
    rng: np.random.Generator,
) -> int:
    kind = rng.random()
    if kind < 0.2:
        return int(rng.choice(failing))
    if kind < 0.6:
        key = np.abs(bank.levels[failing] - bank.levels[label]).sum(1).astype(float)
    else:
        key = -score[failing]
    count = min(_LIKELY, len(failing))
    return int(rng.choice(failing[np.argpartition(key, count - 1)[:count]]))


def _node(codec: Codec, told: Told, bank: Bank, place: int, turn: int, best: float) -> Node:
    text = write_levels(int(bank.levels[place, k]) for k in told.parameters)
    ids = (*codec.prompt(text), codec.end)
    return Node(turn, turn, ids, (0.0,) * len(ids), text, Reaction(0.0, False, ""), best)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="TOML file of settings; the domain is `sizing`.")],
    banks: Annotated[Path, typer.Option(help="Folder of `tlgrpo.bank`.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    steps: Annotated[int, typer.Option(help="Of the whole schedule.")] = 20_000,
    batch: Annotated[int, typer.Option(help="Episodes of a step.")] = 24,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    subset: Annotated[float, typer.Option(help="Share of problems on some of the specs.")] = 0.4,
    save_every: Annotated[int, typer.Option(help="Steps.")] = 100,
    bfloat16: Annotated[bool, typer.Option(help="Matrix products in bfloat16.")] = True,
) -> None:
    """Warm-start a policy from banks; the same command resumes."""
    try:
        settings = TrainConfig.read(config)
        begin(out, settings)
        _train(settings, banks, out, steps, batch, rate, subset, save_every, bfloat16)
    except (ConfigError, CheckpointError, BankError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _train(
    settings: TrainConfig,
    banks: Path,
    out: Path,
    steps: int,
    size: int,
    rate: float,
    subset: float,
    save_every: int,
    bfloat16: bool,
) -> None:
    import torch

    from tlgrpo.domains import build_domain
    from tlgrpo.learner import token_log_probs
    from tlgrpo.loop import WARM
    from tlgrpo.packing import collate, micro_batches, pack
    from tlgrpo.policy import build_policy
    from tlgrpo.tokens import mask_of

    torch.set_num_threads(1)
    domain = build_domain(settings.domain)
    arguments = settings.domain.arguments
    if settings.domain.name != "sizing" or arguments.get("values", "levels") != "levels":
        raise ConfigError("hindsight needs the domain `sizing` with values = 'levels'")
    tasks = [
        acs_gym.make_task(t, pdk=p)
        for p in arguments.get("pdks", ["sky130"])
        for t in arguments["tasks"]
    ]
    known = sources(tasks, banks)
    seed = int(np.random.SeedSequence(settings.seed).generate_state(1)[0])
    policy = build_policy(settings.policy, domain.grammar(), seed)
    codec, answer = policy.codec, mask_of(domain, policy.codec)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=rate, weight_decay=0.01)
    folder = out / WARM
    folder.mkdir(parents=True, exist_ok=True)
    progress = folder / "progress.pt"
    done = 0
    if progress.exists():
        state = torch.load(progress, weights_only=True)
        policy.load_weights(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        done = int(state["step"])
    print(
        f"{policy.parameters / 1e6:.2f} M parameters, {sum(len(s.bank) for s in known)} designs of "
        f"{len(known)} banks, from step {done}", flush=True,
    )  # fmt: skip
    policy.model.train()
    losses: list[float] = []
    start, tokens = time.perf_counter(), 0
    for step in range(done, steps):
        rng = np.random.default_rng((settings.seed, 7, step))
        chosen = rng.integers(len(known), size=size)
        packed = [pack(episode(known[k], codec, settings.turns, rng, subset)) for k in chosen]
        part = min(1.0, (step + 1) / 200) * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate * part
        optimizer.zero_grad(set_to_none=True)
        total = sum(len(n.ids) - 1 for p in packed for n in p.actions if n.advantage)
        value = 0.0
        for rows in micro_batches(packed, settings.micro_tokens):
            data = collate([packed[k] for k in rows], pad=codec.pad)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                log_probs, _ = token_log_probs(policy.model, data, answer=answer)
            loss = -(data.advantage * log_probs).sum() / total
            loss.backward()
            value += float(loss.detach())
            tokens += int(data.ids.numel())
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        losses.append(value)
        if (step + 1) % save_every == 0 or step + 1 == steps:
            _save(folder, policy, optimizer, step + 1)
            numbers: dict[str, Any] = {
                "step": step + 1,
                "loss": round(float(np.mean(losses)), 4),
                "tokens_per_second": round(tokens / (time.perf_counter() - start)),
            }
            losses.clear()
            start, tokens = time.perf_counter(), 0
            with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(numbers) + "\n")
            print(json.dumps(numbers), flush=True)


def _save(folder: Path, policy: Any, optimizer: Any, step: int) -> None:
    import torch

    weights = policy.weights()
    state = {"weights": weights, "optimizer": optimizer.state_dict(), "step": step}
    for name, content in (("progress.pt", state), ("weights.pt", weights)):
        making = folder / f".{name}-{os.getpid()}"
        torch.save(content, making)
        making.rename(folder / name)


if __name__ == "__main__":
    program.start()
    app()
