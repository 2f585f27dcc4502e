"""Each element of a netlist as a device of this project: its kind, nodes, and sizes in SI units.

What a PDK's device is called, which of its parameters are sizes, in which unit a line is written, and
what an ideal element becomes. A device that a neutral one stands for becomes that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from acs_gym.importing.hierarchy import Deck, Flat
from acs_gym.importing.text import Field, refused
from acs_gym.importing.values import evaluate, number
from acs_gym.pdks import Signature, signatures
from acs_gym.pdks.base import NO_SIZE
from acs_gym.wording import did_you_mean

SKY130, GF180 = "sky130", "gf180mcu"
_PREFIX = "sky130_fd_pr__"
STRIPS = {SKY130: 0.29e-6, GF180: 0.18e-6}  # Of diffusion, m; as the schematic symbols have it.
# What the neutral devices are in each PDK; the other way round it is what those devices are called here.
_NEUTRAL = {
    f"{_PREFIX}nfet_01v8": "nfet", f"{_PREFIX}pfet_01v8": "pfet",
    f"{_PREFIX}pnp_05v5_w3p40l3p40": "pnp",
    "nfet_03v3": "nfet", "pfet_03v3": "pfet", "pnp_10p00x10p00": "pnp",
}  # fmt: skip
_ALIASES = {
    "nmos_3p3": "nfet_03v3", "pmos_3p3": "pfet_03v3", "nmos_6p0": "nfet_06v0", "pmos_6p0": "pfet_06v0",
    "cap_mim_2f0_m4m5_noshield": "cap_mim_2f0ff", "cap_mim_2p0ff": "cap_mim_2f0ff",
    "cap_mim_2f0ff_m4m5_noshield": "cap_mim_2f0ff",
}  # fmt: skip
_NFET = re.compile(r"n(?:$|mos|fet|ch|_|\d|sim|\d*mos)|.*nmos|.*nfet|.*nch|cmosn")
_PFET = re.compile(r"p(?:$|mos|fet|ch|_|\d|sim|\d*mos)|.*pmos|.*pfet|.*pch|cmosp")
# What a size is called here, and by what names a kind may give it.
_SIZES = ("w", "l", "c_width", "c_length", "r_width", "r_length", "area")
_AREA_OF_SYMBOLS = 1e6
_FAR = 50.0
DERIVED = ("ad", "as", "pd", "ps", "nrd", "nrs")
_COUNTS = ("m", "mult", "mf", "par")
# Said of a line by tools, and without meaning here.
_SAY_NOTHING = {
    "topography",
    "region",
    "spiceprefix",
    "dtemp",
    "temp",
    "model",
    "lvs",
    "perim_",
    "tnom",
}
_BEHAVIOURAL = (
    "a behavioural or compiled element computes anything; use E, G, F or H, or leave it out"
)


@dataclass(frozen=True, slots=True)
class Size:
    """One number of a device that may be sized.

    Attributes:
        value: SI.
        scale: SI value per number that the line writes.
        fields: the words that say it, more than one where `m` and `mult` do; none where the line
            leaves it to its default.
    """

    value: float
    scale: float
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A device of the circuit.

    Attributes:
        kind: as `dut.spice` calls it; a letter (`r`, `v`, ...) for a plain element.
        sizes: by this project's names: `w l m` of a FET, `r`, `c`, `i` of ideal ones.
        fixed: other parameters, SI; of a plain element its value as text under ``.
        derived: (what, word, SI per number there) of areas and squares said as plain numbers: they
            follow the size.
        was: the device as the owner's file calls it.
    """

    flat: Flat
    kind: str
    nodes: tuple[str, ...]
    sizes: Mapping[str, Size]
    fixed: Mapping[str, float] = field(default_factory=dict)
    plain: str = ""
    derived: tuple[tuple[str, Field, float], ...] = ()
    was: str = ""
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        return self.flat.path

    @property
    def is_fet(self) -> bool:
        known = signatures().get(self.kind)
        return known is not None and known.is_fet

    @property
    def polarity(self) -> str:
        """n or p of a FET."""
        return "p" if "pfet" in self.kind else "n"

    def size(self, name: str) -> float:
        return self.sizes[name].value if name in self.sizes else self.fixed.get(name, 1.0)


