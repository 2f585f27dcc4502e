"""What one training step of a small language model costs on a CPU, and what makes it cheap.

    python benchmarks/tlgrpo/step.py --json benchmarks/results/tlgrpo_step.json

A model of the shape of SmolLM2-135M with an adapter of rank 16, its weights drawn by chance, so that
nothing has to be downloaded. One packed episode as `examples/tlgrpo/language_model.toml` has them: a
prompt of 352 tokens, 5 turns of 8 replies of 62 tokens. Loss and gradient, in one thread, with

whole    torch's attention, and distributions over the vocabulary as whole tensors
blocks   attention by blocks (`tlgrpo.attention`)
parts    also a few distributions at a time (`tlgrpo.likelihood`)

Each in a process of its own, in turns, `--rounds` times: the median of the later steps, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

CASES = ("whole", "blocks", "parts")
STEPS = 4
PROMPT, TURNS, GROUP, REPLY, OBSERVATION = 352, 5, 8, 62, 40
VOCABULARY = 49_152


def model() -> Any:
    import peft
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        tie_word_embeddings=True,
    )  # fmt: skip
    lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return peft.get_peft_model(LlamaForCausalLM(shape).to(torch.bfloat16), lora)


def episode() -> Any:
    from tlgrpo.domain import Problem, Reaction
    from tlgrpo.tree import Episode, Node

    rng = np.random.default_rng(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(VOCABULARY, size=count).tolist())

    found = Episode(Problem("", ""), ids(PROMPT))
    for turn in range(TURNS):
        nodes = [
            Node(
                turn, turn, ids(REPLY), (-1.0,) * REPLY, "", Reaction(0.0, False, ""), 0.0,
                on_main_line=k == 0, advantage=1.0,
            )
            for k in range(GROUP)
        ]  # fmt: skip
        found.turns.append(nodes)
        if turn + 1 < TURNS:
            found.observations.append(ids(OBSERVATION))
    return found


def whole(policy: Any, batch: Any) -> Any:
    """As `token_log_probs`, with distributions of the whole vocabulary in float32."""
    import torch

    kept, place = torch.unique(batch.source, return_inverse=True)
    output = policy(
        input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions,
        use_cache=False, logits_to_keep=kept,
    )  # fmt: skip
    found = torch.log_softmax(output.logits[batch.row, place].float(), -1)
    with torch.no_grad():  # Of every update: it is logged.
        entropy = -(found.exp() * found).sum(-1)
    return found.gather(1, batch.target[:, None])[:, 0], entropy


def measured(case: str) -> dict[str, float]:
    """Seconds of a step, and the most memory in MiB."""
    import torch

    from tlgrpo.attention import plain_attention
    from tlgrpo.learner import token_log_probs
    from tlgrpo.packing import collate, pack

    torch.set_num_threads(1)
    policy, batch = model(), collate([pack(episode())], pad=0)
    of: Callable[..., Any] = whole if case in ("whole", "blocks") else token_log_probs
    seconds = []
    with nullcontext() if case == "whole" else plain_attention(policy):
        for _ in range(STEPS):
            start = time.perf_counter()
            policy.zero_grad()
            (of(policy, batch)[0] * batch.advantage).sum().backward()
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": statistics.median(seconds[1:]),
        "peak_mib": peak,
        "tokens": batch.ids.numel(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help="in this process, once")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case)))
        return
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case in CASES:
            ran = subprocess.run(
                [sys.executable, __file__, "--case", case],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            found[case].append(json.loads(ran.stdout.splitlines()[-1]))
            print(case, found[case][-1], flush=True)
    seconds = {c: statistics.median(f["seconds"] for f in found[c]) for c in CASES}
    result = {
        "command": "python benchmarks/tlgrpo/step.py " + " ".join(sys.argv[1:]),
        "tokens": found["whole"][0]["tokens"],
        "seconds": {c: round(s, 2) for c, s in seconds.items()},
        "whole_over": {c: round(seconds["whole"] / s, 2) for c, s in seconds.items()},
        "peak_mib": {c: round(max(f["peak_mib"] for f in found[c])) for c in CASES},
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
