"""A circuit folder as a record: `circuit.toml`, `dut.spice`, `bench_*.spice`, `reference.toml`,
and `targets.json` where there is one.

Everything about a circuit is data, so anyone can add one without touching Python. This module says what
form the data has; `circuit_consistency` whether its parts fit together, and `circuit_reading` makes the
record of a folder. What the numbers mean to the simulator is decided in `simulation/deck.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    StringConstraints,
    model_validator,
)  # fmt: skip

from acs_gym.circuit_files import Problem
from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.pdks import get_pdk, pdk_names
from acs_gym.simulation.measures import MEASURES
from acs_gym.simulation.netlist import Bench, Dut
from acs_gym.specs import Direction, Spec, SpecSheet
from acs_gym.targets import AnchorTable
from acs_gym.tiers import TIERS, TierKind

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
# Of each kind of table; beyond it nobody reads the file that says so.
_MOST = 200
_Numbers = dict[Name, FiniteFloat]
# To learn from; to ask what was learnt; anybody's own.
CircuitSplit = Literal["training", "held-out", "custom"]
TaskId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9]+-v\d+$")]


class CircuitError(ValueError):
    """A circuit folder that cannot be used; the message names file, line, field and what is expected.

    `problems` are all that was found wrong with the folder; the message is about the first.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=True
    )


class ParameterEntry(_Record):
    name: Name
    unit: str = ""
    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    step: PositiveFloat | None = None
    integer: bool = False
    description: str


class AnalysisEntry(_Record):
    """One analysis. `excite` names the sources whose AC magnitude is 1; the others are 0.

    All but `loop` are ngspice's own; `loop SOURCE dec N FSTART FSTOP` is the loop gain at a
    zero-volt source in the feedback wire (`simulation/loop.py`). A transient with a `trtol` above the
    usual one leaves its steps to the longest that its command allows.
    """

    name: Name
    command: Annotated[
        str, StringConstraints(pattern=r"^(op|ac|loop|noise|tran|dc)( [A-Za-z0-9_ .(){}+*/-]*)?$")
    ]
    excite: tuple[str, ...] = ()
    trtol: Annotated[PositiveFloat, Field(le=100)] | None = None


class BenchEntry(_Record):
    netlist: Annotated[str, StringConstraints(pattern=r"^bench_[a-z0-9_]+\.spice$")]
    analysis: tuple[AnalysisEntry, ...] = Field(min_length=1, max_length=_MOST)


class MetricEntry(_Record):
    """One metric: `measure(sweep, signal, **options)` on an analysis, or arithmetic on metrics.

    Instead of a signal, `saturated` names transistors of the circuit: the metric is then the least
    Vds/Vdsat among them in that operating point, 1 where the first of them leaves saturation.
    """

    name: Name
    unit: str = ""
    description: str
    analysis: Name | None = None
    signal: str = ""
    saturated: tuple[str, ...] = ()
    measure: str = "value"
    options: dict[str, float | str] = {}
    formula: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> MetricEntry:
        if bool(self.formula) == bool(self.analysis):
            raise ValueError(f"metric {self.name}: give either analysis + signal or formula")
        if self.saturated and (self.signal or self.formula):
            raise ValueError(f"metric {self.name}: saturated stands instead of a signal")
        if self.measure not in MEASURES:
            raise ValueError(
                f"metric {self.name}: measure {self.measure!r} is not one of: {', '.join(MEASURES)}"
            )
        return self


class GateEntry(_Record):
    """A condition without which metrics do not exist; `low <= signal <= high` must hold.

    `kills` names them, or is `all` for a circuit that is dead without it: not even its power counts.
    """

    description: str
    analysis: Name
    signal: str
    low: float | str = float("-inf")
    high: float | str = float("inf")
    kills: tuple[str, ...] | Literal["all"]


class SpecEntry(_Record):
    """One spec; `tiers` are those it is asked in. Sampled targets keep that of a `fixed` one."""

    metric: Name
    direction: Direction
    target: FiniteFloat
    tolerance: PositiveFloat | None = None
    weight: PositiveFloat = 1.0
    fixed: bool = False
    tiers: tuple[TierKind, ...] = Field(default=TIERS, min_length=1)


class TierEntry(_Record):
    """A tier beside `tt` that the circuit ships a reference for, and what it asks there."""

    targets: _Numbers = {}


