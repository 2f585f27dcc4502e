"""The arithmetic of training Qwen3-30B-A3B on eight 80 GB GPUs: each figure with its computation.

python examples/tlgrpo/recipe.py prints the table of docs/tlgrpo-engines.md. Change a number to see
what follows from it; nothing here is measured except where it says so.
"""

from __future__ import annotations

# (name, what it is computed from, unit, source or meaning)
LINES: tuple[tuple[str, str, str, str], ...] = (
    # The model, from its config.json.
    ("layers", "48", "", "num_hidden_layers"),
    ("hidden", "2048", "", "hidden_size"),
    ("heads", "32", "", "num_attention_heads"),
    ("kv_heads", "4", "", "num_key_value_heads"),
    ("head", "128", "", "head_dim"),
    ("experts", "128", "", "num_experts"),
    ("active", "8", "", "num_experts_per_tok"),
    ("expert", "768", "", "moe_intermediate_size"),
    ("vocabulary", "151936", "", "vocab_size; embedding and head are not tied"),
    ("attention", "hidden*head*(2*heads + 2*kv_heads) + 2*head + 2*hidden", "", "a layer, with norms"),
    ("one_expert", "3*hidden*expert", "", "gate, up, down"),
    ("layer", "attention + hidden*experts + experts*one_expert", "", "with its router"),
    ("parameters", "layers*layer + 2*vocabulary*hidden + hidden", "", ""),
    (
        "used", "layers*(attention + hidden*experts + active*one_expert) + vocabulary*hidden", "",
        "parameters that a token is multiplied with",
    ),
    # Memory.
    ("weights", "2*parameters/1e9", "GB", "bf16"),
    ("full", "(2 + 2 + 4 + 4 + 4)*parameters/1e9", "GB", "bf16 weights, gradients; fp32 copy, moments"),
    ("full_each", "full/8", "GB", "a GPU, sharded over all 8: no room to sample in without offloading"),
    ("adapter", "996507648", "", "trained by rank 16, all-linear; counted with peft 0.21.2"),
    ("lora", "weights + (4 + 4 + 4 + 4)*adapter/1e9", "GB", "frozen weights; adapter in fp32"),
    ("lora_each", "lora/4", "GB", "a GPU, sharded over 4"),
    ("kv", "2*layers*kv_heads*head*2", "B", "of keys and values a token, bf16"),
    ("kv_room", "(4*80*0.9 - weights)*1e9/kv", "tokens", "on 4 GPUs of 80 GB, 0.9 of them vLLM's"),
    # An update.
    ("G", "8", "", "group"),
    ("K", "5", "", "turns"),
    ("B", "32", "", "problems"),
    ("simulations", "B*K*G", "", "an update, siblings counted"),
    ("prompt", "2000", "tokens", "assumed; 5,250 to 7,130 characters measured on two circuits"),
    ("action", "512", "tokens", "assumed: action_tokens used up"),
    ("observed", "250", "tokens", "assumed; 420 to 750 characters measured"),
    ("sampled", "simulations*action", "tokens", "an update"),
    ("longest", "prompt + (K - 1)*(action + observed) + action", "tokens", "a history with its action"),
    ("kv_needed", "B*(longest - action) + B*G*action", "tokens", "siblings share their history"),
    (
        "row_tokens", "B*G*(K*prompt + K*(K - 1)//2*(action + observed) + K*action)", "tokens",
        "trained as rows, as TRL and verl do",
    ),
    (
        "tree_tokens", "B*(prompt + (K - 1)*observed + K*G*action)", "tokens",
        "as trees, as tlgrpo.loop does, on what one GPU holds",
    ),
    ("ratio", "row_tokens/tree_tokens", "", "that the rows cost more"),
    # Time.
    ("peak", "989e12", "FLOP/s", "H100 SXM, bf16 dense (data sheet)"),
    ("bandwidth", "3.35e12", "B/s", "H100 SXM (data sheet)"),
    ("share", "0.15", "", "of the peak in training; assumed"),
    (
        "learning", "(8 + 2)*used*row_tokens/(4*peak*share)", "s",
        "forward 2, backward 4, recomputed 2; log-probabilities 2; on 4 GPUs",
    ),
    (
        "step", "(weights*1e9 + B*G*(prompt + K/2*(action + observed))*kv)/(4*bandwidth)", "s",
        "to read weights and keys once; B*G sequences a step, on 4 GPUs",
    ),
    ("efficiency", "0.4", "", "of that bound in sampling; assumed"),
    ("sampling", "K*action*step/efficiency", "s", "turns after another"),
    ("simulation", "0.013", "s", "a design and core; benchmarks/results/simulation.json, sky130"),
    ("cores", "32", "", "assumed"),
    ("simulating", "simulations*simulation/cores", "s", "beside sampling, in part"),
    ("sync", "10", "s", "weights to the server; assumed"),
    ("update", "learning + sampling + simulating + sync", "s", ""),
    ("updates", "10000/B", "", "10,000 episodes, as the paper's queries are read"),
    ("hours", "updates*update/3600", "h", ""),
)  # fmt: skip


def values() -> dict[str, float]:
    """Every figure by name."""
    found: dict[str, float] = {}
    for name, expression, _, _ in LINES:
        found[name] = eval(expression, {"__builtins__": {}}, found)
    return found


def table() -> str:
    """The figures as a Markdown table."""
    found = values()
    rows = ["| figure | computed as | value | |", "|---|---|---|---|"]
    for name, expression, unit, note in LINES:
        value = f"{_number(found[name])} {unit}".strip()
        shown = (
            "given" if expression.replace(".", "").replace("e", "").isdigit() else f"`{expression}`"
        )
        rows.append(f"| {name} | {shown} | {value} | {note} |")
    return "\n".join(rows)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 100 or abs(value) >= 1e12 else f"{value:,.0f}"


if __name__ == "__main__":
    print(table())
