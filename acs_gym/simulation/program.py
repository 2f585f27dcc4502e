"""The program a simulation worker runs, as plain frozen records.

Made by `deck.py` in the parent, pickled to a worker once, run by `engine.py` there. Knows nothing of
circuit folders, so that a worker starts without the machinery that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from acs_gym.expressions import Expression, evaluate_all
from acs_gym.pdks.base import Device, NoCard

INITIAL = ".ic"
_PLACE = re.compile(r"\{([\w.]+)\}")
_VALUE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Transistor:
    """What decides a transistor's model card: the width and length of a finger, in m."""

    element: str
    device: Device
    w: Expression
    l: Expression  # noqa: E741


@dataclass(frozen=True, slots=True)
class Draw:
    """A mismatch draw: what decides its luck (its element's name), and its name in formulas."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One `alter`: what it sets (`m.xdut.mpair_p[w]`), to one value or (for a `pulse` or `sin`) several.

    The values are formulas over the design, the conditions and the mismatch draws. With `altermod`
    the target is a parameter of a model card.
    """

    target: str
    values: tuple[Expression, ...]
    command: str = "alter"


@dataclass(frozen=True, slots=True)
class Probe:
    """Where a loop gain is measured: a zero-volt source in the wire and a current source beside it.

    `current` drives `node`, the positive end of `voltage`; see `simulation/loop.py`.
    """

    voltage: str
    current: str
    node: str

    @property
    def vectors(self) -> tuple[str, str]:
        """What each of the two injections must yield."""
        return f"v({self.node})", f"i({self.voltage})"


@dataclass(frozen=True, slots=True)
class Analysis:
    """One ngspice analysis, the sources it excites and the vectors it must yield.

    `sweep` names the vector of its independent variable (None for `op`), which rises and must
    reach at least `last`. With a `probe` it runs twice, exciting each of the probe's two sources,
    and yields the one vector `loop(SOURCE)`. `reltol` is ngspice's relative tolerance during it, and
    `trtol` how far the error of a step may exceed it, where that is not as everywhere else.
    """

    name: str
    kind: str
    command: str
    excite: tuple[str, ...]
    vectors: tuple[str, ...]
    sweep: str | None
    last: float | None
    probe: Probe | None = None
    reltol: float = 1e-5
    trtol: float | None = None

    @property
    def options(self) -> str:
        """The command that sets its tolerances."""
        own = "" if self.trtol is None else f" trtol={self.trtol!r}"
        return f"option reltol={self.reltol!r}{own}"


@dataclass(frozen=True, slots=True)
class Deck:
    """One testbench: its netlist, what is set before each run and in which order, its analyses.

    `template` has `{element}` where a binned device's model name belongs, and in its `.ic` line
    `{formula}` where a voltage does: neither can be set afterwards, so each is part of the netlist
    (see `netlist`). `models` are all cards it may need, `shared` the names of those it always does.
    """

    name: str
    template: tuple[str, ...]
    models: Mapping[str, str]
    shared: tuple[str, ...]
    transistors: tuple[Transistor, ...]
    draws: tuple[Draw, ...]
    settings: tuple[Setting, ...]
    excitable: tuple[str, ...]
    analyses: tuple[Analysis, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """How one metric is read off the waveforms, or computed from other metrics.

    An option of its measure is a word, a formula for a number, or one with vectors: another signal.
    """

    name: str
    analysis: str | None
    signal: Expression | None
    measure: str
    options: Mapping[str, Expression | str]
    formula: Expression | None

    @property
    def numbers(self) -> dict[str, Expression]:
        """The options that are numbers."""
        given = self.options.items()
        return {k: v for k, v in given if not isinstance(v, str) and not v.vectors}

    @property
    def signals(self) -> dict[str, Expression]:
        """The options that are other signals of the analysis."""
        return {k: v for k, v in self.options.items() if not isinstance(v, str) and v.vectors}


@dataclass(frozen=True, slots=True)
class Gate:
    """`low <= signal <= high`, or the metrics it kills do not exist."""

    description: str
    analysis: str
    signal: Expression
    low: Expression | None
    high: Expression | None
    kills: tuple[str, ...]

    def is_fatal(self, program: Program) -> bool:
        """Whether nothing is left to measure when it does not hold."""
        return len(self.kills) == len(program.metrics)


@dataclass(frozen=True, slots=True)
class Program:
    """All that a worker needs to simulate designs of one circuit on one PDK corner.

    `area` is the sum of W·L·M and of capacitor and resistor areas, in m².
    """

    name: str
    parameters: tuple[str, ...]
    conditions: Mapping[str, float]
    decks: tuple[Deck, ...]
    metrics: tuple[Metric, ...]
    gates: tuple[Gate, ...]
    area: Expression
    key: str = field(default="")


def netlist(deck: Deck, models: Mapping[str, str], initial: Sequence[float]) -> tuple[str, ...]:
    """The deck as text for ngspice: the model name of each binned device, and `initial_values`."""
    voltage = iter(initial)

    def filled(line: str) -> str:
        if line.startswith(INITIAL):
            return _VALUE.sub(lambda _: repr(next(voltage)), line)
        return _PLACE.sub(lambda m: models[m[1]], line) if "{" in line else line

    title, *rest = deck.template
    cards = (deck.models[name] for name in sorted({*models.values(), *deck.shared}))
    return title, *cards, *map(filled, rest)


def initial_values(deck: Deck, scope: Mapping[str, float]) -> tuple[float, ...]:
    """The voltages in V of the formulas of the deck's `.ic`, in order; none where it has no formula."""
    lines = [line for line in deck.template if line.startswith(INITIAL)]
    formulas = tuple(Expression(text) for line in lines for text in _VALUE.findall(line))
    return tuple(evaluate_all(formulas, scope)) if formulas else ()


def setting_values(deck: Deck, scope: Mapping[str, float]) -> list[float]:
    """Every value of every setting, in order."""
    return evaluate_all(tuple(v for s in deck.settings for v in s.values), scope)


def model_names(deck: Deck, scope: Mapping[str, float]) -> dict[str, str]:
    """Element -> the model card that its size needs. Raises NoCard, with its name, for none."""
    size = iter(evaluate_all(tuple(e for t in deck.transistors for e in (t.w, t.l)), scope))
    names: dict[str, str] = {}
    for transistor in deck.transistors:
        try:
            names[transistor.element] = transistor.device.model(next(size), next(size))
        except NoCard as error:
            raise NoCard(f"{transistor.element.rpartition('.')[2][1:]}: {error}") from None
    return names
