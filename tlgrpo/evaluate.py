"""How good is a policy? Episodes on problems it was not trained on, one action a turn.

python -m tlgrpo.evaluate RUN [--problems 256] [--turns 5]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from acs_gym import program
from tlgrpo.checkpoint import CheckpointError, read_config
from tlgrpo.config import ConfigError
from tlgrpo.domain import Domain, Split
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.base import Sampler
from tlgrpo.tokens import Codec, mask_of
from tlgrpo.tree import Episode


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one policy reached on some problems.

    Attributes:
        best_at: mean best score after 1, 2, ... turns.
        success: share of the episodes that were solved.
        solved_at: that share after 1, 2, ... turns.
        turns_to_solve: mean number of turns of those.
        invalid: share of the actions that were none.
        curves: best score of each episode after 1, 2, ... turns, in the order of the problems.
        solved_in: in how many turns each was solved; None where it was not.
    """

    problems: int
    turns: int
    best_at: tuple[float, ...]
    success: float
    solved_at: tuple[float, ...]
    turns_to_solve: float | None
    invalid: float
    curves: tuple[tuple[float, ...], ...]
    solved_in: tuple[int | None, ...]


def evaluate(
    domain: Domain,
    codec: Codec,
    sampler: Sampler,
    *,
    problems: int,
    turns: int,
    split: Split = "held-out",
    seed: int = 0,
    first: int = 0,
    batch: int = 64,
) -> Evaluated:
    """Problems `first`, `first + 1`, ... of a split, one episode each."""
    episodes: list[Episode] = []
    # `group` is the number of episodes of a problem here.
    plan = Plan(turns=turns, group=1, per_turn=False)
    rng = np.random.default_rng(seed)
    for start in range(0, problems, batch):
        numbers = range(first + start, first + min(start + batch, problems))
        chosen = [domain.problem(k, split) for k in numbers]
        episodes += roll_out(domain, codec, sampler, chosen, plan, rng=rng)
    return summarise(episodes, turns)


def summarise(episodes: Sequence[Episode], turns: int) -> Evaluated:
    """What finished episodes reached; one that ended early keeps its best."""
    curves = []
    for episode in episodes:
        scores = [n.reaction.score for n in episode.main_line]
        best = np.maximum.accumulate(np.pad(scores, (0, turns - len(scores)), mode="edge"))
        curves.append(best)
    solved = [len(e.turns) for e in episodes if e.solved]
    nodes = [n for e in episodes for n in e.nodes]
    return Evaluated(
        problems=len(episodes),
        turns=turns,
        best_at=tuple(float(x) for x in np.mean(curves, axis=0)),
        success=len(solved) / len(episodes),
        solved_at=tuple(sum(k <= t for k in solved) / len(episodes) for t in range(1, turns + 1)),
        turns_to_solve=float(np.mean(solved)) if solved else None,
        invalid=sum(not n.reaction.valid for n in nodes) / len(nodes),
        curves=tuple(tuple(map(float, c)) for c in curves),
        solved_in=tuple(len(e.turns) if e.solved else None for e in episodes),
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, or a checkpoint of it.")],
    problems: Annotated[int, typer.Option(help="Held-out problems.")] = 256,
    turns: Annotated[int | None, typer.Option(help="Turns; as in training by default.")] = None,
    warm: Annotated[bool, typer.Option(help="The policy after its warm start instead.")] = False,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    temperature: Annotated[float | None, typer.Option(help="As in training by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try a trained policy on held-out problems."""
    try:
        found = evaluate_run(
            run, problems=problems, turns=turns, warm=warm, seed=seed, temperature=temperature
        )
    except (CheckpointError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps(asdict(found)))
        return
    for number, score in enumerate(found.best_at, start=1):
        share = found.solved_at[number - 1]
        print(f"after {number} turns: best score {score:.4f}, solved {share:.1%}")
    print(f"solved: {found.success:.1%} of {found.problems}; no action: {found.invalid:.1%}")


def evaluate_run(
    run: Path,
    *,
    problems: int,
    turns: int | None = None,
    warm: bool = False,
    seed: int = 0,
    temperature: float | None = None,
) -> Evaluated:
    """The last checkpoint of a run. Raises CheckpointError where there is none."""
    import torch

    from tlgrpo.domains import build_domain

    torch.set_num_threads(1)
    config = read_config(run)
    domain = build_domain(config.domain)
    policy = trained_policy(run, config, domain, warm=warm)
    from tlgrpo.samplers.hf import HfSampler

    sampler = HfSampler(
        policy.model,
        end=policy.codec.end,
        pad=policy.codec.pad,
        action_tokens=config.action_tokens,
        temperature=temperature or config.temperature,
        seed=seed,
        answer=mask_of(domain, policy.codec),
    )
    return evaluate(
        domain, policy.codec, sampler, problems=problems, turns=turns or config.turns, seed=seed
    )


def trained_policy(run: Path, config: Any, domain: Domain, *, warm: bool = False) -> Any:
    """The policy of a run, of a checkpoint, of a file of weights, or of a run's warm start."""
    from tlgrpo.policy import build_policy
    from tlgrpo.pretrained import read_weights, weights_file

    file = run if run.is_file() else weights_file(run, warm=warm)
    policy = build_policy(config.policy, domain.grammar(), 0)
    policy.load_weights(read_weights(file))
    return policy


if __name__ == "__main__":
    program.start()
    app()
