"""A chat model that learns labels in hindsight, is trained turn by turn, merged, and read by a server."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import acs_gym
from agents.brief import read
from tests.tlgrpo.chat_models import save_chat_model
from tlgrpo import merged
from tlgrpo.brief_labels import hindsight
from tlgrpo.checkpoint import CheckpointError, begin, latest
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.designs import RANDOM, anchors, bank_of, levels_of, write_bank
from tlgrpo.domain import State
from tlgrpo.domains.brief_circuits import BriefCircuits, start_of
from tlgrpo.labels import scored
from tlgrpo.loop import Trainer
from tlgrpo.policy import load_policy

NAME = "ACS-OTA5T-v0"
OTA = acs_gym.make_task(NAME, pdk="generic")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_chat_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def bank():
    """The training anchors, and designs by chance that were measured."""
    rng = np.random.default_rng(0)
    space = OTA.space
    with OTA.session(None) as session:
        found = session.simulate([space.sample(rng) for _ in range(24)])
    whole = [e for e in found if all(np.isfinite(e.metrics[s.metric]) for s in OTA.specs)]
    levels = [levels_of(OTA, e.design) for e in whole]
    metrics = [[e.metrics[s.metric] for s in OTA.specs] for e in whole]
    return anchors(OTA).joined(bank_of(OTA, levels, metrics, RANDOM))


def settings(folder, banks, **changes) -> TrainConfig:
    base = {
        "domain": {
            "name": "brief-circuits", "arguments": {"tasks": [NAME], "pdk": "generic", "workers": 1},
        },
        "policy": {"path": str(folder), "codec": "chat", "lora_rank": 2},
        "sft": {"banks": str(banks), "episodes": 3, "epochs": 1, "batch_tokens": 4000},
        "turns": 2, "group": 2, "problems": 2, "simulations": 8, "action_tokens": 6,
        "warmup_updates": 0, "learning_rate": 1e-3, "checkpoint_every": 1,
    }  # fmt: skip
    return TrainConfig.of(base | changes, "test")


def test_a_label_is_a_design_that_meets_the_targets_written_from_the_best_so_far(folder, bank):
    domain = BriefCircuits([NAME], pdk="generic", workers=1)
    policy = load_policy(folder)
    rng = np.random.default_rng(0)
    for made in hindsight(domain, [bank], policy, 6, 4, rng):
        task, state = domain.task_of(made.problem), State(made.problem)
        known = scored(task, bank, tuple(task.specs))
        assert known.worst.max() >= 0, "some design of the bank meets the targets"
        good = {row.tobytes() for row in known.levels[known.worst >= 0]}
        for turn, tried in zip(made.turns, made.main_line, strict=True):
            (label,) = (n for n in turn if n.advantage == 1.0)
            start = start_of(task, state)
            design = read(task, start, label.text)
            assert levels_of(task, design).tobytes() in good
            said = {pair.partition("=")[0] for pair in label.text.split()}
            assert {n for n in design if design[n] != start[n]} <= said
            assert tried is label or tried.advantage == 0
            state = state.after(tried.text, tried.reaction)
        # What was tried is told as simulation would tell it.
        first = made.turns[0][0]
        if len(made.turns) > 1:
            (reaction,) = domain.evaluate([(State(made.problem), first.text)])
            assert first.reaction.score == pytest.approx(reaction.score, abs=0.1)


def test_a_chat_model_is_warm_started_from_a_bank_trained_and_merged(folder, bank, tmp_path):
    write_bank(tmp_path / "banks", OTA, bank)
    said: list[str] = []
    trainer = Trainer(settings(folder, tmp_path / "banks"), tmp_path / "run", say=said.append)
    assert f"labels from {len(bank)} designs, {bank.simulated} simulated for them" in said
    assert any("warm start: " in line for line in said)
    (numbers,) = trainer.run()
    assert numbers["simulations"] == 8 and numbers["mismatch"] < 1e-3
    merged.write(tmp_path / "run", tmp_path / "whole")
    ids = torch.tensor([trainer.policy.codec.prompt("w_pair")])
    with torch.no_grad():
        adapted = trainer.policy.model.eval()(input_ids=ids).logits
        whole = load_policy(tmp_path / "whole").model.eval()(input_ids=ids).logits
        plain = load_policy(folder).model.eval()(input_ids=ids).logits
    assert float((adapted - whole).abs().max()) < 1e-4 < float((adapted - plain).abs().max())
    merged.write(latest(tmp_path / "run"), tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint" / "config.json").exists()


def test_labels_from_a_bank_are_refused_where_there_are_none(folder, bank, tmp_path):
    with pytest.raises(ConfigError, match=r"sft\.banks: .* is no bank; make it with"):
        Trainer(settings(folder, tmp_path / "nothing"), tmp_path / "a")
    other = {"name": "circuits", "arguments": {"tasks": [NAME], "pdk": "generic", "workers": 1}}
    config = settings(folder, tmp_path, domain=other, policy={"layers": 1, "width": 32})
    with pytest.raises(ConfigError, match="for the domain `brief-circuits`"):
        Trainer(config, tmp_path / "b")


def test_a_policy_without_a_model_is_not_merged(tmp_path):
    config = settings("none", tmp_path, policy={"layers": 1, "width": 32})
    begin(tmp_path / "run", config)
    with pytest.raises(CheckpointError, match=r"tlgrpo\.pretrained"):
        merged.write(tmp_path / "run", tmp_path / "out")
