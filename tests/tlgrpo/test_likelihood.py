"""Log-probabilities and entropies of tokens, a few rows of a large vocabulary at a time."""

import pytest
import torch

from tlgrpo import likelihood
from tlgrpo.likelihood import log_likelihood

ROWS, WORDS = 7, 50


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(likelihood, "_VALUES", 2 * WORDS)


def drawn(dtype=torch.float64, rows=ROWS):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, WORDS, generator=generator, dtype=torch.float64)
    tokens = torch.randint(WORDS, (rows,), generator=generator)
    return logits.to(dtype).requires_grad_(), tokens


def of_torch(logits, tokens, temperature):
    found = torch.log_softmax(logits / temperature, -1)
    return found.gather(1, tokens[:, None])[:, 0], torch.special.entr(found.exp()).sum(-1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("asked", [(1.0, 0.0), (0.0, 1.0), (0.7, -0.3)])
def test_values_and_gradients_are_those_of_the_whole_distribution(temperature, asked):
    gradients = []
    weights = torch.arange(1, ROWS + 1)
    for of in (log_likelihood, of_torch):
        logits, tokens = drawn()
        chosen, entropy = of(logits, tokens, temperature)
        loss = (weights * (asked[0] * chosen + asked[1] * entropy)).sum()
        gradients.append([chosen, entropy, *torch.autograd.grad(loss, [logits])])
    for own, torchs in zip(*gradients, strict=True):
        assert torch.allclose(own, torchs, atol=1e-12)


def test_one_of_both_is_enough():
    logits, tokens = drawn()
    alone = torch.autograd.grad(log_likelihood(logits, tokens)[0].sum(), [logits])[0]
    both = log_likelihood(logits, tokens)
    with_nothing = torch.autograd.grad((both[0] + 0 * both[1]).sum(), [logits])[0]
    assert torch.allclose(alone, with_nothing, atol=1e-12)


def test_a_low_precision_is_that_of_the_logits_and_of_their_gradient_alone():
    logits, tokens = drawn(torch.bfloat16)
    chosen, entropy = log_likelihood(logits, tokens)
    assert chosen.dtype == entropy.dtype == torch.float32
    wide = logits.detach().double().requires_grad_()
    wanted, _ = of_torch(wide, tokens, 1.0)
    assert torch.allclose(chosen.double(), wanted, atol=1e-5)
    (own,) = torch.autograd.grad(chosen.sum(), [logits])
    (torchs,) = torch.autograd.grad(wanted.sum(), [wide])
    assert own.dtype == torch.bfloat16 and torch.allclose(
        own.double(), torchs, rtol=0.01, atol=1e-6
    )


def test_what_is_impossible_has_no_entropy_and_no_gradient():
    logits, tokens = drawn()
    with torch.no_grad():
        logits[:, 10] = -torch.inf
        tokens[tokens == 10] = 11
    chosen, entropy = log_likelihood(logits, tokens)
    (gradient,) = torch.autograd.grad((chosen + entropy).sum(), [logits])
    assert gradient.isfinite().all() and (gradient[:, 10] == 0).all() and entropy.isfinite().all()


def test_of_no_token_there_is_nothing():
    logits, tokens = drawn(rows=0)
    chosen, entropy = log_likelihood(logits, tokens)
    assert chosen.shape == entropy.shape == (0,)
