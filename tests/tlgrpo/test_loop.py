"""A run: the same bits whether or not it was interrupted, equal budgets, and learning at all."""

import json

import numpy as np
import pytest
import torch

from tests.tlgrpo.conftest import SMALL, settings
from tlgrpo.checkpoint import CheckpointError, latest
from tlgrpo.config import TrainConfig
from tlgrpo.evaluate import evaluate, evaluate_run
from tlgrpo.loop import Trainer
from tlgrpo.samplers.hf import HfSampler

TIMES = ("sample_seconds", "learn_seconds")


def weights(folder):
    return torch.load(latest(folder) / "state.pt", weights_only=True)["weights"]


def numbers(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("algorithm", ["tl-grpo", "grpo"])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, algorithm):
    config = settings(
        algorithm=algorithm, checkpoint_every=1, simulations=48 * 4,
        sft={"episodes": 8, "epochs": 1, "batch_tokens": 256}, save_rollouts_every=1,
    )  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    list(Trainer(config, whole).run())
    for number, _ in enumerate(Trainer(config, broken).run(), start=1):
        if number == 2:
            break  # As a kill in the middle of the third update leaves it.
    with (broken / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"update": 3, "simulations": 0}) + "\n")
    list(Trainer(config, broken).run())
    assert same(weights(whole), weights(broken))
    assert numbers(whole) == numbers(broken) and len(numbers(whole)) >= 4


def test_same_seed_same_run_and_another_seed_another(tmp_path):
    runs = [tmp_path / name for name in "abc"]
    for folder, seed in zip(runs, (1, 1, 2), strict=True):
        list(Trainer(settings(seed=seed), folder).run())
    first, again, other = map(weights, runs)
    assert same(first, again) and not same(first, other)


def test_both_algorithms_stop_at_the_same_simulations(tmp_path):
    spent = []
    for algorithm in ("tl-grpo", "grpo"):
        config = settings(algorithm=algorithm, stop_when_solved=False)
        list(Trainer(config, tmp_path / algorithm).run())
        spent.append([n["simulations"] for n in numbers(tmp_path / algorithm)])
    # Siblings counted: problems x turns x group an update, in either.
    assert spent[0] == spent[1] == [48, 96]


def test_a_folder_of_another_run_is_not_gone_on_with(tmp_path):
    list(Trainer(settings(), tmp_path).run())
    with pytest.raises(CheckpointError, match="other settings"):
        Trainer(settings(seed=9), tmp_path)


def test_sampler_and_learner_agree_in_every_update(tmp_path):
    list(Trainer(settings(simulations=200), tmp_path).run())
    assert all(n["mismatch"] < 1e-4 for n in numbers(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"turn_reward": "score"}, {"continuation": "best"}, {"normalise": "mean"},
        {"aggregation": "actions"}, {"entropy_bonus": 0.01}, {"kl": 0.05}, {"epochs": 2},
        {"algorithm": "grpo", "episode_reward": "last"}, {"micro_tokens": 64}, {"waves": 1},
        {"temperature": 0.7},
    ],
    ids=str,
)  # fmt: skip
def test_every_choice_trains(tmp_path, changes):
    rows = list(Trainer(settings(**changes), tmp_path).run())
    assert len(rows) >= 2 and all(np.isfinite(r["loss"]) for r in rows)


def test_micro_batches_change_nothing_but_rounding(tmp_path):
    for name, tokens in (("one", 100_000), ("many", 50)):
        list(Trainer(settings(micro_tokens=tokens, simulations=40), tmp_path / name).run())
    first, second = weights(tmp_path / "one"), weights(tmp_path / "many")
    assert all(torch.allclose(first[k], second[k], atol=1e-5) for k in first)


LEARNS = TrainConfig.of(
    {
        "domain": {"name": "ballistics"},
        "policy": SMALL.model_dump() | {"width": 64},
        "turns": 3, "group": 8, "problems": 12, "simulations": 15_000, "action_tokens": 6,
        "learning_rate": 1e-3, "warmup_updates": 5, "checkpoint_every": 1000, "seed": 1,
        "sft": {"episodes": 1500, "epochs": 3, "batch_tokens": 1024, "learning_rate": 3e-3},
    },
    "test",
)  # fmt: skip


def test_it_learns(tmp_path):
    """On held-out problems, well above its own warm start: one minute, a fixed seed."""
    list(Trainer(LEARNS, tmp_path).run())
    before = evaluate_run(tmp_path, problems=200, warm=True)
    after = evaluate_run(tmp_path, problems=200)
    assert after.best_at[0] > before.best_at[0] + 0.05
    assert after.best_at[-1] > before.best_at[-1] + 0.05
    assert after.success > before.success
    assert after.invalid < 0.05


def test_evaluation_is_of_held_out_problems_and_deterministic(policy, domain):
    def once():
        sampler = HfSampler(
            policy.model, end=policy.codec.end, pad=policy.codec.pad, action_tokens=8, seed=3
        )
        return evaluate(domain, policy.codec, sampler, problems=10, turns=3)

    first = once()
    assert first == once() and len(first.curves) == 10 and len(first.best_at) == 3
    train = {domain.problem(k, "train").key.partition(" ")[2] for k in range(500)}
    held_out = {domain.problem(k, "held-out").key for k in range(500)}
    assert train and not {k for k in held_out if k.startswith("train")}


def test_a_run_without_a_checkpoint_cannot_be_evaluated(tmp_path):
    with pytest.raises(CheckpointError, match="no config"):
        evaluate_run(tmp_path, problems=1)


def test_an_update_samples_further_problems_for_groups_without_spread(tmp_path):
    """An untrained policy writes no action at all: every group is without spread, and charged."""
    config = settings(rounds=2, problems=2, simulations=40)
    (numbers,) = Trainer(config, tmp_path / "run").run()
    assert numbers["dead_groups"] == 1.0
    assert numbers["simulations"] == 2 * 2 * 3 * 4
