"""From a designer's knobs to a design and back, for one task and plan.

Knobs are what a designer decides: currents, multipliers, lengths, capacitors, and for each part of the
circuit its inversion coefficient (`ic_<part>`) and each cascode's room (`room_<part>`, V). Widths and the
lengths of cascode diodes follow from them through the gm/Id method; a `Calibration` is what operating
points have taught of the technology. With one calibration, knobs and design say the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from acs_gym.design import Design
from acs_gym.expressions import Expression
from acs_gym.simulation.netlist import Primitive
from acs_gym.task import Task
from agents.scripted.gm_id import (
    HIGHEST_EFFICIENCY,
    TECHNOLOGY_CURRENT,
    inversion,
    inversion_at,
    overdrive,
    saturation_voltage,
)
from agents.scripted.notebook import Point, as_written
from agents.scripted.plans import Plan, Shift

Knobs = Mapping[str, float]
_IC_RANGE = (0.03, 100.0)
_ROOM_RANGE = (5e-3, 0.4)
_OFF_RANGE = (-0.5, 0.5)
# Coordinates of a range that a logarithm cannot measure: as many as two decades have, roughly.
_RANGE = 4.0
# A cascode's source is above its diode's, and so is its threshold.
_BODY_EFFECT_V = 0.05
# What a measured technology current may differ from the typical one; beyond is no sane operating point.
_BELIEVED = 8.0
# On the inversion coefficient of a part that has to leave its neighbour room.
_RELIEF = 0.5


@dataclass(frozen=True, slots=True)
class Calibration:
    """Technology currents (A) by part or diode, and the V by which each room was off the model's."""

    currents: Mapping[str, float] = field(default_factory=dict)
    rooms: Mapping[str, float] = field(default_factory=dict)


