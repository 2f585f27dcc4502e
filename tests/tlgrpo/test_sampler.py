"""Sampling: what is drawn, and what its log-probabilities are."""

import torch

from tests.tlgrpo.conftest import sampler_of

HISTORIES = [[3, 4, 5], [6], [7, 8, 9, 10, 11, 3, 4]]


def test_actions_end_with_the_end_token_or_at_the_limit(policy):
    for group in sampler_of(policy).sample(HISTORIES, 8):
        for action in group:
            assert 1 <= len(action.ids) <= 8 == sampler_of(policy).action_tokens
            assert len(action.ids) == len(action.log_probs)
            end = policy.codec.end
            assert end not in action.ids[:-1] and policy.codec.pad not in action.ids[:0]
            assert action.ids[-1] == end or len(action.ids) == 8


def test_same_seed_same_actions_and_another_seed_others(policy):
    first = sampler_of(policy, seed=1).sample(HISTORIES, 4)
    assert sampler_of(policy, seed=1).sample(HISTORIES, 4) == first
    assert sampler_of(policy, seed=2).sample(HISTORIES, 4) != first


def test_log_probabilities_are_those_of_the_model_whatever_the_padding(policy):
    for history, group in zip(HISTORIES, sampler_of(policy).sample(HISTORIES, 4), strict=True):
        for action in group:
            row = [*history, *action.ids]
            with torch.no_grad():
                logits = policy.model(input_ids=torch.tensor([row])).logits[0]
            places = torch.arange(len(history) - 1, len(row) - 1)
            own = torch.log_softmax(logits, -1)[places, list(action.ids)]
            assert torch.allclose(own, torch.tensor(action.log_probs), atol=1e-4)


def test_it_draws_from_the_whole_distribution(policy):
    history = [3, 4, 5]
    with torch.no_grad():
        expected = torch.softmax(policy.model(input_ids=torch.tensor([history])).logits[0, -1], -1)
    drawn = sampler_of(policy).sample([history], 20_000)[0]
    counts = torch.bincount(
        torch.tensor([a.ids[0] for a in drawn]), minlength=expected.numel()
    ) / len(drawn)
    # Four standard deviations of a share.
    assert (counts - expected).abs().max() < 4 * (0.25 / len(drawn)) ** 0.5


def test_the_model_is_left_as_it_was(policy):
    policy.model.train()
    sampler_of(policy).sample(HISTORIES, 1)
    assert policy.model.training
    assert all(p.grad is None for p in policy.model.parameters())


def test_what_is_kept_of_a_history_changes_nothing_and_goes_when_a_weight_changes(policy):
    longer = [[*h, 5, 6, *range(3, 3 + k)] for k, h in enumerate(HISTORIES)]
    kept, fresh = (sampler_of(policy, seed=3) for _ in range(2))
    for sampler in (kept, fresh):
        sampler.sample(HISTORIES, 2)
    fresh._prefixes.clear()
    assert kept._begun(longer) is not None
    for one, other in zip(kept.sample(longer, 4), fresh.sample(longer, 4), strict=True):
        assert [a.ids for a in one] == [a.ids for a in other]
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(torch.tensor(a.log_probs), torch.tensor(b.log_probs), atol=1e-5)
    with torch.no_grad():
        next(policy.model.parameters()).mul_(1.0)
    kept.sample([[3, 4]], 1)
    assert kept._begun(longer) is None


def test_memory_that_grows_by_blocks_holds_the_same_bits(policy, monkeypatch):
    """Longer than a block, with rows that are repeated and chosen on the way."""
    from transformers import DynamicCache

    longer = [[*h, 5, 6] for h in HISTORIES]

    def drawn():
        sampler = sampler_of(policy, seed=3)
        sampler.end, sampler.action_tokens = -1, 150  # No action ends earlier.
        return [sampler.sample(HISTORIES, 2), sampler.sample(longer, 3)]

    ours = drawn()
    monkeypatch.setattr("tlgrpo.samplers.cache.growing_cache", lambda c: DynamicCache(config=c))
    assert drawn() == ours
    assert {len(a.ids) for groups in ours for group in groups for a in group} == {150}
