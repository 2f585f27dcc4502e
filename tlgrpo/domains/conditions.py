"""A circuit at another supply or load than its folder's: for training on more than was drawn up.

The circuit, its ranges and specs stay; the named conditions that the benches are simulated at change,
as they do over the corners of the tier `pvt`. It is another problem, with other designs that solve it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acs_gym.design import Design
from acs_gym.simulation.pool import Job
from acs_gym.task import Task


@dataclass(frozen=True, slots=True, order=True)
class Conditions:
    """What a circuit's own conditions are multiplied by.

    Attributes:
        supply: of `vdd`.
        load: of every capacitance outside the circuit (`c_load`, `c_light`, ...).
    """

    supply: float = 1.0
    load: float = 1.0

    @property
    def name(self) -> str:
        """`supply0.9-load2`; empty for the circuit's own."""
        parts = (("supply", self.supply), ("load", self.load))
        return "-".join(f"{what}{factor:g}" for what, factor in parts if factor != 1.0)

    def changed(self, task: Task) -> dict[str, float]:
        """The named conditions that differ from the circuit's."""
        given = task.program.conditions
        found = {}
        if self.supply != 1.0 and "vdd" in given:
            found["vdd"] = given["vdd"] * self.supply
        if self.load != 1.0:
            found |= {k: v * self.load for k, v in given.items() if k.startswith("c_")}
        return found

    def given(self, task: Task) -> dict[str, float]:
        """Every named condition."""
        return {**task.program.conditions, **self.changed(task)}

    def job(self, task: Task, design: Design) -> Job:
        """What to simulate; `design` must be canonical."""
        return replace(task.job(design), conditions=self.changed(task))


OWN = Conditions()