def find_pdk(deck: Deck, flat: list[Flat], wanted: str | None) -> tuple[str, str]:
    """(PDK, how that is known): of the devices' names, else of the library that the file names."""
    if wanted is not None:
        return wanted, "--pdk says so"
    for element in flat:
        for word in element.rest[:1]:
            name = _ALIASES.get(word.text.lower(), word.text.lower())
            if name.startswith(_PREFIX):
                return SKY130, f"{word.text} is one of its devices"
            if name in signatures() and f"{_PREFIX}{name}" not in signatures() and name not in _ANY:
                return GF180, f"{word.text} is one of its devices"
    said = " ".join(deck.libraries)
    for pdk, words in ((SKY130, ("sky130",)), (GF180, ("gf180", "sm141064"))):
        if any(word in said for word in words):
            return pdk, "a .lib line names it"
    return SKY130, "nothing in the file says which; --pdk gf180mcu takes the other"


_ANY = ("nfet", "pfet", "res", "cap", "pnp", "ideal_res", "ideal_cap", "ibias")


def map_device(flat: Flat, deck: Deck, pdk: str, renamed: Mapping[str, str]) -> Mapped:
    """Raises CircuitError, with the line, for an element that nothing here is."""
    where = deck.text.where(flat.card.line)
    letter = flat.card.letter
    if letter in "xmqd" or (letter in "rc" and _device_word(flat) is not None):
        return _device(flat, deck, pdk, renamed, where)
    if letter in "rcl":
        return _passive(flat, where)
    if letter in "vi":
        return _source(flat, where)
    if letter in "egfh":
        return _controlled(flat, where)
    raise refused(where, f"{flat.card.text[:60]!r}: {_BEHAVIOURAL}")


def _device_word(flat: Flat) -> str | None:
    """The device that an R or C line names, as layout tools write poly and metal resistors."""
    for word in flat.rest:
        if number(word.bare) is None and word.text.lower() in _names():
            return word.text
    return None


def _names() -> set[str]:
    return (
        set(signatures())
        | set(_ALIASES)
        | {n.removeprefix(_PREFIX) for n in signatures() if n.startswith(_PREFIX)}
    )


def _device(flat: Flat, deck: Deck, pdk: str, renamed: Mapping[str, str], where: str) -> Mapped:
    was = _device_word(flat) if flat.card.letter in "rc" else flat.rest[0].text
    assert was is not None
    name, notes = _kind(was.lower(), flat, deck, pdk, renamed, where)
    kind = _NEUTRAL.get(name, name)
    signature = signatures()[kind]
    own = signatures()[name]
    nodes = flat.nodes
    if len(nodes) != len(signature.nodes):
        if kind == "pnp" and len(nodes) == 4:
            nodes, notes = nodes[:3], (*notes, "its substrate node is left out")
        else:
            raise refused(
                where,
                f"{flat.card.name}: {was} has {len(signature.nodes)} nodes "
                f"({' '.join(signature.nodes)}), got {len(nodes)}; connect each of them",
            )
    values = _values(flat, signature, where)
    given = {k: evaluate(v, flat.scope, where, derived=k in DERIVED) for k, v in values.items()}
    microns = any(given.get(k, 0.0) >= NO_SIZE for k in _SIZES)
    scales = own.scales or signatures()[f"{_PREFIX}nfet_01v8"].scales
    if deck.scale != 1.0 and signature.is_fet and (microns or flat.card.letter == "m"):
        # What the file says of its lengths goes before what SKY130's lines are usually in.
        microns, scales = True, {k: deck.scale ** (2 if k in ("ad", "as") else 1) for k in scales}
    if "perim" in given and given["area"] < _AREA_OF_SYMBOLS:
        # Layout tools write a diode's area in um2, symbols a million million times that.
        scales = {"area": 1e-12, "perim": 1e-6}
    sizes: dict[str, Size] = {}
    fixed: dict[str, float] = {}
    for key, value in sorted(given.items(), key=lambda item: item[0] == "l"):
        scale = scales.get(key, 1.0) if microns else 1.0
        # Fifteen digits: 0.15 microns are 1.5e-07, and nothing after it.
        si = float(f"{value * scale:.15g}")
        if key in ("w", "l", "c_width", "c_length", "r_length") and not (si > 0):
            raise refused(where, f"{flat.card.name}: {key} is {value:g}; a size is more than 0")
        if key in ("w", "l", "c_width", "c_length", "r_length", "r", "c", "i"):
            sizes[key] = Size(si, scale, (values[key],))
        elif key not in _COUNTS:
            fixed[key] = si
    count, words = _count(given, values, flat, signature)
    if words or count != 1:
        sizes["m"] = Size(count, flat.count, words)
    missing = [k for k in signature.required if k not in given]
    if missing:
        raise refused(
            where, f"{flat.card.name}: {was} needs {', '.join(missing)}; write {missing[0]}=..."
        )
    derived: tuple[tuple[str, Field, float], ...] = ()
    if signature.is_fet:
        strip = STRIPS.get(pdk, 0.29e-6)
        fixed, derived = _diffusions(flat, fixed, sizes, strip, scales if microns else {})
    formulas = set(DERIVED) if signature.is_fet else set()
    ignored = sorted(set(flat.card.values) - set(values) - formulas - _SAY_NOTHING)
    if ignored:
        notes = (*notes, f"{', '.join(ignored)} say nothing here")
    return Mapped(flat, kind, nodes, sizes, fixed, "", derived, was, notes)


