"""A trained chat model as an ordinary model folder, its adapter merged into it, for any server.

python -m tlgrpo.merged runs/language_model --out models/sizer
transformers serve models/sizer --device cpu
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from acs_gym import program
from tlgrpo.checkpoint import CheckpointError, read_config
from tlgrpo.config import ConfigError


def write(run: Path, out: Path, *, warm: bool = False) -> None:
    """Put a run's model into a folder. Raises CheckpointError or ConfigError where there is none."""
    from tlgrpo.domains import build_domain
    from tlgrpo.evaluate import trained_policy

    config = read_config(run)
    if config.policy.path is None:
        raise CheckpointError(
            f"{run}: its policy has no model of its own to be merged into; python -m tlgrpo.pretrained "
            "puts it into a folder"
        )
    policy = trained_policy(run, config, build_domain(config.domain), warm=warm)
    model = policy.model
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(out)
    policy.tokenizer.save_pretrained(out)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, or a checkpoint of it.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    warm: Annotated[bool, typer.Option(help="The model after its warm start instead.")] = False,
) -> None:
    """Put a trained chat model into a folder that any server reads."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        write(run, out, warm=warm)
    except (CheckpointError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(out)


if __name__ == "__main__":
    program.start()
    app()
