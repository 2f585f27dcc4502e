"""SKY130: the continuous models of SkyWater's open 130 nm PDK, resolved once per corner.

The distributed library takes seconds to read, and its transistors are subcircuits whose braces
ngspice expands again on every size change (20-30 ms). Here the two 1.8 V FETs are cut out, every
brace that does not depend on W and L becomes a number, and what is left of the subcircuit are
three instance attributes as formulas: `nrd`, `nrs` (with the model's `rsh` set to 1, since rsh acts
only through rsh·nrd) and `delvto`. The result is 48 plain BSIM4 cards a device, W and L in metres,
whose devices follow `alter`. Which of the 48 a size belongs to is decided here, by ngspice's own
rule, and not by ngspice: it would re-bin on `alter`, but by a search through the text of every card
(0.2 ms a transistor) that also reorders its device list, and with it the last digits of every sum.

Formula sources: `sky130_fd_pr__{n,p}fet_01v8` in `models_fet.spice` of the PDK (Apache-2.0), read at
run time and never stored here; a subcircuit that no longer looks as expected is refused, not
approximated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from acs_gym.expressions import Expression, ExpressionError
from acs_gym.pdks.base import CORNERS, DIFFUSIONS, Bin, Device, PdkError, PdkNotFound
from acs_gym.pdks.resolved import Resolved, ResolvedPdk, binned_card
from acs_gym.pdks.store import find_sky130

_FETS = {"nfet": "sky130_fd_pr__nfet_01v8", "pfet": "sky130_fd_pr__pfet_01v8"}
_MODEL_FILES = ("models_fet.spice", "models_global.spice")
_UM = 1e6  # The subcircuits think in micrometres.

# Switches of the library: nominal corner, no Monte Carlo. Mismatch is drawn by us, seeded.
_SWITCHES = {
    "corner_factor": 1.0, "process_mc_factor": 1.0, "mismatch_factor": 1.0,
    "mc_pr_switch": 0.0,
}  # fmt: skip


class Sky130(ResolvedPdk):
    name = "sky130"
    title = "SkyWater SKY130 (continuous models)"
    licence = "Apache-2.0 (The SkyWater PDK Authors)"

    def folder(self) -> Path:
        return find_sky130()

    def files(self) -> tuple[str, ...]:
        return (*_MODEL_FILES, *(f"parameters_fet_{corner}.spice" for corner in CORNERS))

    def resolve(self, folder: Path, corner: str) -> Resolved:
        return _resolve(folder, corner)


def _resolve(folder: Path, corner: str) -> Resolved:
    numbers = _corner_numbers(folder, corner)
    library = _read(folder / "models_fet.spice")
    models: dict[str, str] = {}
    devices: dict[str, Device] = {}
    for kind, subckt in _FETS.items():
        header, cards = _cut(library, subckt)
        bins: list[Bin] = []
        for bin_, card in _resolve_cards(kind, cards, numbers | {"swx_nrds": 1.0}, subckt):
            bins.append(bin_)
            models[bin_.model] = card
        devices[kind] = _device(subckt, header, numbers, tuple(bins))
    return models, devices


def _corner_numbers(folder: Path, corner: str) -> dict[str, float]:
    """Every `.param` the FET cards use, as a number, with Monte Carlo off."""
    definitions: dict[str, str] = {}
    for name in (f"parameters_fet_{corner}.spice", "models_global.spice"):
        for key, value in _params(_read(folder / name)):
            definitions[key.lower()] = value
    numbers = dict(_SWITCHES)
    pending = dict(definitions)
    # Parameters may refer to later ones; resolve whatever can be, until nothing moves.
    while pending:
        progressed = False
        for key, value in list(pending.items()):
            # A Monte Carlo term is multiplied by a switch that is off; it must not be evaluated.
            text = re.split(r"\+\s*process_mc_factor\s*\*", value)[0].strip().strip("{}")
            try:
                expression = Expression(text.lower())
                if all(n in numbers for n in expression.names):
                    numbers[key] = float(expression(numbers))
                    del pending[key]
                    progressed = True
            except ExpressionError:
                del pending[key]  # Belongs to another device family; a use of it fails by name.
        if not progressed:
            break
    return numbers


def _params(text: str) -> list[tuple[str, str]]:
    joined: list[str] = []
    for raw in text.splitlines():
        line = raw.split(";")[0].rstrip()
        if line.startswith("*") or not line.strip():
            continue
        if line.lstrip().startswith("+") and joined:
            joined[-1] += " " + line.lstrip()[1:]
        else:
            joined.append(line)
    found: list[tuple[str, str]] = []
    for line in joined:
        if line.lower().startswith(".param"):
            found += re.findall(
                r"(\w+)\s*=\s*(\{[^}]*\}(?:\s*\+\s*[^=]*?(?=\s+\w+\s*=|$))?|[^\s{]+)", line[6:]
            )
    return found


def _cut(library: str, subckt: str) -> tuple[str, str]:
    """(header with the instance line, model cards) of one subcircuit."""
    match = re.search(
        rf"^\.subckt\s+{subckt}\s.*?^\.ends\s+{subckt}\s*$", library, re.MULTILINE | re.DOTALL
    )
    if match is None or ".model" not in match[0]:
        raise PdkError(f"models_fet.spice has no subcircuit {subckt} with model cards")
    header, _, cards = match[0].partition(".model")
    return header, (".model" + cards).rsplit(".ends", 1)[0]


def _device(
    subckt: str, header: str, numbers: Mapping[str, float], bins: tuple[Bin, ...]
) -> Device:
    """The instance attributes as formulas of w, l, m in SI units and the mismatch draw z.

    Each of m parallel devices is w wide, as in the subcircuit with mult; they share one draw, whose
    effect falls with their total area.
    """
    delvto = re.search(r"^\+ delvto = \{(.*)\}\s*$", header, re.MULTILINE)
    swx_nrds = re.search(r"swx_nrds = \{(.*?)\}", header)
    nrd = re.search(r"\bnrd = \{(0\.14/w)\}", header)
    if not (delvto and swx_nrds and nrd):
        raise PdkError(f"{subckt} does not look as expected; this SKY130 version is not supported")
    vth = re.search(r"swx_vth = \{(.*)\}", header)
    scope = {"w": f"({_UM}*w)", "l": f"({_UM}*l)", "nf": "1", "mult": "m"}
    shift = delvto[1] if vth is None else re.sub(r"\bswx_vth\b", f"({vth[1]})", delvto[1])
    # The library draws its mismatch itself, unseeded; here the draw comes from outside.
    shift, draws = re.subn(r"MC_MM_SWITCH\*AGAUSS\(0,1\.0,1\)", "z", shift)
    if draws != 1:
        raise PdkError(f"{subckt}: expected one mismatch term in delvto, found {draws}")
    sheet = f"({nrd[1]})*({swx_nrds[1]})"
    return Device(
        "M",
        bins,
        {
            "w": Expression("w"),
            "l": Expression("l"),
            "m": Expression("m"),
            **DIFFUSIONS,
            "nrd": _formula(sheet, scope, numbers),
            "nrs": _formula(sheet, scope, numbers),
            "delvto": _formula(shift, scope, numbers),
        },
        Expression("w*l*m"),
    )


def _formula(text: str, scope: Mapping[str, str], numbers: Mapping[str, float]) -> Expression:
    """`text` with the library's parameters as numbers and its micrometres as metres."""

    def known(match: re.Match[str]) -> str:
        name = match[0].lower()
        return scope.get(name) or (f"({numbers[name]!r})" if name in numbers else match[0])

    expression = Expression(re.sub(r"\b[A-Za-z_]\w*\b", known, text))
    if unknown := set(expression.names) - {"w", "l", "m", "z"}:
        raise PdkError(f"SKY130: cannot resolve {', '.join(sorted(unknown))} in {text!r}")
    return expression


