"""Policies: loaded from a folder, with an adapter or without, and what is wrong with a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.tlgrpo.chat_models import PAD, chat_tokenizer, save_chat_model
from tests.tlgrpo.conftest import SMALL
from tlgrpo.config import ConfigError, PolicyConfig
from tlgrpo.domains.sizing import grammar
from tlgrpo.policy import build_policy, load_policy, reference_of, tiny_policy
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.tokens import ChatCodec, LineCodec, WordCodec

IDS = torch.arange(5, 25)[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_chat_model(tmp_path_factory.mktemp("model"))


def config(path, **changes) -> PolicyConfig:
    return PolicyConfig(**{"path": path, "codec": "chat", **changes})


def adapted(folder, **changes):
    return build_policy(config(folder, lora_rank=4, **changes), (), seed=1)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def train(policy, steps=3):
    """Away from where it was."""
    weights = [p for p in policy.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        policy.model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
    return policy


def test_any_chat_model_is_a_policy(folder):
    policy = load_policy(folder)
    assert isinstance(policy.codec, ChatCodec) and policy.parameters > 40_000
    assert torch.equal(logits(policy.model), logits(build_policy(config(folder), (), 0).model))


def test_all_weights_are_trained_without_an_adapter(folder):
    policy = train(build_policy(config(folder), (), 0))
    assert all(p.requires_grad and p.grad is not None for p in policy.model.parameters())


def test_only_the_adapter_is_trained_with_one(folder):
    policy = train(adapted(folder))
    trained = {n for n, p in policy.model.named_parameters() if p.grad is not None}
    assert trained and all("lora_" in n for n in trained) and trained == policy.weights().keys()
    with policy.model.disable_adapter():
        base = logits(policy.model)
    assert torch.equal(base, logits(load_policy(folder).model))
    assert not torch.equal(base, logits(policy.model))


def test_a_fresh_adapter_changes_nothing_and_depends_on_the_seed_alone(folder):
    state = torch.random.get_rng_state()
    first, again = adapted(folder), adapted(folder)
    other = build_policy(config(folder, lora_rank=4), (), seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(logits(first.model), logits(load_policy(folder).model))
    for name, weight in first.weights().items():
        assert torch.equal(weight, again.weights()[name])
        assert torch.equal(weight, other.weights()[name]) is ("lora_B" in name)


def test_a_saved_adapter_is_the_same_policy_and_holds_no_model(folder, tmp_path):
    policy = train(adapted(folder))
    policy.save(tmp_path)
    loaded = load_policy(tmp_path)
    assert torch.equal(logits(loaded.model), logits(policy.model))
    assert loaded.codec.prompt("x") == policy.codec.prompt("x")
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert size < (folder / "model.safetensors").stat().st_size


def test_a_saved_adapter_is_gone_on_with(folder, tmp_path):
    policy = train(adapted(folder))
    policy.save(tmp_path)
    again = build_policy(config(tmp_path, lora_rank=4), (), seed=9)
    assert torch.equal(logits(again.model), logits(policy.model))
    assert again.weights().keys() == policy.weights().keys()
    train(again)
    assert not torch.equal(logits(again.model), logits(policy.model))


@pytest.mark.parametrize("rank", [0, 4])
def test_weights_are_taken_over_bit_by_bit(folder, rank):
    start = config(folder, lora_rank=rank)
    policy = train(build_policy(start, (), 1))
    other = build_policy(start, (), 2)
    other.load_weights(policy.weights())
    assert torch.equal(logits(other.model), logits(policy.model))
    kept = {n: w.clone() for n, w in policy.weights().items()}
    train(other)
    assert all(torch.equal(w, kept[n]) for n, w in policy.weights().items())


def test_weights_of_another_model_are_refused(folder):
    with pytest.raises(RuntimeError, match="another model"):
        adapted(folder).load_weights(build_policy(config(folder), (), 0).weights())
    with pytest.raises(RuntimeError, match="size mismatch"):
        adapted(folder).load_weights(
            build_policy(config(folder, lora_rank=2), (), 0).weights()
        )  # fmt: skip


def test_the_reference_of_an_adapter_is_the_model_under_it(folder):
    policy = adapted(folder)
    reference = reference_of(policy.model)
    train(policy)
    policy.model.train()
    assert torch.equal(logits(reference), logits(load_policy(folder).model))
    assert policy.model.training and not reference(input_ids=IDS).logits.requires_grad
    assert not torch.equal(logits(policy.model), logits(reference))


def test_the_reference_of_a_whole_model_is_what_it_was(folder):
    policy = build_policy(config(folder), (), 0)
    reference = reference_of(policy.model)
    train(policy)
    assert torch.equal(logits(reference), logits(load_policy(folder).model))
    assert not any(p.requires_grad for p in reference.parameters())


def test_in_half_precision_the_adapter_stays_whole(folder):
    policy = train(adapted(folder, dtype="bfloat16"))
    dtypes = {p.requires_grad: p.dtype for p in policy.model.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}
    whole = build_policy(config(folder, dtype="bfloat16"), (), 0)
    assert {p.dtype for p in whole.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapted_model_is_sampled_from(folder, dtype):
    policy = train(adapted(folder, dtype=dtype))
    sampler = HfSampler(
        policy.model, end=policy.codec.end, pad=policy.codec.pad, action_tokens=4, seed=0
    )
    histories = [[5, 6, 7, 8], [9]]
    for history, group in zip(histories, sampler.sample(histories, 2), strict=True):
        for action in group:
            row = torch.tensor([[*history, *action.ids]])
            with torch.no_grad():
                own = torch.log_softmax(policy.model(input_ids=row).logits[0].float(), -1)
            places = torch.arange(len(history) - 1, row.shape[1] - 1)
            said = own[places, list(action.ids)]
            tolerance = 1e-4 if dtype == "float32" else 0.1
            assert torch.allclose(said, torch.tensor(action.log_probs), atol=tolerance)


def test_padding_with_the_end_token_changes_no_action(folder):
    """A tokenizer without a padding token is none the worse."""
    policy = load_policy(folder)
    drawn = [
        HfSampler(policy.model, end=policy.codec.end, pad=pad, action_tokens=6, seed=0).sample(
            [[5, 6, 7, 8], [9]], 8
        )
        for pad in (policy.codec.pad, policy.codec.end)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("codec", "kind"), [("words", WordCodec), ("lines", LineCodec)])
def test_a_tiny_policy_is_saved_and_loaded(tmp_path, codec, kind):
    policy = tiny_policy(SMALL.model_copy(update={"codec": codec}), ["a", "b"], seed=0)
    policy.save(tmp_path)
    loaded = load_policy(tmp_path)
    assert type(loaded.codec) is kind
    ids = torch.tensor([policy.codec.prompt("a b a\nb")])
    with torch.no_grad():
        both = [p.model(input_ids=ids).logits for p in (policy, loaded)]
    assert torch.equal(*both)


def without(*names):
    def spoil(folder: Path) -> None:
        for name in names:
            for path in folder.glob(name):
                path.unlink()

    return spoil


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def more_tokens(folder: Path) -> None:
    tokenizer = chat_tokenizer()
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without("config.json"), "neither config.json .* nor adapter_config.json"),
        (without("model.safetensors"), "model.safetensors"),
        (without("tokenizer*"), "there is no tokenizer"),
        (without("chat_template.jinja"), "no chat template"),
        (more_tokens, "the tokenizer has 804 tokens, the model embeds 803"),
        (cut, "holds no policy"),
        (shutil.rmtree, "no such folder"),
        (lambda folder: (folder / "config.json").write_text("{"), "holds no policy"),
    ],
    ids=["no config", "no weights", "no tokenizer", "no template",
         "too many tokens", "cut weights", "nowhere", "broken config"],
)  # fmt: skip
def test_a_folder_that_holds_no_policy_is_named(folder, tmp_path, spoil, says):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(folder, spoilt)
    spoil(spoilt)
    with pytest.raises(ConfigError, match=says) as error:
        build_policy(config(spoilt), (), 0)
    assert str(error.value).startswith(f"{spoilt}: holds no policy: ")


def test_settings_that_do_not_fit_a_folder_are_explained(folder, tmp_path):
    with pytest.raises(ConfigError, match="codec `chat`"):
        build_policy(config(folder, codec="words"), (), 0)
    with pytest.raises(ConfigError, match="without a path has `words` or `lines`"):
        build_policy(config(None), (), 0)
    adapted(folder).save(tmp_path)
    for rank in (0, 2):
        with pytest.raises(ConfigError, match=r"adapter of rank 4; set it to 4"):
            build_policy(config(tmp_path, lora_rank=rank), (), 0)


def test_an_adapter_whose_model_is_gone_names_it(folder, tmp_path):
    adapted(folder).save(tmp_path)
    path = tmp_path / "adapter_config.json"
    data = json.loads(path.read_text())
    assert Path(data["base_model_name_or_path"]) == folder.resolve()
    path.write_text(json.dumps(data | {"base_model_name_or_path": "gone/model"}))
    with pytest.raises(ConfigError, match="names the model 'gone/model', which is no folder"):
        load_policy(tmp_path)


def test_a_model_without_a_padding_token_is_a_policy(tmp_path):
    policy = load_policy(save_chat_model(tmp_path, chat_tokenizer(pad=None)))
    assert policy.codec.pad == policy.codec.end
    assert PAD in policy.tokenizer.get_vocab()


def test_words_that_count_begin_like_their_neighbours():
    """Levels, moves and sizes are ordered; the numbers of a list are names."""
    policy = build_policy(PolicyConfig(layers=1, width=64, heads=2, kv_heads=1), grammar(), 0)
    weights = policy.model.get_input_embeddings().weight.detach()
    places = policy.tokenizer.get_vocab()

    def alike(one, other):
        return float(torch.cosine_similarity(weights[places[one]], weights[places[other]], 0))

    for near, next_to_it, far in (
        ("=3", "=4", "=40"),
        ("by-1", "by+0", "by+60"),
        ("~0", "~1", "~-30"),
    ):
        assert alike(near, next_to_it) > 0.75 > alike(near, far)
    assert abs(alike("#3", "#4")) < 0.5 and abs(alike("role:pair", "role:tail")) < 0.5
    levels = [places[f"={k}"] for k in range(64)]
    names = [place for word, place in places.items() if ":" in word]
    assert 0.7 < float(weights[levels].std() / weights[names].std()) < 1.4
