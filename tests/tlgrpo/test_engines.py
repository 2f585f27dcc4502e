"""What the engines share, without any of them: episodes as rows, and credit by names of groups."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tlgrpo.conftest import sampled_episodes, settings
from tlgrpo.advantage import group_advantages
from tlgrpo.credit import assign
from tlgrpo.domain import Reaction
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.engines.credit import advantages_by_uid, turn_uid
from tlgrpo.engines.rows import rows, taken
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.scripted import ScriptedSampler
from tlgrpo.tree import Episode, history_before

ROOT = Path(__file__).parents[2]


class Scored(Ballistics):
    """Solved at the second turn by the third problem, at a score of its own everywhere else."""

    def evaluate(self, tries):
        found = []
        for state, text in tries:
            solved = state.problem == self.problem(2, "train") and len(state.turns) == 1
            score = 1.0 if solved else (crc32(text.encode()) % 97) / 100
            found.append(Reaction(score, solved, "miss +0 clear +0 :"))
        return found


def episodes_of(policy, *, per_turn: bool) -> list[Episode]:
    words = [policy.codec.prompt(f"={k}")[0] for k in range(16)]
    calls = iter(range(10_000))
    sampler = ScriptedSampler(lambda history, k: [words[next(calls) % 16], policy.codec.end])
    domain = Scored()
    return roll_out(
        domain, policy.codec, sampler, [domain.problem(k, "train") for k in range(3)],
        Plan(turns=3, group=4, per_turn=per_turn), rng=np.random.default_rng(0),
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["tl-grpo", "grpo"])
def test_a_batch_has_a_row_for_every_problem_turn_and_sibling(policy, algorithm):
    config = settings(algorithm=algorithm)
    episodes = episodes_of(policy, per_turn=algorithm == "tl-grpo")
    assign(episodes, config)
    found = rows(episodes, config, end=policy.codec.end)
    assert [r.turn for r in found] == [t for _ in range(3) for t in range(3) for _ in range(4)]
    trained = [r for r in found if r.trained]
    assert sorted(r.ids for r in trained) == sorted(n.ids for e in episodes for n in e.nodes)
    assert sum(not r.trained for r in found) == 4  # The third turn of the third problem.
    for k in range(0, len(found), 4):
        assert sum(r.advantage for r in found[k : k + 4]) == pytest.approx(0, abs=1e-9)


def test_rows_of_a_turn_are_one_group_of_one_history(policy):
    config = settings()
    episodes = episodes_of(policy, per_turn=True)
    assign(episodes, config)
    found = rows(episodes, config, end=policy.codec.end)
    for number, episode in enumerate(episodes):
        for turn, nodes in enumerate(episode.turns):
            start = (number * 3 + turn) * 4
            group = found[start : start + 4]
            assert {r.history for r in group} == {tuple(history_before(episode, turn))}
            assert [r.ids for r in group] == [n.ids for n in nodes]
            assert [r.advantage for r in group] == [n.advantage for n in nodes]
            assert [r.log_probs for r in group] == [n.log_probs for n in nodes]


def test_a_row_that_stands_for_no_action_says_so(policy):
    config = settings()
    episodes = episodes_of(policy, per_turn=True)
    assign(episodes, config)
    (*_, last) = rows(episodes, config, end=policy.codec.end)
    assert not last.trained and last.reward is None and last.advantage == 0
    assert last.ids == (policy.codec.end,) and last.history == episodes[2].prompt


def test_the_actions_that_were_taken_are_those_of_the_tree(policy, domain):
    for episode in sampled_episodes(policy, domain):
        assert [r.ids for r in taken(episode)] == [n.ids for n in episode.nodes]
        assert all(r.trained for r in taken(episode))


REWARDS = st.integers(1, 4).flatmap(
    lambda count: st.lists(
        st.lists(st.floats(0, 2, width=32), min_size=2, max_size=5), min_size=count, max_size=count
    )
)


@given(REWARDS, st.sampled_from(["std", "mean"]), st.randoms())
def test_credit_by_name_is_credit_by_group_in_any_order(groups, normalise, random):
    named = [
        (turn_uid("u", number), reward, own)
        for number, group in enumerate(groups)
        for reward, own in zip(group, group_advantages(group, normalise=normalise), strict=True)
    ]
    named.append(("padding", 0.0, 0.0))
    random.shuffle(named)
    mask = torch.ones(len(named), 3, dtype=torch.long)
    mask[:, 2] = 0
    tokens = torch.zeros(len(named), 3)
    for k, (uid, reward, _) in enumerate(named):
        if uid == "padding":
            mask[k] = 0
        tokens[k, 1] = reward
    found = advantages_by_uid(tokens, mask, [uid for uid, _, _ in named], normalise=normalise)
    assert torch.allclose(
        found[:, 0], torch.tensor([own for _, _, own in named], dtype=torch.float32), atol=1e-5
    )
    assert (found * (1 - mask) == 0).all()


def test_a_group_of_one_is_refused_by_name():
    with pytest.raises(ValueError, match="the group lonely: a group has at least two members"):
        advantages_by_uid(torch.ones(3, 2), torch.ones(3, 2), ["a", "a", "lonely"])


def test_turns_of_one_prompt_have_names_of_their_own_that_verls_keys_survive():
    names = [turn_uid(uid, turn) for uid in ("a", "b") for turn in range(12)]
    assert len(set(names)) == len(names) and not any("_" in name for name in names)


def recipe():
    path = ROOT / "examples/tlgrpo/recipe.py"
    spec = importlib.util.spec_from_file_location("recipe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipe_in_the_documentation_is_what_its_script_computes():
    assert recipe().table() in (ROOT / "docs/tlgrpo-engines.md").read_text(encoding="utf-8")


def test_the_recipe_counts_parameters_as_transformers_does():
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    given = recipe().values()
    shape = Qwen3MoeConfig(
        vocab_size=given["vocabulary"], hidden_size=given["hidden"],
        num_hidden_layers=given["layers"], num_attention_heads=given["heads"],
        num_key_value_heads=given["kv_heads"], head_dim=given["head"],
        num_experts=given["experts"], num_experts_per_tok=given["active"],
        moe_intermediate_size=given["expert"], decoder_sparse_step=1, mlp_only_layers=[],
        tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen3MoeForCausalLM(shape)
    assert sum(p.numel() for p in model.parameters()) == given["parameters"]
