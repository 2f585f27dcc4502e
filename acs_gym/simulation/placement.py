"""One X line of the DUT as SPICE elements: the parts of its device, with names, nodes and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from acs_gym.expressions import Expression
from acs_gym.pdks.base import Device, Part
from acs_gym.simulation.netlist import INSIDE, Primitive
from acs_gym.simulation.program import Draw, Setting, Transistor

# A mismatch draw in formulas; no parameter's name starts with an underscore.
DRAW = "_z"
# `<node>` in the law of a B source.
_LAW_NODE = re.compile(r"<(\w+)>")
# Elements whose first attribute is their value, and has no name on their line.
_VALUED = ("R", "C", "L", "V", "G")


class Placed:
    """One device of the DUT as lines of its subcircuit, and how they follow the design.

    Attributes:
        lines: its elements; a FET's has `{element}` where its card's name belongs.
        cards: model cards of its own.
        settings: what is set before every simulation.
        draws: its mismatch draws.
        transistor: what decides its card, of a FET.
    """

    def __init__(
        self,
        primitive: Primitive,
        device: Device,
        instance: str,
        first_draw: int,
        scope: Mapping[str, float],
    ) -> None:
        self.lines: list[str] = []
        self.cards: list[str] = []
        self.settings: list[Setting] = []
        self._name, self._instance = primitive.name, instance
        self._device = device
        self._nodes = dict(zip(device.nodes, primitive.nodes, strict=True))
        element = self._element(device.parts[0])
        names = [f"{DRAW}{first_draw + k}" for k in range(len(device.draws))]
        self.draws = tuple(
            Draw(f"{element}:{z}" if k else element, name)
            for k, (z, name) in enumerate(zip(device.draws, names, strict=True))
        )
        own = device.parameters(primitive.parameters)
        drawn = {z: Expression(name) for z, name in zip(device.draws, names, strict=True)}
        self._meanings = {**own, **drawn}
        # What neither a design nor a draw can change is in the text, and nothing ever alters it.
        self._moving = {name for name, e in own.items() if e.names} | set(device.draws)
        still = dict.fromkeys(device.draws, 0.0)
        self._values = {**{name: float(e(scope)) for name, e in own.items()}, **still}
        self.transistor: Transistor | None = None
        if device.is_transistor:
            w, l = (e.substitute(own) for e in device.finger)  # noqa: E741
            self.transistor = Transistor(element, device, w, l)
        for part in device.parts:
            self._place(part)

    def _element(self, part: Part) -> str:
        """The part's name in the simulator."""
        return f"{part.letter}.{self._instance}.{self._local(part)}".lower()

    def _local(self, part: Part) -> str:
        label = f"{INSIDE}{part.label}" if part.label else ""
        return f"{part.letter}{self._name}{label}".lower()

    def _node(self, name: str) -> str:
        return self._nodes.get(name) or (name if name == "0" else f"{self._name}{INSIDE}{name}")

    def _place(self, part: Part) -> None:
        element = self._element(part)
        start = {a: float(e(self._values)) for a, e in part.attributes.items()}
        self._follow(f"{element}[{{}}]", part.attributes, "alter")
        head = " ".join([self._local(part), *map(self._node, part.nodes)])
        if part.letter == "B":
            law = _LAW_NODE.sub(lambda m: self._node(m[1]), part.law)
            self.lines.append(f"{head} {law}")
            return
        words = [f"{a}={v!r}" for a, v in start.items()]
        if part.letter in _VALUED:
            value = next(iter(start.values()))
            words = [repr(value), *([part.model] if part.model else []), *words[1:]]
        elif self._device.is_transistor:
            words = [f"{{{element}}}", *words]
        elif part.own:
            card = f"acs_{self._local(part)}"
            numbers = {k: float(e(self._values)) for k, e in part.own.items()}
            text = " ".join(f"{k}={v!r}" for k, v in numbers.items())
            _, _, rest = self._device.cards[part.model].split(maxsplit=2)
            self.cards.append(f".model {card} {rest} {text}")
            self._follow(f"{card}[{{}}]", part.own, "altermod")
            words = [card, *words]
        else:
            words = [part.model, *words]
        self.lines.append(" ".join([head, *words]))

    def _follow(self, target: str, formulas: Mapping[str, Expression], command: str) -> None:
        """Have what a design or a draw can change set before every simulation."""
        for name, formula in formulas.items():
            if self._moving & set(formula.names):
                value = formula.substitute(self._meanings)
                self.settings.append(Setting(target.format(name), (value,), command))
