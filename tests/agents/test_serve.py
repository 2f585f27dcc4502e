"""Against a real server, `transformers serve`, with a tiny model that is random and with SmolLM2.

SmolLM2-135M-Instruct is 93 MB and takes minutes, so `make test-model` fetches it and runs its tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import acs_gym
from agents.config import LlmConfig
from agents.llm import IDLE_TURNS_ALLOWED, LlmAgent
from agents.transcript.records import read_transcript
from leaderboard import evaluate

TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
START_S = 120
EXAMPLE = Path(__file__).parents[2] / "examples" / "tlgrpo" / "language_model.toml"
# The folder that `python -m tlgrpo.smollm` wrote.
SMALL = Path(os.environ["ACS_GYM_SMOLLM"]) if "ACS_GYM_SMOLLM" in os.environ else None


def tiny_model(folder: Path) -> None:
    """A Qwen3-style model of 0.1 M parameters with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: k for k, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=16384,
        eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """(url, model) of a running server."""
    port = free_port()
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    command = [
        Path(sys.executable).with_name("transformers"), "serve", str(folder),
        "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        command, env={**os.environ, **offline}, stdout=log, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_S
        while True:
            assert process.poll() is None, (folder / "server.log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(url, model) with a random model."""
    pytest.importorskip("fastapi", reason="transformers[serving] is not installed")
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder)
    with serving(folder) as found:
        yield found


@pytest.mark.skipif(SMALL is None, reason="SmolLM2 is fetched and trained by make test-model")
@pytest.mark.parametrize("tool_format", ["text", "brief"])
def test_a_small_model_goes_the_whole_way_and_explains_itself(task, tmp_path, tool_format):
    """As it came it names no design, whatever the form."""
    folder = tmp_path / "model"
    shutil.copytree(SMALL, folder)
    with serving(folder) as (url, model), task.session(2) as session:
        config = LlmConfig(
            model=model, base_url=url, tool_format=tool_format, reply_tokens=64, max_turns=2,
            timeout_s=300,
        )  # fmt: skip
        agent = LlmAgent(config, transcript=tmp_path / "t")
        agent.run(session)
    records = read_transcript(tmp_path / "t")
    assert records[-1].reason == agent.ended and sum(r.type == "reply" for r in records) == 2
    if not session.history:
        assert "nothing was simulated: " in agent.ended and " of 2 turns)" in agent.ended


@pytest.mark.skipif(SMALL is None, reason="SmolLM2 is fetched and trained by make test-model")
def test_a_small_model_is_trained_served_and_ranked(tmp_path):
    """From trainer to leaderboard: warm start, an update, merged, served, run by the ordinary agent."""
    from tlgrpo.config import TrainConfig
    from tlgrpo.designs import anchors, write_bank
    from tlgrpo.loop import Trainer
    from tlgrpo.merged import write

    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    write_bank(tmp_path / "banks", task, anchors(task))
    changes = {
        "domain.arguments.pdk": "generic", "policy.path": str(SMALL), "turns": 2, "group": 4,
        "problems": 1, "simulations": 8, "temperature": 0.5,
        "sft.banks": str(tmp_path / "banks"), "sft.episodes": 40, "sft.batch_tokens": 1000,
    }  # fmt: skip
    run = tmp_path / "run"
    (numbers,) = Trainer(TrainConfig.read(EXAMPLE, changes), run).run()
    assert numbers["simulations"] == 8 and numbers["invalid_share"] < 0.5
    write(run, tmp_path / "sizer")
    with serving(tmp_path / "sizer") as (url, model):
        settings = {"model": model, "base_url": url, "tool_format": "brief", "timeout_s": 300}
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        file = tmp_path / "sizer.toml"
        file.write_text("\n".join([*lines, "reply_tokens = 72", "temperature = 0.5"]))
        board = evaluate(
            [f"llm:{file}"], [task.id], pdk="generic", budget=3, seeds=1, jobs=1,
            out=tmp_path / "board",
        )  # fmt: skip
    (row,) = board.rows
    assert row.overall.cells == 1 and row.overall.score > 0


@pytest.mark.parametrize("tool_format", ["tools", "text", "brief"])
def test_a_random_model_talks_nonsense_and_the_run_ends_in_order(
    task, server, tmp_path, tool_format
):
    url, model = server
    config = LlmConfig(
        model=model, base_url=url, tool_format=tool_format, reply_tokens=12, retries=1,
        context_tokens=4000, temperature=1.0, timeout_s=60,
    )  # fmt: skip
    with task.session(3) as session:
        agent = LlmAgent(config, transcript=tmp_path / "t")
        agent.run(session)
    records = read_transcript(tmp_path / "t")
    replies = [r for r in records if r.type == "reply"]
    assert len(replies) == IDLE_TURNS_ALLOWED and session.meter.used == 0
    assert records[-1].reason == agent.ended
    assert "8 turns in a row simulated nothing: it was cut off" in agent.ended
    assert session.usage.tokens > 0 and not any(r.tokens_estimated for r in replies)
    assert all(0 < r.completion_tokens <= 12 for r in replies)