def _resolve_cards(
    kind: str, cards: str, numbers: Mapping[str, float], subckt: str
) -> list[tuple[Bin, str]]:
    """Each bin of a device and its card, braces resolved, on one line without its bin limits."""

    def number(match: re.Match[str]) -> str:
        try:
            return repr(float(Expression(match[1].lower())(numbers)))
        except ExpressionError as error:
            raise PdkError(f"{subckt}: {error}") from None

    text = re.sub(r"^\*.*$", "", re.sub(r"\{([^}]*)\}", number, cards), flags=re.MULTILINE)
    found: list[tuple[Bin, str]] = []
    for index, (polarity, body) in enumerate(
        re.findall(r"\.model\s+\S+\s+(nmos|pmos)(.*?)(?=\.model|\Z)", text, re.DOTALL), start=1
    ):
        words = re.sub(r"\s*=\s*", "=", body.replace("\n+", " ")).split()
        values = dict(word.split("=", 1) for word in words)
        try:
            found.append(binned_card(f"{kind}_{index}", polarity, values))
        except KeyError as missing:
            raise PdkError(f"{subckt}: model card {index} has no {missing}") from None
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PdkNotFound(
            f"sky130: {path.name} is missing from {path.parent} ({error.strerror}); "
            'run "acs-gym pdk install sky130"'
        ) from None
