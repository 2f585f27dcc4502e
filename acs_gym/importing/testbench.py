"""The pins of a circuit: what each is for, and what the owner's own testbench connects there.

By names, as designers give them, and by what the pin leads to. What is not recognised is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from acs_gym.importing.devices import Mapped, dc_word
from acs_gym.importing.hierarchy import Deck, Flat, Subcircuit
from acs_gym.importing.text import Card
from acs_gym.importing.values import evaluate

_SUPPLY = re.compile(r"[ad]?v(dd|cc)[ahdio]?\d*|[ad]?vdd\w*|vpwr|vpos|vdda?|vcca?|supply")
_GROUND = re.compile(r"0|[ad]?v(ss|ee)[ahdio]?\d*|[adps]?gnd\w?|vss\w*|vgnd|ground|vneg|v?subs?")
_PLUS = (
    "inp", "vinp", "in_p", "vin_p", "ip", "vip", "vi_p", "inplus", "in_plus", "plus", "vplus", "vp",
    "pos", "non_inv", "noninv", "ninv", "inpos", "in_pos", "ina", "v_p", "vin_plus", "vinplus", "p",
)  # fmt: skip
_MINUS = (
    "inn", "vinn", "in_n", "vin_n", "inm", "vinm", "in_m", "vin_m", "vim", "vi_n", "inminus",
    "in_minus", "minus", "vminus", "vn", "vm", "neg", "inv", "inneg", "in_neg", "inb", "v_n",
    "vin_minus", "vinminus", "n", "im", "vin", "in",
)  # fmt: skip
_OUT = ("out", "vout", "vo", "output", "o", "y", "out_p", "outp", "v_out", "aout", "opout")
_CURRENT_PIN = re.compile(r"i.*(bias|ref|b$)|i_?b.*|iref.*|.*_i$|bias\w*|ib\d*|nb|nbias")


@dataclass(frozen=True, slots=True)
class Drive:
    """A DC source of the owner's testbench: `v` or `i`, its value (a current flows into the node).

    `grounded` is a current that comes from ground and not from the supply.
    """

    letter: str
    value: float
    grounded: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the owner's file has around the circuit, by the circuit's own nodes.

    `load` is capacitance to ground (F), `resistors` are those to ground (Ohm).
    """

    drives: Mapping[str, Drive]
    load: Mapping[str, float]
    resistors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pins:
    """Ports by what they are for; `bias` with a source, `open` those that nobody knows anything of."""

    supply: tuple[str, ...]
    ground: tuple[str, ...]
    plus: str
    minus: str
    out: str
    bias: Mapping[str, Drive]
    guessed: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def is_opamp(self) -> bool:
        return bool(self.supply and self.plus and self.minus and self.out and not self.open)


def surroundings(deck: Deck, top: Subcircuit) -> Surroundings:
    """DC sources and load capacitors that the file connects to the circuit."""
    drives: dict[str, Drive] = {}
    load: dict[str, float] = {}
    resistors: dict[str, float] = {}
    for container in (deck.outside, *deck.subcircuits.values()):
        if container is top and top.name:
            continue
        names: dict[str, str] = {}
        if top.name:
            found = next((c for c in container.cards if _calls(c, top)), None)
            if found is None:
                continue
            words = [f.text.lower() for f in found.words[1:-1]]
            names = dict(zip(words, top.ports, strict=False))
        elif container is not top:
            continue
        for card in container.cards:
            _notice(card, deck, names, drives, load, resistors)
        break
    return Surroundings(drives, load, resistors)


def _calls(card: Card, top: Subcircuit) -> bool:
    words = [f.text.lower() for f in card.words if f.text.lower() != "params:"]
    return card.letter == "x" and words[-1] == top.name


