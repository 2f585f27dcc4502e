"""A policy as a folder of three files, and the one that comes with the package.

python -m tlgrpo.pretrained runs/sizing --out runs/pretrained

`policy.safetensors` (at most 12 MB), `config.json` (the run's) and `README.md` (the model card, with the
sha256 of the weights, which is checked when they are read). The agent `tlgrpo:FOLDER` plays such a
folder like any run. `tlgrpo:pretrained` plays the one in the package's `weights` folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from acs_gym import program
from tlgrpo.checkpoint import CONFIG, CheckpointError, latest, read_config

SHIPPED = Path(__file__).parent / "weights"
NAME = "pretrained"
WEIGHTS, CARD = "policy.safetensors", "README.md"
LARGEST = 12_000_000
_DIGEST = re.compile(r"sha256: `([0-9a-f]{64})`")


def shipped() -> Path:
    """The folder of the package's policy. Raises CheckpointError where there is none."""
    if not (SHIPPED / WEIGHTS).exists():
        raise CheckpointError(
            f"{SHIPPED} holds no policy; train one (python -m tlgrpo.bank, then "
            "python -m tlgrpo.hindsight, see docs/tlgrpo.md) and give its folder: tlgrpo:RUN, or "
            "--start-from policy:RUN"
        )
    return SHIPPED


def weights_file(run: Path, *, warm: bool = False) -> Path:
    """The file with a policy's weights: of a folder made here, of a checkpoint, or of a run.

    Of a run, its last checkpoint, or its warm start where it has none or where that is asked for.
    Raises CheckpointError where there is neither.
    """
    from tlgrpo.loop import WARM

    last = latest(run)
    places = [run / WARM / "weights.pt"]
    if not warm:
        checkpoint = [] if last is None else [last / "state.pt"]
        places = [run / WEIGHTS, run / "state.pt", *checkpoint, *places]
    for place in places:
        if place.exists():
            return place
    what = "warm start is kept" if warm else "checkpoint or warm start of a training run is"
    raise CheckpointError(f"{run}: no {what} here; train first, with python -m tlgrpo.train")


def read_weights(path: Path) -> dict[str, Any]:
    """The weights by name. Raises CheckpointError for weights that are not those of their card."""
    import torch

    if path.name != WEIGHTS:
        found = torch.load(path, weights_only=True)
        return dict(found["weights"] if path.name == "state.pt" else found)
    from safetensors.torch import load

    data = path.read_bytes()
    card = path.with_name(CARD)
    said = _DIGEST.search(card.read_text(encoding="utf-8")) if card.exists() else None
    if said is None or said[1] != hashlib.sha256(data).hexdigest():
        raise CheckpointError(f"{path} is not what {CARD} says (sha256); take both from one source")
    return dict(load(data))


def write(run: Path, out: Path, temperature: float | None = None) -> None:
    """Put a run's policy into a folder. Raises CheckpointError, also where it is too large.

    `temperature`: at which it is played; by default that of its training.
    """
    from safetensors.torch import save

    config = read_config(run)
    if temperature is not None:
        config = config.model_copy(update={"temperature": temperature})
    if config.policy.path is not None:
        raise CheckpointError(f"{run}: only a policy made here can be put into a folder of its own")
    source = weights_file(run)
    data = save({k: v.clone().contiguous() for k, v in read_weights(source).items()})
    if len(data) > LARGEST:
        raise CheckpointError(
            f"{run}: its weights take {len(data)} bytes, at most {LARGEST} may be"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS).write_bytes(data)
    (out / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    arguments = config.domain.arguments
    card = f"""# A policy of {config.domain.name}

- weights: `{WEIGHTS}`, {len(data)} bytes, sha256: `{hashlib.sha256(data).hexdigest()}`
- from: {source.parent.name} of the run `{config.name}`; settings in `{CONFIG}`
- trained on: {", ".join(arguments.get("tasks", ()))}; PDKs {", ".join(arguments.get("pdks", ()))}
- last line of its metrics: `{_last_metrics(source)}`
- meant for: first designs of circuits of these kinds; each is simulated before it is believed
- licence: that of the package
"""
    (out / CARD).write_text(card, encoding="utf-8")


def _last_metrics(source: Path) -> str:
    for folder in source.parents[:3]:
        path = folder / "metrics.jsonl"
        if path.exists() and (lines := path.read_text(encoding="utf-8").splitlines()):
            return json.dumps(json.loads(lines[-1]))
    return "none"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, or a checkpoint of it.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/pretrained"),
    temperature: Annotated[
        float | None,
        typer.Option(min=0.01, help="At which it is played; as in training by default."),
    ] = None,
) -> None:
    """Put a run's policy into a folder of three files."""
    try:
        write(run, out, temperature)
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    program.start()
    app()