def _diffusions(
    flat: Flat,
    fixed: dict[str, float],
    sizes: Mapping[str, Size],
    strip: float,
    scales: Mapping[str, float],
) -> tuple[dict[str, float], tuple[tuple[str, Field, float], ...]]:
    """What the owner says of areas and squares, without what symbols would compute anyway.

    A formula of the line's own size follows it and is not here; what is, is put back with the size.
    """
    usual = diffusions(sizes["w"].value, int(fixed.get("nf", 1)), strip)
    kept = dict(fixed)
    derived: list[tuple[str, Field, float]] = []
    for key in DERIVED:
        if key not in kept:
            continue
        field_ = flat.card.values[key]
        derived.append((key, field_, scales.get(key, 1.0)))
        # Near the symbol's it is left to it, and so is what no layout has: another tool's unit.
        if abs(kept[key] - usual[key]) <= 0.01 * usual[key] or not (
            usual[key] / _FAR < kept[key] < usual[key] * _FAR
        ):
            del kept[key]
    if kept.get("nf") == 1:
        del kept["nf"]
    for key in ("sa", "sb", "sd"):
        if kept.get(key) == 0:
            del kept[key]
    return kept, tuple(derived)


def diffusions(w: float, nf: int, strip: float) -> dict[str, float]:
    """What schematic symbols write for a FET (docs/devices.md), m, m² and squares."""
    drains, sources = (nf + 1) // 2, (nf + 2) // 2
    return {
        "ad": drains * w / nf * strip, "as": sources * w / nf * strip,
        "pd": 2 * drains * (w / nf + strip), "ps": 2 * sources * (w / nf + strip),
        "nrd": strip / w, "nrs": strip / w,
    }  # fmt: skip


def _values(flat: Flat, signature: Signature, where: str) -> dict[str, Field]:
    """The line's assignments that the device knows; a FET's formulas of its own W and nf included."""
    known = {*signature.required, *signature.optional, *_COUNTS}
    found = {k: v for k, v in flat.card.values.items() if k in known}
    if "area" in known and flat.card.letter == "d" and len(flat.rest) > 1:
        found.setdefault("area", flat.rest[1])
    if signature.is_fet:
        # Formulas over the line's own sizes are what the symbol computes, and so do we.
        found = {k: v for k, v in found.items() if k not in DERIVED or _is_plain(v, flat)}
    return found


def _is_plain(value: Field, flat: Flat) -> bool:
    if number(value.bare) is not None:
        return True
    names = {n.lower() for n in re.findall(r"[A-Za-z_]\w*", value.bare)}
    return not names & set(flat.card.values)


def _count(
    given: Mapping[str, float], values: Mapping[str, Field], flat: Flat, signature: Signature
) -> tuple[float, tuple[Field, ...]]:
    """(devices in parallel, the words that say so). `m` counts, `mult` and `mf` stand in for it."""
    said = [k for k in _COUNTS if k in given]
    if not said:
        return flat.count, ()
    first = said[0]
    return given[first] * flat.count, tuple(values[k] for k in said if given[k] == given[first])


def _kind(
    was: str, flat: Flat, deck: Deck, pdk: str, renamed: Mapping[str, str], where: str
) -> tuple[str, tuple[str, ...]]:
    """(device of this project or a PDK, what was decided)."""
    known = signatures()
    if was in renamed:
        kind = renamed[was]
        for name in (kind, _PREFIX + kind):
            if name in known:
                return name, (f"{was} is taken for {kind}: --map says so",)
        near = did_you_mean(kind, known)
        raise refused("--map", f"{kind!r} is no device; {near}docs/devices.md has them all")
    name = _ALIASES.get(was, was)
    if pdk == SKY130 and _PREFIX + name in known:
        name = _PREFIX + name
    if name in known:
        return name, ()
    model = deck.models.get(was, "")
    if flat.card.letter == "m" or model in ("nmos", "pmos"):
        for kind, form in (("nfet", _NFET), ("pfet", _PFET)):
            if model == kind[0] + "mos" or (not model and form.match(was)):
                why = f"because its .model card is {model}" if model else "by its name"
                return kind, (f"{was} is taken for {kind} {why}",)
    if flat.card.letter == "q" and (model == "pnp" or (not model and "pnp" in was)):
        return "pnp", (f"{was} is taken for pnp",)
    near = did_you_mean(was, known)
    raise refused(
        where,
        f"{flat.card.name}: {was!r} is neither a device of a PDK nor a .subckt of this file; {near}add "
        f"its .subckt, or say what it is: --map {was}=nfet (docs/devices.md has all devices)",
    )