class PdkEntry(_Record):
    """What physics makes different on one PDK."""

    conditions: _Numbers = {}
    targets: _Numbers = {}
    parameters: dict[Name, dict[Literal["low", "high", "step"], float]] = {}
    tier: dict[TierKind, TierEntry] = {}


class CircuitFile(_Record):
    id: TaskId
    title: str
    description: str
    split: CircuitSplit = "custom"
    figure_of_merit: Name | None = None
    leaves_out: str = ""
    conditions: _Numbers = Field(min_length=1, max_length=_MOST)
    parameter: tuple[ParameterEntry, ...] = Field(min_length=1, max_length=_MOST)
    bench: tuple[BenchEntry, ...] = Field(min_length=1, max_length=_MOST)
    metric: tuple[MetricEntry, ...] = Field(min_length=1, max_length=_MOST)
    gate: tuple[GateEntry, ...] = Field(default=(), max_length=_MOST)
    spec: tuple[SpecEntry, ...] = Field(min_length=1, max_length=_MOST)
    tier: dict[TierKind, TierEntry] = {}
    pdk: dict[Name, PdkEntry] = Field(min_length=1, max_length=_MOST)


class Circuit(_Record):
    """A validated circuit folder.

    Attributes:
        name: the folder's name, e.g. `opamp`.
        file: the parsed `circuit.toml`.
        dut: the parsed `dut.spice`.
        benches: parsed testbenches, in the order of `file.bench`.
        references: per PDK and tier, a sizing that meets every spec.
        anchors: per PDK, the designs that targets can be drawn from.
        kit: the bench kit that `circuit.toml` names; empty where it names none.
        netlists: the text of every testbench, by its file's name, be it the folder's own or the kit's.
    """

    name: str
    folder: Path
    file: CircuitFile
    dut: Dut
    benches: tuple[Bench, ...]
    references: dict[str, dict[TierKind, Design]]
    anchors: dict[str, AnchorTable]
    kit: str = ""
    netlists: dict[str, str] = {}

    @property
    def id(self) -> str:
        return self.file.id

    @property
    def tiers(self) -> tuple[TierKind, ...]:
        """The tiers the circuit is proved in; it can be simulated in any."""
        return tuple(t for t in TIERS if t == "tt" or t in self.file.tier)

    def reference(self, pdk: str, tier: TierKind = "tt") -> Design | None:
        """A sizing that meets every fixed spec there, in SI units, or None when none is shipped."""
        return self.references.get(pdk, {}).get(tier)

    def space(self, pdk: str) -> DesignSpace:
        """The design space on a PDK (its overrides applied)."""
        overrides: dict[str, dict[str, Any]] = {
            name: {str(key): number for key, number in numbers.items()}
            for name, numbers in self._pdk(pdk).parameters.items()
        }
        return DesignSpace(
            tuple(
                Parameter(**(entry.model_dump() | overrides.get(entry.name, {})))
                for entry in self.file.parameter
            )
        )

    def specs(self, pdk: str, tier: TierKind = "tt") -> SpecSheet:
        """The fixed spec sheet in a tier on a PDK.

        Its targets are the spec's own, then the tier's, then the PDK's, then the PDK's in that tier.
        """
        units = {m.name: m.unit for m in self.file.metric} | {"area": "m^2"}
        sheet = SpecSheet(
            tuple(
                Spec(**s.model_dump(exclude={"tiers"}), unit=units[s.metric])
                for s in self.file.spec
                if tier in s.tiers
            )
        )
        on_pdk = self._pdk(pdk)
        targets: dict[str, float] = {}
        for entry in (self.file.tier.get(tier), on_pdk, on_pdk.tier.get(tier)):
            targets |= entry.targets if entry is not None else {}
        # A target may stand on a spec that this tier does not ask.
        everywhere = {s.metric for s in self.file.spec} - set(sheet.metrics)
        return sheet.with_targets({m: t for m, t in targets.items() if m not in everywhere})

    def conditions(self, pdk: str) -> dict[str, float]:
        return {**self.file.conditions, **self._pdk(pdk).conditions}

    def _pdk(self, pdk: str) -> PdkEntry:
        tables = self.file.pdk
        if pdk in tables:
            return tables[pdk]
        if pdk in pdk_names() and (like := get_pdk(pdk).like) in tables:
            return tables[like]
        raise CircuitError(
            f"{self.id} has no sizing on PDK {pdk!r}; it supports: {', '.join(self.file.pdk)}"
        )
