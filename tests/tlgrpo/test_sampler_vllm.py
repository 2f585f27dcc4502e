"""Sampling from a server of vLLM's completions format, over real HTTP on the loopback address."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="openai is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tlgrpo.completions_server import CompletionsServer, serving
from tests.tlgrpo.conftest import SMALL
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.policy import tiny_policy
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers import vllm
from tlgrpo.samplers.vllm import SamplerError, VllmSampler, read_actions
from tlgrpo.tree import history_before

HISTORIES = [[3, 4, 5], [6], [7, 8, 9, 10, 11, 3, 4]]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
def server(policy: Any) -> Any:
    with serving(CompletionsServer(policy)) as running:
        yield running


def sampler_at(server: CompletionsServer, **changes: Any) -> VllmSampler:
    settings = {"end": server.policy.codec.end, "action_tokens": 8, "retries": 2} | changes
    return VllmSampler(server.url, **settings)


def test_actions_are_the_servers_ids_with_the_models_log_probabilities(server, policy):
    for history, group in zip(HISTORIES, sampler_at(server).sample(HISTORIES, 4), strict=True):
        assert len(group) == 4
        for action in group:
            row = torch.tensor([[*history, *action.ids]])
            with torch.no_grad():
                logits = policy.model(input_ids=row).logits[0]
            places = torch.arange(len(history) - 1, row.shape[1] - 1)
            own = torch.log_softmax(logits, -1)[places, list(action.ids)]
            assert torch.allclose(own, torch.tensor(action.log_probs), atol=1e-4)


def test_all_histories_are_one_request_of_ids(server):
    sampler_at(server).sample(HISTORIES, 4)
    (body,) = server.requests
    assert body["prompt"] == HISTORIES and body["n"] == 4
    assert body["return_token_ids"] is True and body["logprobs"] == 0


def test_nothing_of_the_distribution_is_left_to_the_servers_defaults(server, policy):
    sampler_at(server, temperature=0.7).sample(HISTORIES, 1)
    sent = server.requests[0]
    assert sent["temperature"] == 0.7 and sent["max_tokens"] == 8
    assert (sent["top_p"], sent["top_k"], sent["min_p"]) == (1.0, 0, 0.0)
    assert sent["repetition_penalty"] == 1.0
    assert sent["presence_penalty"] == sent["frequency_penalty"] == 0.0
    assert sent["stop_token_ids"] == [policy.codec.end] and sent["ignore_eos"] is True


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_address_is_taken_with_or_without_its_version(server, suffix):
    sampler = VllmSampler(server.url + suffix, end=1, action_tokens=2)
    assert sampler.model == "tiny" and len(sampler.sample([[3]], 1)[0]) == 1


def test_a_seed_gives_the_same_actions_and_another_one_others(server):
    first = sampler_at(server, seed=1).sample(HISTORIES, 3)
    assert sampler_at(server, seed=1).sample(HISTORIES, 3) == first
    assert sampler_at(server, seed=2).sample(HISTORIES, 3) != first


def test_equal_histories_do_not_get_equal_actions_of_a_seeded_sampler(server):
    groups = sampler_at(server, seed=1).sample([[3, 4, 5]] * 4, 2)
    assert len({tuple(a.ids for a in group) for group in groups}) > 1
    assert len({body["seed"] for body in server.requests}) == 4


def test_without_histories_nothing_is_asked(server):
    assert sampler_at(server).sample([], 4) == [] and not server.requests


def test_episodes_of_a_server_keep_their_ids(server, policy, domain):
    episodes = roll_out(
        domain, policy.codec, sampler_at(server), [domain.problem(k, "train") for k in range(2)],
        Plan(turns=3, group=4, per_turn=True, stop_when_solved=False),
        rng=np.random.default_rng(0),
    )  # fmt: skip
    asked = [tuple(p) for body in server.requests for p in body["prompt"]]
    expected = [tuple(history_before(e, t)) for e in episodes for t in range(3)]
    assert sorted(asked) == sorted(expected)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_servers_fault_is_tried_again(server, status):
    server.statuses = [status, status]
    assert len(sampler_at(server, model="tiny").sample([[3]], 2)[0]) == 2
    assert len(server.requests) == 3


def test_a_lasting_fault_is_said_with_the_number_of_attempts(server):
    server.statuses = [503] * 9
    with pytest.raises(SamplerError, match=r"3 attempts.*HTTP 503: .*status 503 it is"):
        sampler_at(server).sample([[3]], 1)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_was_refused_is_not_tried_again(server, status):
    server.statuses = [status] * 9
    with pytest.raises(SamplerError, match=f"HTTP {status}"):
        sampler_at(server).sample([[3]], 1)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(policy):
    with serving(CompletionsServer(policy)) as gone:
        url = gone.url
    sampler = VllmSampler(url, end=1, action_tokens=2, model="tiny", retries=1)
    with pytest.raises(SamplerError, match=r"2 attempts: cannot be reached"):
        sampler.sample([[3]], 1)


def without(*path: str) -> Any:
    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        record = answer["choices"][1]
        for name in path[:-1]:
            record = record[name]
        del record[path[-1]]
        return answer

    return spoil


def with_value(value: Any, *path: str) -> Any:
    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        record = answer["choices"][1]
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = value
        return answer

    return spoil


def shortened(answer: dict[str, Any]) -> dict[str, Any]:
    answer["choices"][1]["logprobs"]["token_logprobs"].pop()
    return answer


SPOILT = {
    "no token ids": (without("token_ids"), r"choices\[1\]\.token_ids .*0\.10\.2"),
    "null token ids": (with_value(None, "token_ids"), r"choices\[1\]\.token_ids"),
    "text for ids": (with_value(["a"], "token_ids"), r"choices\[1\]\.token_ids"),
    "no tokens": (with_value([], "token_ids"), "empty"),
    "no prompt ids": (without("prompt_token_ids"), r"prompt_token_ids"),
    "a changed prompt": (with_value([9, 9], "prompt_token_ids"), "changes prompts"),
    "no log-probabilities": (with_value(None, "logprobs"), "gives no log-probabilities"),
    "tokens as text": (with_value(["x"], "logprobs", "tokens"), "token_id:ID"),
    "too few": (shortened, "one a token"),
    "no numbers": (without("logprobs", "token_logprobs"), "one a token"),
    "one too few choices": (lambda a: a | {"choices": a["choices"][:-1]}, "5 choices, .*3 hist"),
    "no choices": (lambda a: {}, "no list of choices"),
    "wrong numbers": (with_value(0, "index"), "numbered 0 to 5"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_answer_that_cannot_be_trained_on_is_refused(server, name):
    server.spoil, said = SPOILT[name]
    with pytest.raises(SamplerError, match=said) as caught:
        sampler_at(server).sample(HISTORIES, 2)
    assert server.url in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("bad", [None, float("nan"), float("-inf"), 0.5, "x", True])
def test_what_is_no_log_probability_is_refused(server, bad):
    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        numbers = answer["choices"][1]["logprobs"]["token_logprobs"]
        numbers[0] = bad
        return answer

    server.spoil = spoil
    with pytest.raises(SamplerError, match=r"token_logprobs\[0\] is no log-probability"):
        sampler_at(server).sample(HISTORIES, 2)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b""])
def test_an_answer_that_is_no_object_is_tried_again(server, body):
    server.spoil = lambda answer: body if len(server.requests) == 1 else answer
    assert len(sampler_at(server).sample([[3]], 2)[0]) == 2 and len(server.requests) == 2


def test_half_an_action_is_sampled_again(server):
    """As when the weights are changed while a request is under way."""

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        first = len(server.requests) == 1
        return with_value("abort", "finish_reason")(answer) if first else answer

    server.spoil = spoil
    assert len(sampler_at(server).sample([[3]], 2)[0]) == 2 and len(server.requests) == 2


def test_choices_in_another_order_go_to_their_histories(server):
    server.spoil = lambda answer: answer | {"choices": answer["choices"][::-1]}
    groups = sampler_at(server).sample(HISTORIES, 2)
    assert [len(g) for g in groups] == [2, 2, 2]


_DOMAIN = Ballistics()
_ANSWER = CompletionsServer(tiny_policy(SMALL, _DOMAIN.grammar(), seed=0)).complete(
    {
        "model": "tiny", "prompt": [[3, 4]], "n": 2, "stop_token_ids": [1], "max_tokens": 4,
        "temperature": 1.0,
    }
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(
    field=st.sampled_from(["index", "prompt_token_ids", "token_ids", "logprobs", "finish_reason"]),
    value=JSON,
)
def test_whatever_a_field_holds_the_answer_is_read_or_refused(field, value):
    answer = copy.deepcopy(_ANSWER)
    answer["choices"][1][field] = value
    try:
        groups = read_actions(answer, [[3, 4]], 2)
    except (SamplerError, vllm._TryAgain):
        return
    assert [list(a.ids) for a in groups[0]] == [c["token_ids"] for c in answer["choices"]]
