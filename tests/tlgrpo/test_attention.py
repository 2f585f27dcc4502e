"""Attention of a training step: block by block what torch's own does of the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tlgrpo.conftest import sampled_episodes
from tests.tlgrpo.test_packing import TREES, tree
from tlgrpo import attention
from tlgrpo.attention import NAME, attend, blocks_of, plain_attention
from tlgrpo.config import PolicyConfig
from tlgrpo.learner import token_log_probs
from tlgrpo.packing import collate, pack
from tlgrpo.policy import build_policy

HEADS, KEPT, SIZE = 4, 2, 8
TINY = PolicyConfig(layers=1, width=32, heads=2, kv_heads=1)
WIDE = ([[60] * 8] * 3, [5] * 3, 100)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(attention, "_BLOCK", 4)


def mask_of(*shapes):
    return collate([pack(tree(*shape)) for shape in shapes], pad=0).mask


def of_torch(query, key, value, mask):
    shared = HEADS // KEPT
    key, value = (x.repeat_interleave(shared, 1) for x in (key, value))
    found = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
    return found.transpose(1, 2)


def drawn(mask, dtype=torch.float64):
    rows, _, length, _ = mask.shape
    generator = torch.Generator().manual_seed(length)
    return [
        torch.randn(rows, heads, length, SIZE, generator=generator, dtype=dtype).requires_grad_()
        for heads in (HEADS, KEPT, KEPT)
    ]


@given(st.lists(TREES, min_size=1, max_size=3), st.integers(1, 9))
def test_result_and_gradients_are_those_of_torchs_kernel(shapes, block):
    mask = mask_of(*shapes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_BLOCK", block)
        gradients = []
        for attends in ("own", "torch"):
            states = drawn(mask)
            if attends == "own":
                found, weights = attend(None, *states, mask, SIZE**-0.5)
                assert weights is None
            else:
                found = of_torch(*states, mask)
            gradients.append([found, *torch.autograd.grad((found**3).sum(), states)])
    for own, torchs in zip(*gradients, strict=True):
        assert torch.allclose(own, torchs, atol=1e-9)


@given(st.lists(TREES, min_size=1, max_size=3), st.integers(1, 9))
def test_a_block_has_every_key_that_one_of_its_queries_may_see_and_queries_are_in_one(
    shapes, block
):
    mask = mask_of(*shapes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_BLOCK", block)
        blocks = blocks_of(mask, torch.float32)
    seen = np.zeros(mask.shape, dtype=int)
    asked = np.zeros(mask.shape[:3], dtype=int)
    for one in blocks:
        keys = np.arange(mask.shape[-1]) if one.keys is None else one.keys.numpy()
        part = seen[one.rows, :, one.queries]
        part[..., keys] += (one.closed == 0).numpy()
        asked[one.rows, :, one.queries] += 1
    assert np.array_equal(seen, mask.numpy().astype(int))
    assert (asked == 1).all()


def test_siblings_are_not_asked_for_each_other_and_a_short_batch_goes_as_one():
    wide = blocks_of(mask_of(WIDE), torch.float32)
    length = max(b.queries.stop for b in wide)
    assert sum(b.closed.numel() for b in wide) < length**2 / 3
    (short,) = blocks_of(mask_of(([[5, 5]], [0], 4), ([[5, 5]], [0], 4)), torch.float32)
    assert short.keys is None


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keys_that_many_blocks_see_have_the_gradient_of_the_precision_asked_for(dtype):
    mask = mask_of(([[6] * 8] * 3, [2] * 3, 30))
    exact = [x.detach().double().requires_grad_() for x in drawn(mask, dtype)]
    given = [x.detach().to(dtype).requires_grad_() for x in exact]
    found, _ = attend(None, *given, mask, SIZE**-0.5)
    wanted = of_torch(*exact, mask)
    for own, torchs in zip(
        torch.autograd.grad(found.double().sum(), given),
        torch.autograd.grad(wanted.sum(), exact),
        strict=True,
    ):
        assert own.dtype == dtype
        error = (own.double() - torchs).norm() / torchs.norm().clamp(min=1e-3)
        assert error < (0.02 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.usefixtures("small_blocks")
def test_in_mixed_precision_both_ways_are_in_the_lower_one():
    mask = mask_of(([[6] * 8] * 3, [2] * 3, 30))
    query, key, value = (x.detach().requires_grad_() for x in drawn(mask, torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = attend(None, query, key, value.bfloat16(), mask, SIZE**-0.5)
    assert found.dtype == torch.bfloat16
    gradients = torch.autograd.grad(found.float().sum(), (query, key, value))
    wanted = torch.autograd.grad(of_torch(query, key, value, mask).sum(), (query, key, value))
    for own, torchs in zip(gradients, wanted, strict=True):
        assert own.dtype == torch.float32
        assert (own - torchs).norm() < 0.02 * torchs.norm() + 1e-3


def test_without_a_mask_every_token_sees_every_other():
    states = drawn(torch.ones(2, 1, 5, 5))
    found, _ = attend(None, *states, None, SIZE**-0.5)
    assert torch.allclose(found, of_torch(*states, None), atol=1e-9)


@pytest.mark.usefixtures("small_blocks")
def test_a_model_gives_the_log_probabilities_that_it_has_with_torchs_kernel(policy, domain):
    batch = collate([pack(e) for e in sampled_episodes(policy, domain)], pad=policy.codec.pad)
    with torch.no_grad():
        own, _ = token_log_probs(policy.model, batch)
        with plain_attention(policy.model):
            plain, _ = token_log_probs(policy.model, batch)
    assert float((own - plain).abs().max()) < 1e-4


@pytest.mark.parametrize(("own", "during"), [("sdpa", NAME), ("eager", "eager")])
def test_a_training_step_attends_plainly_only_in_place_of_torchs_kernel(own, during):
    model = build_policy(TINY, ["a", "b"], 0).model
    model.set_attn_implementation(own)
    with plain_attention(model):
        assert model.config._attn_implementation == during
    assert model.config._attn_implementation == own