class Sizing:
    """The arithmetic of one plan on one task. Raises ValueError for a plan of another circuit."""

    def __init__(self, task: Task, plan: Plan) -> None:
        self.task, self.plan = task, plan
        self._devices: dict[str, Primitive] = {p.name: p for p in task.circuit.dut.primitives}
        wanted = [r.device for r in plan.roles]
        wanted += [d for s in plan.shifts for d in (s.device, s.protects)]
        if strangers := [d for d in wanted if d not in self._devices]:
            raise ValueError(f"{task.id} has no device called {', '.join(strangers)}")
        lengths = {
            e.text
            for p in self._devices.values()
            for name, e in p.parameters.items()
            if name == "l" and e.text in task.space.names
        }
        shortest = min((task.space[n].low for n in lengths), default=0.15e-6)
        self._known = {
            "l_min": shortest,
            **task.program.conditions,
            **task.specs.targets,
        }
        self._first = {role.part: role for role in reversed(plan.roles)}
        scope = dict(self._known)
        self.start: dict[str, float] = {}
        for name, formula in plan.start.items():
            scope[name] = float(Expression(formula)(scope))
            if name in task.space.names:
                self.start[name] = self._limited(name, scope[name])
            elif name.startswith("gm_id_"):
                reached = min(scope[name], 0.95 * HIGHEST_EFFICIENCY)
                self.start["ic_" + name.removeprefix("gm_id_")] = inversion(reached)
            elif name.startswith("room_"):
                self.start[name] = scope[name]

    def part_of(self, knob: str) -> str:
        """The part whose inversion coefficient a knob is, or nothing."""
        part = knob.removeprefix("ic_")
        return part if part != knob and part in self._first else ""

    def coordinate(self, knob: str, value: float) -> float:
        """Where a value of a knob is: its logarithm, or four units over a range that touches zero."""
        low, high = self._bounds(knob)
        if low > 0:
            return math.log(value)
        return _RANGE * (value - low) / (high - low)

    def value(self, knob: str, coordinate: float) -> float:
        """The knob's value at a coordinate, within its range."""
        low, high = self._bounds(knob)
        if low > 0:
            return _within(math.exp(coordinate), (low, high))
        return _within(low + coordinate / _RANGE * (high - low), (low, high))

    def limits(self, knob: str) -> tuple[float, float]:
        """The coordinates of a knob's range."""
        low, high = self._bounds(knob)
        return self.coordinate(knob, low), self.coordinate(knob, high)

    def _bounds(self, knob: str) -> tuple[float, float]:
        if knob in self.task.space.names:
            parameter = self.task.space[knob]
            return parameter.low, parameter.high
        return _IC_RANGE if self.part_of(knob) else _ROOM_RANGE

    def design(self, knobs: Knobs, calibration: Calibration) -> Design:
        """The design of these knobs, on the grid, within the ranges, as it can be written down."""
        space = self.task.space
        values = {n: space[n].snap(v) for n, v in knobs.items() if n in space.names}
        scope = self._known | values
        for role in self.plan.roles:
            width = self._name(role.device, "w")
            ic = knobs["ic_" + role.part]
            unit = self._current(calibration, role.part) * ic * self._of(role.device, "m", scope)
            ratio = _of(role.current, scope) / unit
            values[width] = self._limited(width, ratio * self._of(role.device, "l", scope))
        for shift in self.plan.shifts:
            length = self._name(shift.device, "l")
            ic = inversion_at(
                overdrive(knobs["ic_" + shift.cascode])
                + saturation_voltage(knobs["ic_" + shift.part])
                + knobs["room_" + shift.part]
                + calibration.rooms.get(shift.part, _BODY_EFFECT_V)
            )
            strength = _of(shift.current, scope) / (self._current(calibration, shift.device) * ic)
            values[length] = self._limited(length, self._of(shift.device, "w", scope) / strength)
        middle = space.from_unit([0.5] * len(space))
        return as_written(self.task, middle | values)

    def knobs(self, design: Design, calibration: Calibration) -> dict[str, float]:
        """The knobs of a design; what `design` maps back, but for what is out of range or grid."""
        scope = self._known | design
        found = {n: design[n] for n in self.start if n in design}
        for part in self._first:
            found["ic_" + part] = self._ic(part, scope, calibration)
        for shift in self.plan.shifts:
            room = self._shift_overdrive(shift, scope, calibration) - (
                overdrive(found["ic_" + shift.cascode])
                + saturation_voltage(found["ic_" + shift.part])
                + calibration.rooms.get(shift.part, _BODY_EFFECT_V)
            )
            found["room_" + shift.part] = _within(room, _ROOM_RANGE)
        return {n: found[n] for n in self.start}

    def calibrate(
        self, design: Design, points: Mapping[str, Point], before: Calibration
    ) -> Calibration:
        """What the operating point of a design says of the technology; `before` where it says nothing."""
        scope = self._known | design
        currents, rooms = dict(before.currents), dict(before.rooms)
        diodes = {shift.device: shift.device for shift in self.plan.shifts}
        parts = {part: role.device for part, role in self._first.items()}
        for key, device in (parts | diodes).items():
            point = points.get(device.lower())
            if point is None or not point.saturated or not 0 < point.gm_id < HIGHEST_EFFICIENCY:
                continue
            squares = self._of(device, "w", scope) / self._of(device, "l", scope)
            squares *= self._of(device, "m", scope)
            measured = point.id / (squares * inversion(point.gm_id))
            typical = TECHNOLOGY_CURRENT[self._devices[device].kind]
            currents[key] = _within(measured, (typical / _BELIEVED, typical * _BELIEVED))
        found = Calibration(currents, {})
        for shift in self.plan.shifts:
            protected = points.get(shift.protects.lower())
            if protected is None:
                continue
            off = (
                self._shift_overdrive(shift, scope, found)
                - overdrive(self._ic(shift.cascode, scope, found))
                - saturation_voltage(self._ic(shift.part, scope, found))
                - protected.room
            )
            rooms[shift.part] = _within(off, _OFF_RANGE)
        return Calibration(currents, rooms)

    def relieved(self, knobs: Knobs, points: Mapping[str, Point]) -> dict[str, float]:
        """The knobs with less overdrive where a device was squeezed into the triode region."""
        found = dict(knobs)
        for role in self.plan.roles:
            point = points.get(role.device.lower())
            if point is not None and not point.saturated:
                for part in role.relief:
                    found["ic_" + part] = _within(found["ic_" + part] * _RELIEF, _IC_RANGE)
        return found

    def _ic(self, part: str, scope: Mapping[str, float], calibration: Calibration) -> float:
        role = self._first[part]
        squares = self._of(role.device, "w", scope) / self._of(role.device, "l", scope)
        squares *= self._of(role.device, "m", scope)
        current = _of(role.current, scope)
        return _within(current / (squares * self._current(calibration, part)), _IC_RANGE)

    def _shift_overdrive(
        self, shift: Shift, scope: Mapping[str, float], calibration: Calibration
    ) -> float:
        squares = self._of(shift.device, "w", scope) / self._of(shift.device, "l", scope)
        current = self._current(calibration, shift.device)
        return overdrive(_of(shift.current, scope) / (squares * current))

    def _current(self, calibration: Calibration, key: str) -> float:
        device = self._first[key].device if key in self._first else key
        typical = TECHNOLOGY_CURRENT[self._devices[device].kind]
        return calibration.currents.get(key, typical)

    def _name(self, device: str, quantity: str) -> str:
        return self._devices[device].parameters[quantity].text

    def _of(self, device: str, quantity: str, scope: Mapping[str, float]) -> float:
        formula = self._devices[device].parameters.get(quantity)
        return 1.0 if formula is None else float(formula(scope))

    def _limited(self, name: str, value: float) -> float:
        parameter = self.task.space[name]
        return parameter.snap(value if math.isfinite(value) else parameter.high)


def _of(formula: str, scope: Mapping[str, float]) -> float:
    # A formula that divides currents up may leave nothing for a branch.
    return max(float(Expression(formula)(scope)), 1e-9)


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])
