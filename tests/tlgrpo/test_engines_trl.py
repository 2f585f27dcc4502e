"""TRL's trainer as a turn-level one: what a row is, what it is compared with, what is learnt from it."""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", reason="trl is not installed; pip install 'acs-gym[trl]'")
pytest.importorskip("datasets", reason="datasets is not installed; pip install 'acs-gym[trl]'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tlgrpo.completions_server import CompletionsServer, serving
from tests.tlgrpo.conftest import SMALL, settings
from tests.tlgrpo.test_distributed import ROOT, torchrun
from tlgrpo.advantage import group_advantages
from tlgrpo.config import ConfigError, SftConfig, TrainConfig
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.engines.trl import Rollout, problem_numbers, tlgrpo_trainer
from tlgrpo.learner import update
from tlgrpo.policy import Policy, load_policy, tiny_policy
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.samplers.vllm import VllmSampler
from tlgrpo.sft import demonstrate, train_sft
from tlgrpo.tree import load_episodes

QUIET = {"disable_tqdm": True, "save_strategy": "no", "gradient_checkpointing": False}
TURNS, GROUP, PROBLEMS = 3, 4, 4
BATCH = TURNS * GROUP * PROBLEMS


@pytest.fixture(scope="module")
def warm_weights() -> dict[str, torch.Tensor]:
    """The weights of a policy that writes actions mostly, and solves some problems early."""
    domain = Ballistics()
    policy = tiny_policy(SMALL, domain.grammar(), seed=0)
    rng = np.random.default_rng(0)
    episodes = demonstrate(domain, policy, 128, TURNS, rng, first=1_000_000)
    settings = SftConfig(epochs=5, batch_tokens=256, learning_rate=1e-2)
    assert list(train_sft(policy, episodes, settings, rng))[-1] < 2
    return policy.model.state_dict()


@pytest.fixture
def warm(policy: Policy, warm_weights: dict[str, torch.Tensor]) -> Policy:
    policy.model.load_state_dict(warm_weights)
    return policy


def configured(**changes: Any) -> TrainConfig:
    """One update, whose episodes are kept in a file."""
    base = {"simulations": 1, "warmup_updates": 0, "save_rollouts_every": 1, "seed": 3}
    return settings(**(base | changes))


class Watched:
    """A trainer whose rollouts and batches are kept."""

    def __init__(
        self, config: TrainConfig, policy: Policy, domain: Any, folder: Path, **more: Any
    ) -> None:
        self.trainer = tlgrpo_trainer(config, policy, domain, folder, **(QUIET | more))
        self.prompts: list[list[str]] = []
        self.rows: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        rollout, score = self.trainer.rollout_func, self.trainer._generate_and_score_completions

        def rolled(prompts: list[str], trainer: Any) -> dict[str, Any]:
            self.prompts.append(list(prompts))
            self.rows.append(copy.deepcopy(rollout(prompts, trainer)))
            return self.rows[-1] | {}

        def scored(inputs: Any) -> dict[str, Any]:
            self.batches.append(score(inputs))
            return {k: v.clone() for k, v in self.batches[-1].items()}

        self.trainer.rollout_func = rolled
        self.trainer._generate_and_score_completions = scored

    def train(self, **how: Any) -> Watched:
        self.trainer.train(**how)
        return self


def groups_of(values: list[Any]) -> list[list[Any]]:
    return [list(values[k : k + GROUP]) for k in range(0, len(values), GROUP)]


def test_prompts_come_as_whole_episodes_and_rows_go_back_in_their_order(warm, domain, tmp_path):
    watched = Watched(configured(), warm, domain, tmp_path).train()
    (prompts,), (rows,) = watched.prompts, watched.rows
    assert prompts == [
        f"problem {p} turn {t}" for p in range(PROBLEMS) for t in range(TURNS) for _ in range(GROUP)
    ]
    assert {len(rows[name]) for name in rows} == {BATCH}
    for k, history in enumerate(rows["prompt_ids"]):
        problem, turn = divmod(k // GROUP, TURNS)
        start = warm.codec.prompt(domain.problem(problem, "train").prompt)
        assert history[: len(start)] == start
        if rows["env_mask"][k][0]:
            observations = history.count(warm.codec.prompt("miss")[0]) + history.count(
                warm.codec.prompt("bad")[0]
            )
            assert observations == turn


def test_a_group_is_the_actions_of_one_history(warm, domain, tmp_path):
    watched = Watched(configured(stop_when_solved=False), warm, domain, tmp_path).train()
    histories = groups_of(watched.rows[0]["prompt_ids"])
    assert all(h == group[0] for group in histories for h in group)
    firsts = [tuple(group[0]) for group in histories]
    assert len(set(firsts)) == len(firsts) == PROBLEMS * TURNS
    actions = groups_of([tuple(ids) for ids in watched.rows[0]["completion_ids"]])
    assert any(len(set(group)) > 1 for group in actions)


class Remembering:
    """A sampler that keeps what it drew."""

    def __init__(self, sampler: Any) -> None:
        self.sampler, self.drawn = sampler, Counter()

    def sample(self, histories: Any, count: int) -> Any:
        groups = self.sampler.sample(histories, count)
        for history, group in zip(histories, groups, strict=True):
            self.drawn.update((tuple(history), action.ids) for action in group)
        return groups


def test_what_is_trained_are_the_ids_that_were_sampled(warm, domain, tmp_path):
    codec = warm.codec
    remembering = Remembering(
        HfSampler(warm.model, end=codec.end, pad=codec.pad, action_tokens=8, seed=1)
    )
    watched = Watched(configured(), warm, domain, tmp_path, sampler=remembering).train()
    (batch,) = watched.batches
    trained: Counter[Any] = Counter()
    for k in range(BATCH):
        kept = batch["completion_mask"][k].bool() & batch["tool_mask"][k].bool()
        if kept.any():
            history = batch["prompt_ids"][k][batch["prompt_mask"][k].bool()]
            ids = batch["completion_ids"][k][kept]
            trained[tuple(history.tolist()), tuple(ids.tolist())] += 1
    assert trained == remembering.drawn
    assert trained.total() == sum(e.simulations for e in episodes_in(tmp_path))


def episodes_in(folder: Path) -> list[Any]:
    return load_episodes(folder / "rollouts" / "000000-0.jsonl")


@pytest.mark.parametrize("normalise", ["std", "mean"])
@pytest.mark.parametrize("turn_reward", ["score", "improvement"])
def test_the_advantages_that_trl_computes_are_ours(warm, domain, tmp_path, normalise, turn_reward):
    config = configured(normalise=normalise, turn_reward=turn_reward)
    watched = Watched(config, warm, domain, tmp_path).train()
    rewards = groups_of(watched.rows[0]["turn_reward"])
    found = groups_of(watched.batches[0]["advantages"].tolist())
    assert any(len(set(group)) > 1 for group in rewards)
    for group, advantages in zip(rewards, found, strict=True):
        if group[0] is None:  # A turn that a solved episode no longer needed.
            assert group == [None] * GROUP and advantages == [0.0] * GROUP
        else:
            own = group_advantages(group, normalise=normalise, epsilon=config.epsilon)
            assert np.allclose(advantages, own, atol=1e-6)


def test_a_trajectorys_advantage_is_that_of_all_its_actions(warm, domain, tmp_path):
    watched = Watched(configured(algorithm="grpo"), warm, domain, tmp_path).train()
    advantages = torch.tensor(watched.batches[0]["advantages"].tolist())
    by_problem = advantages.reshape(PROBLEMS, TURNS, GROUP)
    assert torch.allclose(by_problem, by_problem[:, :1].expand_as(by_problem), atol=1e-6)
    episodes = episodes_in(tmp_path)
    own = [e.turns[0][0].advantage for e in episodes]
    assert np.allclose(by_problem[:, 0].flatten(), own, atol=1e-6) and np.ptp(own) > 0


def test_the_learner_of_trl_gives_the_log_probabilities_of_the_sampler(warm, domain, tmp_path):
    watched = Watched(configured(learning_rate=1e-12), warm, domain, tmp_path).train()
    (batch,), trainer = watched.batches, watched.trainer
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        own, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].shape[1]
        )
    kept = batch["completion_mask"].bool() & batch["tool_mask"].bool()
    assert (own - batch["sampling_per_token_logps"])[kept].abs().max() < 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"algorithm": "grpo"}, {"turn_reward": "score", "normalise": "mean"},
        {"aggregation": "actions", "stop_when_solved": False},
    ],
    ids=str,
)  # fmt: skip
def test_an_update_of_trl_is_an_update_of_our_own_learner(warm, domain, tmp_path, changes):
    """Same episodes, same gradient step, same weights; plain gradient descent shows any difference."""
    config = configured(learning_rate=0.5, **changes)
    ours = copy.deepcopy(warm.model)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    Watched(config, warm, domain, tmp_path, optim="sgd").train()
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.5)
    update(ours, optimizer, episodes_in(tmp_path), config, pad=warm.codec.pad)
    moved = 0.0
    for name, value in warm.model.state_dict().items():
        assert torch.allclose(value, ours.state_dict()[name], atol=2e-6), name
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 1e-3


