"""Trees as one sequence: masks, and the same numbers as rows of their own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tlgrpo.conftest import give_advantages, sampled_episodes
from tests.tlgrpo.conftest import settings as train_settings
from tlgrpo.domain import Problem, Reaction
from tlgrpo.learner import token_log_probs
from tlgrpo.loss import grpo_loss
from tlgrpo.packing import collate, micro_batches, naive_rows, pack, visible
from tlgrpo.tree import Episode, Node


def tree(sizes, observations, prompt=3):
    """An episode with `sizes[turn][k]` tokens in sibling k; the first of each turn goes on."""
    ids = iter(range(1000, 10_000))
    take = lambda n: tuple(next(ids) for _ in range(n))  # noqa: E731
    episode = Episode(Problem("p", "p"), take(prompt))
    for turn, lengths in enumerate(sizes):
        nodes = []
        for k, length in enumerate(lengths):
            reaction = Reaction(0.5, False, "o")
            nodes.append(
                Node(turn, turn, take(length), (-1.0,) * length, "t", reaction, 0.0, k == 0)
            )
        episode.turns.append(nodes)
        if turn + 1 < len(sizes):
            episode.observations.append(take(observations[turn]))
    return episode


TREES = st.integers(1, 4).flatmap(
    lambda turns: st.tuples(
        st.lists(
            st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=turns, max_size=turns
        ),
        st.lists(st.integers(0, 4), min_size=turns, max_size=turns),
        st.integers(1, 5),
    )
)


@given(TREES)
def test_every_sampled_token_is_trained_once_and_nothing_else(shape):
    episode = tree(*shape)
    packed = pack(episode)
    trained = sorted(packed.ids[packed.targets])
    assert trained == sorted(t for n in episode.nodes for t in n.ids)
    assert len(set(packed.targets)) == len(packed.targets)


@given(TREES)
def test_a_token_sees_its_own_row_and_no_other(shape):
    episode = tree(*shape)
    packed, sees = pack(episode), visible(pack(episode))
    for row, start, _ in naive_rows(episode):
        for place, token in enumerate(row):
            (k,) = np.flatnonzero(packed.ids == token)
            seen = packed.ids[sees[k]]
            if place >= start:  # A token of this row's action: exactly what stands before it.
                assert sorted(seen) == sorted(row[: place + 1])
                assert packed.positions[k] == place


@given(TREES)
def test_the_source_of_a_token_is_the_one_before_it_in_its_row(shape):
    episode = tree(*shape)
    packed = pack(episode)
    before = dict(zip(packed.ids[packed.targets], packed.ids[packed.sources], strict=True))
    for row, start, _ in naive_rows(episode):
        for place in range(start, len(row)):
            assert before[row[place]] == row[place - 1]


@settings(max_examples=50)
@given(st.lists(TREES, min_size=1, max_size=6), st.integers(1, 200))
def test_parts_hold_every_row_once_and_no_more_than_fits(shapes, tokens):
    packed = [pack(tree(*s)) for s in shapes]
    parts = micro_batches(packed, tokens)
    assert sorted(k for p in parts for k in p) == list(range(len(packed)))
    for part in parts:
        longest = max(len(packed[k]) for k in part)
        assert len(part) == 1 or longest * len(part) <= tokens


def naive_log_probs(policy, episode):
    """The log-probabilities of each node's tokens, each row by itself without any padding."""
    found = []
    for row, start, node in naive_rows(episode):
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([row]), use_cache=False).logits[0]
        chosen = torch.log_softmax(logits, -1)[torch.arange(start - 1, len(row) - 1), row[start:]]
        found.append((node, chosen))
    return found


@pytest.mark.parametrize("per_turn", [True, False])
def test_packed_log_probabilities_are_those_of_naive_rows_and_of_the_sampler(
    policy, domain, per_turn
):
    episodes = sampled_episodes(policy, domain, per_turn=per_turn)
    batch = collate([pack(e) for e in episodes], pad=policy.codec.pad)
    with torch.no_grad():
        log_probs, _ = token_log_probs(policy.model, batch)
    assert (log_probs - batch.sampled).abs().max() < 1e-4
    naive = {id(n): lp for e in episodes for n, lp in naive_log_probs(policy, e)}
    first = 0
    for episode in episodes:
        for number, node in enumerate(pack(episode).actions):
            mine = log_probs[batch.action == first + number]
            assert torch.allclose(mine, naive[id(node)], atol=1e-4)
        first += len(pack(episode).actions)


def test_at_another_temperature_sampler_and_learner_agree_too(policy, domain):
    from tests.tlgrpo.conftest import sampler_of

    history = policy.codec.prompt(domain.problem(0, "train").prompt)
    sampled = sampler_of(policy, temperature=0.5).sample([history], 3)[0]
    with torch.no_grad():
        for action in sampled:
            row = [*history, *action.ids]
            logits = policy.model(input_ids=torch.tensor([row])).logits[0] / 0.5
            places = torch.arange(len(history) - 1, len(row) - 1)
            own = torch.log_softmax(logits, -1)[places, list(action.ids)]
            assert torch.allclose(own, torch.tensor(action.log_probs), atol=1e-4)


@pytest.mark.parametrize("aggregation", ["tokens", "actions"])
def test_loss_and_gradient_are_those_of_naive_rows(policy, domain, aggregation):
    episodes = sampled_episodes(policy, domain)
    give_advantages(episodes)
    nodes = [n for e in episodes for n in e.nodes]
    total = sum(len(n.ids) for n in nodes) if aggregation == "tokens" else len(nodes)

    policy.model.zero_grad()
    naive = 0.0
    for episode in episodes:
        for row, start, node in naive_rows(episode):
            logits = policy.model(input_ids=torch.tensor([row]), use_cache=False).logits[0]
            places = torch.arange(start - 1, len(row) - 1)
            own = torch.log_softmax(logits, -1)[places, row[start:]]
            size = len(node.ids)
            parts = grpo_loss(
                own, torch.tensor(node.log_probs), torch.full((size,), node.advantage),
                torch.zeros(size, dtype=torch.long), total=total, aggregation=aggregation,
            )  # fmt: skip
            parts.loss.backward()
            naive += float(parts.loss.detach())
    expected = [p.grad.clone() for p in policy.model.parameters()]

    for tokens in (10_000, 60):  # In one part, and in many.
        policy.model.zero_grad()
        packed = [pack(e) for e in episodes]
        loss = 0.0
        for part in micro_batches(packed, tokens):
            batch = collate([packed[k] for k in part], pad=policy.codec.pad)
            log_probs, _ = token_log_probs(policy.model, batch)
            parts = grpo_loss(
                log_probs, batch.sampled, batch.advantage, batch.action, total=total,
                aggregation=aggregation,
            )  # fmt: skip
            parts.loss.backward()
            loss += float(parts.loss.detach())
        assert loss == pytest.approx(naive, abs=1e-5)
        for mine, theirs in zip(policy.model.parameters(), expected, strict=True):
            assert torch.allclose(mine.grad, theirs, atol=1e-5)


def test_the_settings_of_the_tests_are_valid():
    assert train_settings().group == 4
