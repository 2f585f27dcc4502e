"""`acs-gym new`: a working circuit folder to change into one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from acs_gym.cli.output import console

TEMPLATE = Path(__file__).parent / "template"
# What stands in the template's files where the new circuit's names belong.
_NAME, _ID = "template_preamp", "My-TemplatePreamp-v0"
_LONGEST = 40


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the folder, e.g. my_amp: a-z, 0-9 and _.")
    ],
    into: Annotated[Path, typer.Option("--into", help="The folder to write it into.")] = Path(),
) -> None:
    """Write a circuit folder that works, to change into your own (a differential preamplifier)."""
    from acs_gym.circuit import CircuitError
    from acs_gym.registry import circuit_folders

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > _LONGEST:
        raise CircuitError(
            f"{name!r} is no name for a circuit; use a-z, 0-9 and _, a letter first, at most "
            f"{_LONGEST} characters, e.g. my_amp"
        )
    task_id = f"My-{''.join(part.capitalize() for part in name.split('_'))}-v0"
    for known, folder in circuit_folders().items():
        if name == folder.name or task_id == known:
            raise CircuitError(f"{name} is taken: {known} is in {folder}; choose another name")
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise CircuitError(f"{folder} exists already, and nothing is overwritten")
    if not into.is_dir():
        raise CircuitError(f"--into {into}: no such folder")
    folder.mkdir()
    for source in sorted(TEMPLATE.iterdir()):
        text = source.read_text(encoding="utf-8").replace(_ID, task_id).replace(_NAME, name)
        (folder / source.name).write_text(text, encoding="utf-8")
    quoted, typed = shlex.quote(str(folder)), _typed(folder)
    console().print(
        f"wrote {folder}: {task_id}, a differential preamplifier on generic and sky130. Change it "
        "into your own circuit:\n\n"
        f"  acs-gym check {quoted}\n"
        f"  acs-gym simulate {typed} --pdk generic\n"
        f"  python -m leaderboard.run --tasks {typed} --pdk generic --agents random,sobol",
        soft_wrap=True,
    )


def _typed(folder: Path) -> str:
    """The path as a command takes it for one: a bare word would be a circuit's name first."""
    text = shlex.quote(str(folder))
    return text if "/" in text else f"./{text}"