def test_these_tests_see_rows_that_stand_for_none(warm, domain, tmp_path):
    """Since the policy solves some problems early."""
    Watched(configured(), warm, domain, tmp_path).train()
    assert any(len(e.turns) < TURNS for e in episodes_in(tmp_path))


def test_training_ends_when_the_simulations_are_spent(warm, domain, tmp_path):
    config = configured(simulations=2 * BATCH, stop_when_solved=False)
    trainer = Watched(config, warm, domain, tmp_path).train().trainer
    logged = [e["simulations"] for e in trainer.state.log_history if "loss" in e]
    assert logged == [BATCH, 2 * BATCH] and trainer.state.global_step == 2
    numbers = trainer.state.log_history[0]
    assert {"dead_groups", "idle_groups", "best_of_episode", "solved"} <= numbers.keys()
    assert numbers["rewards/turn_reward/mean"] > 0


def test_epochs_are_steps_on_the_same_episodes(warm, domain, tmp_path):
    config = configured(epochs=2, simulations=1)
    watched = Watched(config, warm, domain, tmp_path).train()
    assert watched.trainer.state.global_step == 2 and len(watched.rows) == 1


def test_a_resumed_run_goes_on_to_the_same_weights(warm, warm_weights, domain, tmp_path):
    config = configured(simulations=3 * BATCH, stop_when_solved=False, checkpoint_every=1)
    saving = {"save_strategy": "steps", "optim": "sgd"}
    ends = []
    for name, parts in (("whole", [3]), ("broken", [1, 3])):
        for number, steps in enumerate(parts):
            warm.model.load_state_dict(warm_weights)
            watched = Watched(config, warm, domain, tmp_path / name, max_steps=steps, **saving)
            watched.train(resume_from_checkpoint=number > 0)
        assert watched.trainer.state.global_step == 3
        assert watched.trainer.state.log_history[-1]["simulations"] == 3 * BATCH
        ends.append({k: v.clone() for k, v in warm.model.state_dict().items()})
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def test_a_checkpoint_of_trl_is_a_policy(warm, domain, tmp_path):
    config = configured(checkpoint_every=1)
    Watched(config, warm, domain, tmp_path, save_strategy="steps").train()
    saved = load_policy(tmp_path / "checkpoint-1")
    assert saved.codec.prompt("target") == warm.codec.prompt("target")
    mine, theirs = warm.model.state_dict(), saved.model.state_dict()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_low_rank_adapter_trains(domain, tmp_path):
    from tlgrpo.policy import build_policy

    settings = SMALL.model_copy(update={"lora_rank": 4})
    policy = build_policy(settings, domain.grammar(), seed=0)
    before = {k: v.clone() for k, v in policy.model.state_dict().items()}
    Watched(configured(entropy_bonus=1.0), policy, domain, tmp_path).train()
    moved = {k for k, v in policy.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all("lora" in name for name in moved)


def test_a_server_may_sample(warm, domain, tmp_path):
    with serving(CompletionsServer(warm)) as server:
        sampler = VllmSampler(server.url, end=warm.codec.end, action_tokens=8)
        watched = Watched(configured(), warm, domain, tmp_path, sampler=sampler).train()
        sent = [p for body in server.requests for p in body["prompt"]]
    assert watched.trainer.state.global_step == 1
    rows = watched.rows[0]
    assert all(
        h in sent for h, mask in zip(rows["prompt_ids"], rows["env_mask"], strict=True) if mask[0]
    )


def stand_in(**changes: Any) -> Any:
    """As much of a trainer as a rollout asks for, where TRL itself would need a GPU."""
    from accelerate import Accelerator

    values = {
        "args": SimpleNamespace(use_vllm=False), "accelerator": Accelerator(cpu=True),
        "state": SimpleNamespace(global_step=0), "is_fsdp_enabled": False,
        "is_deepspeed_enabled": False,
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


def test_with_use_vllm_the_server_that_trl_sends_the_weights_to_samples(warm, domain, tmp_path):
    prompts = [f"problem 0 turn {t}" for t in range(TURNS) for _ in range(GROUP)]
    with serving(CompletionsServer(warm)) as server:
        arguments = SimpleNamespace(use_vllm=True, vllm_server_base_url=server.url)
        rollout = Rollout(configured(), warm, domain, tmp_path)
        rows = rollout(prompts, stand_in(args=arguments))
        assert len(rows["completion_ids"]) == len(prompts) and server.requests


@pytest.mark.parametrize("kind", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_a_sharded_model_is_not_sampled_from(warm, domain, tmp_path, kind):
    prompts = [f"problem 0 turn {t}" for t in range(TURNS) for _ in range(GROUP)]
    with pytest.raises(ConfigError, match="use_vllm=True"):
        Rollout(configured(), warm, domain, tmp_path)(prompts, stand_in(**{kind: True}))


TWO = """
import sys, torch
from pathlib import Path
from tests.tlgrpo import test_engines_trl as here
from tests.tlgrpo.conftest import SMALL
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.policy import tiny_policy
torch.set_num_threads(1)
folder = Path(sys.argv[1])
policy = tiny_policy(SMALL, Ballistics().grammar(), seed=0)
policy.model.load_state_dict(torch.load(folder / 'warm.pt', weights_only=True))
watched = here.Watched(here.together(), policy, Ballistics(), folder, use_cpu=True,
    optim='sgd', sampler=here.hashed(policy)).train()
if watched.trainer.accelerator.process_index == 0:
    spent = watched.trainer.state.log_history[0]['simulations']
    torch.save((policy.model.state_dict(), spent, watched.prompts), folder / 'two.pt')
"""


def together() -> TrainConfig:
    return configured(continuation="best", learning_rate=0.5)


def hashed(policy: Policy) -> Any:
    """Draws that depend on nothing but the history, so on no process."""

    class Hashed:
        def sample(self, histories: Any, count: int) -> Any:
            codec = policy.codec
            return [
                HfSampler(
                    policy.model, end=codec.end, pad=codec.pad, action_tokens=8,
                    seed=sum((k + 1) * i for k, i in enumerate(history)),
                ).sample([history], count)[0]
                for history in histories
            ]  # fmt: skip

    return Hashed()


def test_two_processes_take_the_step_of_one(warm, domain, tmp_path):
    torch.save(warm.model.state_dict(), tmp_path / "warm.pt")
    script = tmp_path / "script.py"
    script.write_text(TWO)
    torchrun(script, str(tmp_path))
    weights, spent, prompts = torch.load(tmp_path / "two.pt", weights_only=False)
    alone = Watched(
        together(), warm, domain, tmp_path / "one", optim="sgd", sampler=hashed(warm)
    ).train()
    assert len(prompts[0]) == BATCH // 2
    assert spent == alone.trainer.state.log_history[0]["simulations"]
    for name, value in warm.model.state_dict().items():
        assert torch.allclose(value, weights[name], atol=2e-6), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_generations": 8}, r"num_generations is decided .*\(group\)"),
        ({"shuffle_dataset": True}, "order of the problems"),
        ({"top_p": 0.9}, "whole distribution"),
        ({"scale_rewards": "batch"}, "normalise"),
        ({"gradient_accumulation_steps": 2}, "problems, turns and group"),
        ({"per_device_train_batch_size": 7}, "7 does not divide the 48 rows"),
        ({"use_vllm": True, "vllm_mode": "colocate"}, "only 'server' is supported"),
    ],
    ids=str,
)
def test_what_would_break_groups_or_credit_is_refused(warm, domain, tmp_path, arguments, said):
    with pytest.raises(ConfigError, match=said):
        tlgrpo_trainer(configured(), warm, domain, tmp_path, **arguments)


@given(
    st.integers(1, 3), st.integers(2, 4),
    st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True), st.randoms(),
)  # fmt: skip
def test_shuffled_rows_are_never_taken_for_episodes(turns, group, numbers, random):
    prompts = [f"problem {n} turn {t}" for n in numbers for t in range(turns) for _ in range(group)]
    assert problem_numbers(prompts, turns, group) == numbers
    shuffled = list(prompts)
    random.shuffle(shuffled)
    order = list(dict.fromkeys(prompt.split()[1] for prompt in shuffled))
    whole = [f"problem {n} turn {t}" for n in order for t in range(turns) for _ in range(group)]
    if shuffled == whole:
        assert problem_numbers(shuffled, turns, group) == [int(n) for n in order]
    else:
        with pytest.raises(ValueError, match="actions of one episode"):
            problem_numbers(shuffled, turns, group)


def test_the_example_trains_and_its_policy_is_one(tmp_path):
    (tmp_path / "run.toml").write_text(EXAMPLE)
    script = ROOT / "examples/tlgrpo/trl_train.py"
    command = [sys.executable, str(script), str(tmp_path / "run.toml"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--trl", "disable_tqdm=true"], env=environment, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "warm start" in done.stdout and "'simulations': 48" in done.stdout
    assert load_policy(tmp_path / "out" / "policy").parameters > 0


EXAMPLE = """
turns = 3
group = 4
problems = 4
simulations = 48
action_tokens = 8
stop_when_solved = false
domain = { name = "ballistics" }
policy = { layers = 2, width = 32, heads = 2, kv_heads = 1 }
sft = { episodes = 16, epochs = 1, batch_tokens = 256 }
"""


def test_without_trl_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.delitem(sys.modules, "tlgrpo.engines.trl")
    with pytest.raises(ImportError, match=r"pip install 'acs-gym\[trl"):
        importlib.import_module("tlgrpo.engines.trl")
