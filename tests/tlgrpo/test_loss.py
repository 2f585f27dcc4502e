"""The objective: closed forms, and the policy gradient of a policy that can be enumerated."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tlgrpo.advantage import group_advantages
from tlgrpo.loss import grpo_loss


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_where_nothing_has_moved_the_loss_is_the_mean_advantage():
    log_probs = tensor(-1.0, -2.0, -0.5).requires_grad_()
    advantages = tensor(1.0, -1.0, 0.5)
    parts = grpo_loss(log_probs, log_probs.detach(), advantages, torch.tensor([0, 1, 1]), total=3)
    assert float(parts.loss.detach()) == pytest.approx(-0.5 / 3)
    parts.loss.backward()
    assert log_probs.grad == pytest.approx((-advantages / 3).numpy())
    assert parts.clip_fraction == 0 and parts.approximate_kl == 0


@pytest.mark.parametrize(
    ("moved", "advantage", "pushes"),
    [(0.5, 1.0, False), (0.5, -1.0, True), (-0.5, 1.0, True), (-0.5, -1.0, False), (0.1, 1.0, True)],
)  # fmt: skip
def test_the_clip_takes_away_what_has_gone_far_enough(moved, advantage, pushes):
    log_probs = tensor(-1.0 + moved).requires_grad_()
    parts = grpo_loss(log_probs, tensor(-1.0), tensor(advantage), torch.tensor([0]), total=1)
    parts.loss.backward()
    assert bool(log_probs.grad.abs() > 0) is pushes
    assert parts.clip_fraction == float(not pushes)


def test_the_two_bounds_are_apart():
    def gain(ratio, advantage):
        parts = grpo_loss(
            tensor(math.log(ratio)), tensor(0.0), tensor(advantage), torch.tensor([0]),
            total=1, clip_low=0.1, clip_high=0.3,
        )  # fmt: skip
        return -float(parts.loss)

    assert gain(2.0, 1.0) == pytest.approx(1.3)
    assert gain(0.5, -1.0) == pytest.approx(-0.9)


def test_actions_count_alike_however_long_they_are():
    log_probs = tensor(-1.0, -1.0, -1.0, -1.0).requires_grad_()
    actions = torch.tensor([0, 0, 0, 1])
    parts = grpo_loss(
        log_probs, log_probs.detach(), tensor(1.0, 1.0, 1.0, 1.0), actions,
        total=2, aggregation="actions",
    )  # fmt: skip
    parts.loss.backward()
    assert log_probs.grad == pytest.approx([-1 / 6, -1 / 6, -1 / 6, -1 / 2])


def test_kl_and_entropy_enter_with_their_coefficients():
    log_probs, reference = tensor(-1.0), tensor(-1.5)
    parts = grpo_loss(
        log_probs, log_probs, tensor(0.0), torch.tensor([0]), total=1,
        entropies=tensor(0.7), entropy_bonus=0.1, reference_log_probs=reference, kl=0.2,
    )  # fmt: skip
    away = -0.5
    assert float(parts.loss) == pytest.approx(-(0.1 * 0.7 - 0.2 * (math.exp(away) - away - 1)))


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=6), st.data())
def test_over_every_action_it_is_the_policy_gradient(logits, data):
    """A one-step policy over n actions, each sampled as often as it is likely: the expected gradient of
    the loss is -grad E[reward], since a baseline changes nothing in expectation."""
    count = len(logits)
    rewards = torch.tensor(
        data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)), dtype=torch.float64
    )
    theta = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    log_probs = torch.log_softmax(theta, 0)
    probability = log_probs.detach().exp()
    baseline = float((probability * rewards).sum())
    # Each action's token weighted by its probability, in place of sampling.
    weights = probability * (rewards - baseline)
    grpo_loss(log_probs, log_probs.detach(), weights, torch.arange(count), total=1).loss.backward()
    found = theta.grad.clone()
    theta.grad = None
    (-(torch.softmax(theta, 0) * rewards).sum()).backward()
    assert torch.allclose(found, theta.grad, atol=1e-9)


def test_sampled_groups_give_that_gradient_on_average():
    """With the group's own mean as baseline and no deviation, times G/(G-1)."""
    theta = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([0.1, 0.9, 0.4], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    group, groups = 4, 4000
    probability = torch.softmax(theta, 0).detach()
    drawn = torch.multinomial(probability, group * groups, True, generator=generator)
    advantages = torch.cat(
        [
            torch.from_numpy(group_advantages(rewards[g].numpy(), normalise="mean"))
            for g in drawn.view(groups, group)
        ]
    )
    log_probs = torch.log_softmax(theta, 0)[drawn]
    total = groups * (group - 1)
    actions = torch.arange(group * groups)
    grpo_loss(log_probs, log_probs.detach(), advantages, actions, total=total).loss.backward()
    found = theta.grad.clone()
    theta.grad = None
    (-(torch.softmax(theta, 0) * rewards).sum()).backward()
    assert torch.allclose(found, theta.grad, atol=0.01)