def _value_word(flat: Flat, key: str, where: str) -> Field:
    """What an R, C or L line has for its value: `10k`, `R=10k`, or a model's name before it."""
    if key in flat.card.values:
        return flat.card.values[key]
    for word in flat.rest:
        if number(word.bare) is not None or word.text[0] in "'{\"":
            return word
    if flat.rest:
        return flat.rest[-1]
    raise refused(where, f"{flat.card.name} has no value; write it behind its two nodes")


def _passive(flat: Flat, where: str) -> Mapped:
    letter = flat.card.letter
    word = _value_word(flat, letter, where)
    value = evaluate(word, flat.scope, where)
    if not value > 0 and letter == "r":
        value = 1e-3  # ngspice's own way with a resistor of nothing.
    count = 1.0
    if "m" in flat.card.values:
        count = evaluate(flat.card.values["m"], flat.scope, where)
    count *= flat.count
    # m resistors in parallel are one of the m-th part, whose number still is the line's.
    factor = 1.0 / count if letter in "rl" else count
    sizes = {letter: Size(float(f"{value * factor:.15g}"), factor, (word,))}
    was = {"r": "R", "c": "C", "l": "L"}[letter]
    return Mapped(flat, letter, flat.nodes, sizes, was=was)


def _source(flat: Flat, where: str) -> Mapped:
    """A source inside the circuit: its DC value. A current becomes an `ibias`."""
    word = dc_word(flat)
    value = 0.0 if word is None else evaluate(word, flat.scope, where)
    said = {f.text.lower() for f in flat.rest}
    moving = [w for w in ("ac",) if w in said] + [w for w in flat.card.values if w != "dc"]
    notes = (f"its {', '.join(moving)} belongs to a testbench",) if moving else ()
    if flat.card.letter == "i":
        if value == 0 or word is None:
            return Mapped(flat, "i", flat.nodes, {}, plain="dc 0", was="I", notes=notes)
        nodes = flat.nodes if value > 0 else flat.nodes[::-1]
        scale = flat.count if value > 0 else -flat.count
        sizes = {"i": Size(abs(value) * flat.count, scale, (word,))}
        return Mapped(flat, "ibias", nodes, sizes, was="I", notes=notes)
    return Mapped(flat, "v", flat.nodes, {}, plain=f"dc {value!r}", was="V", notes=notes)


def dc_word(flat: Flat) -> Field | None:
    """The DC value of a source's line; None where it has none."""
    if "dc" in flat.card.values:
        return flat.card.values["dc"]
    for k, word in enumerate(flat.rest):
        if word.text.lower() == "dc" and k + 1 < len(flat.rest):
            return flat.rest[k + 1]
    if flat.rest and not re.match(
        r"(ac|pulse|pwl|sin|exp|sffm|am|trnoise)\b", flat.rest[0].text, re.I
    ):
        return flat.rest[0]
    # A waveform's first level is where it starts from.
    found = re.match(r"(?:pulse|sin|exp)\(?(.*)", flat.rest[0].text, re.I) if flat.rest else None
    if found is None:
        return None
    if found[1]:
        return replace(flat.rest[0], text=found[1])
    return flat.rest[1] if len(flat.rest) > 1 else None


def _controlled(flat: Flat, where: str) -> Mapped:
    words = [f.text for f in flat.rest]
    if flat.card.values or len(words) != (2 if flat.card.letter in "fh" else 1):
        raise refused(
            where, f"{flat.card.text[:60]!r}: E, G, F and H take one number; {_BEHAVIOURAL}"
        )
    gain = evaluate(flat.rest[-1], flat.scope, where)
    text = repr(gain)
    if flat.card.letter in "fh":
        text = f"{{{'.'.join((*flat.path[:-1], words[0].lower()))}}} {text}"
    return Mapped(flat, flat.card.letter, flat.nodes, {}, plain=text, was=flat.card.letter.upper())
