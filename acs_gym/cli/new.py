"""`acs-gym new`: a working circuit folder to change into one's own."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from acs_gym.cli.output import console
from acs_gym.kits import Kit, get_kit, kit_names
from acs_gym.wording import did_you_mean

TEMPLATE = Path(__file__).parent / "template"
# What stands in the template's files where the new circuit's names belong.
_NAME, _ID = "template_preamp", "My-TemplatePreamp-v0"
_LONGEST = 40
_PDKS = ("generic", "sky130")


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the folder, e.g. my_amp: a-z, 0-9 and _.")
    ],
    into: Annotated[Path, typer.Option("--into", help="The folder to write it into.")] = Path(),
    kit: Annotated[
        str | None,
        typer.Option(
            "--kit",
            help="A circuit of another kind, with its benches from a kit: opamp, ota, ldo, comparator, "
            "reference or oscillator.",
        ),
    ] = None,
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
    files = _template(name, task_id) if kit is None else _example(known_kit(kit), name, task_id)
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    what = "differential preamplifier" if kit is None else get_kit(kit).title
    quoted, typed = shlex.quote(str(folder)), _typed(folder)
    console().print(
        f"wrote {folder}: {task_id}, {what}, on generic and sky130. Change it into your own "
        "circuit:\n\n"
        f"  acs-gym check {quoted}\n"
        f"  acs-gym simulate {typed} --pdk generic\n"
        f"  python -m leaderboard.run --tasks {typed} --pdk generic --agents random,sobol",
        soft_wrap=True,
    )


def known_kit(name: str) -> Kit:
    """Raises CircuitError for a kit that there is not."""
    from acs_gym.circuit import CircuitError

    if name not in kit_names():
        meant = did_you_mean(name, kit_names())
        raise CircuitError(f"--kit {name}: no such kit; {meant}there is: {', '.join(kit_names())}")
    return get_kit(name)


def _template(name: str, task_id: str) -> dict[str, str]:
    """File name -> text of the preamplifier."""
    return {
        source.name: source.read_text(encoding="utf-8").replace(_ID, task_id).replace(_NAME, name)
        for source in sorted(TEMPLATE.iterdir())
    }


def _example(kit: Kit, name: str, task_id: str) -> dict[str, str]:
    """File name -> text of the kit's example: all that the kit measures, nominal conditions, two PDKs."""

    def read(file: str) -> str:
        return (kit.example / file).read_text(encoding="utf-8")

    dut, toml, sizings = read("dut.spice"), read("circuit.toml"), read("reference.toml")
    dut = re.sub(r"(?m)^(\.subckt|\.ends) \w+", rf"\1 {name}", dut)
    toml = re.sub(r'(?m)^id = ".*"', f'id = "{task_id}"', toml)
    toml = re.sub(r'(?m)^split = .*\n|^leaves_out = """[^"]*"""\n', "", toml)
    # What a bundled circuit measures and in which order is a choice of its own; here all is measured.
    toml = re.sub(r"(?m)^(?:metrics|analyses) = \[[^]]*\]\n", "", toml)
    toml = toml[: re.search(r"(?m)^(?:#.*\n)*\[(?:tier|pdk)\.", toml + "[pdk.").start()]  # type: ignore[union-attr]
    tables = re.split(r"(?m)^(?=\[)", sizings)
    kept = [t for t in tables if t.startswith(tuple(f"[{pdk}.tt]" for pdk in _PDKS))]
    on_pdks = tomllib.loads(read("circuit.toml"))["pdk"]
    pdks = [f"[pdk.{pdk}]\n{_targets(on_pdks[pdk].get('targets', {}))}" for pdk in _PDKS]
    return {
        "circuit.toml": f"{toml.rstrip()}\n\n{''.join(pdks)}",
        "dut.spice": dut,
        "reference.toml": f"# One sizing per PDK that meets every spec.\n{''.join(kept).rstrip()}\n",
    }


def _targets(targets: Mapping[str, float]) -> str:
    said = ", ".join(f"{metric} = {target!r}" for metric, target in targets.items())
    return f"targets = {{ {said} }}\n" if said else ""


def _typed(folder: Path) -> str:
    """The path as a command takes it for one: a bare word would be a circuit's name first."""
    text = shlex.quote(str(folder))
    return text if "/" in text else f"./{text}"
