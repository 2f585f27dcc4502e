"""What a designer knows of a circuit before simulating it, as data.

A plan says how the specs lead to a first design, which device plays which part, and which knob moves
which metric. It holds round numbers and proportionalities from the circuit's equations, and nothing of a
sizing that is known to work.

Formulas are `acs_gym.expressions` over the targets of the specs (by metric), the circuit's conditions,
the technology's shortest channel (`l_min`) and the names before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Effects = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Role:
    """Matched devices that share a width and an operating point.

    Attributes:
        device: one of them, by its name in the netlist.
        current: formula of its drain current, A, all its multiples together.
        part: names its knobs: `gm_id_<part>` in `start`, `gm_id_<part>` and `w_<part>` in `effects`.
            Two roles of one part have the same gm/Id, and the first device is looked at.
        relief: parts that give the device room when it is in the triode region, by a higher gm/Id.
    """

    device: str
    current: str
    part: str
    relief: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """A diode that sets the gate voltage of a cascode, by its length at a fixed width.

    Attributes:
        device: the diode.
        current: formula of its drain current, A.
        cascode: the part whose gate it sets.
        protects: the device behind the cascode, which it keeps in saturation.
        part: the part of that device. `room_<part>` in `start` is how far from the triode region, V.
    """

    device: str
    current: str
    cascode: str
    protects: str
    part: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How to size one circuit by hand.

    Attributes:
        start: formula of each knob of the first design, and of what they follow from, in order.
        roles, shifts: what the widths, and the lengths of cascode diodes, follow from.
        effects: metric -> knob -> the metric's exponent of the knob. For a metric in dB that of the
            amplitude behind it; in other units with a tolerance (degrees), the change per factor e.
            `w_<part>` is the width at constant current, for what capacitance does.
    """

    start: Mapping[str, str]
    roles: tuple[Role, ...] = ()
    shifts: tuple[Shift, ...] = ()
    effects: Effects = field(default_factory=dict)