def _notice(
    card: Card,
    deck: Deck,
    names: Mapping[str, str],
    drives: dict[str, Drive],
    load: dict[str, float],
    resistors: dict[str, float],
) -> None:
    if card.letter not in "vicr" or len(card.words) < 4 - bool(card.values):
        return
    where = deck.text.where(card.line)
    nodes = [f.text.lower() for f in card.words[1:3]]
    ground = [n in ("0", "gnd") for n in nodes]
    if any(ground) and not all(ground):
        node = nodes[ground.index(False)]
        node = names.get(node, node)
        sign = 1.0 if ground[1] else -1.0
        if card.letter == "c":
            word = card.values.get("c") or card.words[3]
            load[node] = load.get(node, 0.0) + evaluate(word, deck.scope, where)
            return
        if card.letter == "r":
            word = card.values.get("r") or card.words[3]
            resistors[node] = 1.0 / (
                1.0 / resistors.get(node, math.inf) + 1.0 / evaluate(word, deck.scope, where)
            )
            return
        dc = dc_word(Flat((card.name,), card, tuple(nodes), card.words[3:], deck.scope, 1.0))
        if dc is not None:
            value = evaluate(dc, deck.scope, where)
            drives[node] = Drive(
                card.letter, value * sign if card.letter == "v" else -value * sign, True
            )
    elif card.letter == "i" and not any(ground):
        # From a supply into the circuit, as references are drawn.
        dc = dc_word(Flat((card.name,), card, tuple(nodes), card.words[3:], deck.scope, 1.0))
        if dc is not None:
            value = evaluate(dc, deck.scope, where)
            for node, into in ((nodes[0], -value), (nodes[1], value)):
                drives.setdefault(names.get(node, node), Drive("i", into))


def recognise(ports: Sequence[str], devices: Iterable[Mapped], around: Surroundings) -> Pins:
    """What each port is for; `devices` tell what those with names of their own lead to."""
    bare = {
        port: re.sub(r"[^a-z0-9_]", "", port.replace("+", "p").replace("-", "n")) for port in ports
    }
    supply = tuple(p for p in ports if _SUPPLY.fullmatch(bare[p]))
    ground = tuple(p for p in ports if _GROUND.fullmatch(bare[p]))
    left = [p for p in ports if p not in (*supply, *ground)]

    def named(names: tuple[str, ...]) -> str:
        by_name = {bare[p]: p for p in reversed(left)}
        found = next((by_name[n] for n in names if n in by_name), "")
        if found:
            left.remove(found)
        return found

    out = named(_OUT)
    plus = named(_PLUS)
    minus = named(_MINUS)
    bias: dict[str, Drive] = {}
    guessed: list[str] = []
    open_: list[str] = []
    fets = [d for d in devices if d.is_fet]
    for port in left:
        drive = around.drives.get(port)
        if drive is not None:
            bias[port] = drive
            continue
        ends = [(d.polarity, k) for d in fets for k, node in enumerate(d.nodes[:3]) if node == port]
        diode = next((d.polarity for d in fets if d.nodes[0] == port == d.nodes[1]), "")
        if diode or (_CURRENT_PIN.fullmatch(bare[port]) and {k for _, k in ends} & {0, 2}):
            kind = diode or ends[0][0]
            bias[port] = Drive("i", 10e-6 if kind == "n" else -10e-6)
            guessed.append(port)
        elif len(ends) > 1 and {k for _, k in ends} == {2}:
            # Two sources and nothing else: the tail of a pair is fed from outside.
            bias[port] = Drive("i", -20e-6 if ends[0][0] == "n" else 20e-6)
            guessed.append(port)
        elif ends and {k for _, k in ends} == {1}:
            bias[port] = Drive("v", 0.7 if ends[0][0] == "n" else -0.8)
            guessed.append(port)
        else:
            open_.append(port)
    return Pins(supply, ground, plus, minus, out, bias, tuple(guessed), tuple(open_))


def is_ground(name: str) -> bool:
    return _GROUND.fullmatch(name) is not None


def is_output(name: str) -> bool:
    return name in _OUT or re.fullmatch(r"v?out\w*", name) is not None
