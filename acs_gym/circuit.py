"""A circuit folder as a record: `circuit.toml`, `dut.spice`, `bench_*.spice`, `reference.toml`.

Everything about a circuit is data, so anyone can add one without touching Python; this module
validates it at the door and names file and field when something is wrong. What the numbers mean
to the simulator is decided in `simulation/deck.py`.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)  # fmt: skip

from acs_gym.design import Design, DesignSpace, InvalidDesign, Parameter
from acs_gym.expressions import Expression, ExpressionError
from acs_gym.simulation.measure import MEASURES
from acs_gym.simulation.netlist import Bench, Dut, NetlistError, read_bench, read_dut
from acs_gym.specs import Direction, InvalidSpec, Spec, SpecSheet
from acs_gym.tiers import TIERS, TierKind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
_REFERENCES = TypeAdapter(dict[str, dict[TierKind, dict[str, float]]])
TaskId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9]+-v\d+$")]


class CircuitError(ValueError):
    """A circuit folder that cannot be used; the message names file, field and what is expected."""


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
    """One ngspice analysis. `excite` names the sources whose AC magnitude is 1; the others are 0."""

    name: Name
    command: Annotated[str, StringConstraints(pattern=r"^(op|ac|noise|tran|dc)\b[\w\s.(){}+*/-]*$")]
    excite: tuple[str, ...] = ()


class BenchEntry(_Record):
    netlist: Annotated[str, StringConstraints(pattern=r"^bench_[a-z0-9_]+\.spice$")]
    analysis: tuple[AnalysisEntry, ...] = Field(min_length=1)


class MetricEntry(_Record):
    """One metric: `measure(sweep, signal, **options)` on an analysis, or arithmetic on metrics."""

    name: Name
    unit: str = ""
    description: str
    analysis: Name | None = None
    signal: str = ""
    measure: str = "value"
    options: dict[str, float | str] = {}
    formula: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> MetricEntry:
        if bool(self.formula) == bool(self.analysis):
            raise ValueError(f"metric {self.name}: give either analysis + signal or formula")
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
    """One spec; `tiers` are those it is asked in."""

    metric: Name
    direction: Direction
    target: float
    tolerance: PositiveFloat | None = None
    weight: PositiveFloat = 1.0
    tiers: tuple[TierKind, ...] = Field(default=TIERS, min_length=1)


class TierEntry(_Record):
    """A tier beside `tt` that the circuit ships a reference for, and what it asks there."""

    targets: dict[str, float] = {}


class PdkEntry(_Record):
    """What physics makes different on one PDK."""

    conditions: dict[str, float] = {}
    targets: dict[str, float] = {}
    parameters: dict[str, dict[str, float]] = {}
    tier: dict[TierKind, TierEntry] = {}


class CircuitFile(_Record):
    id: TaskId
    title: str
    description: str
    split: Literal["training", "held-out", "custom"] = "custom"
    figure_of_merit: Name | None = None
    conditions: dict[str, float] = Field(min_length=1)
    parameter: tuple[ParameterEntry, ...] = Field(min_length=1)
    bench: tuple[BenchEntry, ...] = Field(min_length=1)
    metric: tuple[MetricEntry, ...] = Field(min_length=1)
    gate: tuple[GateEntry, ...] = ()
    spec: tuple[SpecEntry, ...] = Field(min_length=1)
    tier: dict[TierKind, TierEntry] = {}
    pdk: dict[str, PdkEntry] = Field(min_length=1)


class Circuit(_Record):
    """A validated circuit folder.

    Attributes:
        name: the folder's name, e.g. `opamp`.
        file: the parsed `circuit.toml`.
        dut: the parsed `dut.spice`.
        benches: parsed testbenches, in the order of `file.bench`.
        references: per PDK and tier, a sizing that meets every spec.
        digest: sha256 over every file of the folder that matters.
    """

    name: str
    folder: Path
    file: CircuitFile
    dut: Dut
    benches: tuple[Bench, ...]
    references: dict[str, dict[TierKind, Design]]
    digest: str

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
        overrides = self._pdk(pdk).parameters
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
        try:
            return self.file.pdk[pdk]
        except KeyError:
            raise CircuitError(
                f"{self.id} has no sizing on PDK {pdk!r}; it supports: {', '.join(self.file.pdk)}"
            ) from None


def load_circuit(folder: Path) -> Circuit:
    """Read and check a circuit folder. Raises CircuitError with file and field."""
    raw = _toml(folder / "circuit.toml")
    try:
        file = CircuitFile.model_validate(raw)
    except ValidationError as error:
        raise CircuitError(f"{folder / 'circuit.toml'}: {_problems(error)}") from None
    try:
        dut = read_dut(folder / "dut.spice")
        benches = tuple(read_bench(folder / b.netlist, dut) for b in file.bench)
    except NetlistError as error:
        raise CircuitError(str(error)) from None
    circuit = Circuit(
        name=folder.name, folder=folder, file=file, dut=dut, benches=benches,
        references=_references(folder / "reference.toml"), digest=_digest(folder, file),
    )  # fmt: skip
    _check(circuit)
    return circuit


def _check(circuit: Circuit) -> None:
    """Everything that refers to something else must refer to something that exists."""
    where = circuit.folder / "circuit.toml"
    file = circuit.file
    analyses = {a.name for b in file.bench for a in b.analysis}
    metrics = [m.name for m in file.metric]
    for metric in file.metric:
        if metric.analysis is not None and metric.analysis not in analyses:
            raise CircuitError(f"{where}: metric {metric.name}: no analysis {metric.analysis!r}")
    for gate in file.gate:
        if gate.analysis not in analyses:
            raise CircuitError(f"{where}: gate {gate.description!r}: no analysis {gate.analysis!r}")
        if not gate.kills:
            raise CircuitError(f"{where}: gate {gate.description!r}: kills nothing")
        if gate.kills != "all" and (unknown := [k for k in gate.kills if k not in metrics]):
            raise CircuitError(
                f"{where}: gate {gate.description!r}: kills unknown metrics {unknown}"
            )
    if unknown := [s.metric for s in file.spec if s.metric not in (*metrics, "area")]:
        raise CircuitError(f"{where}: spec on unknown metric {', '.join(unknown)}")
    for pdk in file.pdk:
        try:
            space, conditions = circuit.space(pdk), circuit.conditions(pdk)
            references = circuit.references.get(pdk, {})
            if missing := {*file.pdk[pdk].tier, *references} - set(circuit.tiers):
                tier = sorted(missing)[0]
                raise ValueError(f"tier {tier} has no [tier.{tier}] table")
            for tier in circuit.tiers:
                circuit.specs(pdk, tier)
            for design in references.values():
                space.canonicalize(design)
        except (ValueError, InvalidSpec, InvalidDesign, TypeError) as error:
            raise CircuitError(f"{where}: pdk {pdk}: {error}") from None
        known = {*space.names, *conditions}
        if "temperature" not in conditions:
            raise CircuitError(f"{where}: conditions: needs temperature = 27.0 (in °C)")
        for primitive in circuit.dut.primitives:
            for expression in primitive.parameters.values():
                _check_names(expression, known, primitive.where)
    for metric in file.metric:
        for text in (metric.signal, metric.formula):
            if text:
                try:
                    Expression(text)
                except ExpressionError as error:
                    raise CircuitError(f"{where}: metric {metric.name}: {error}") from None


def _check_names(expression: Expression, known: set[str], where: str) -> None:
    if unknown := [n for n in expression.names if n not in known]:
        raise CircuitError(
            f"{where}: {unknown[0]!r} is neither a parameter nor a condition; "
            f"known: {', '.join(sorted(known))}"
        )


def _references(path: Path) -> dict[str, dict[TierKind, Design]]:
    """`[sky130.tt]`, `[sky130.pvt]`, ...: one table of parameters each."""
    try:
        return _REFERENCES.validate_python(_toml(path))
    except ValidationError as error:
        raise CircuitError(f"{path}: {_problems(error)}; expected [PDK.TIER] tables") from None


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
    )


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise CircuitError(f"{path}: no such file; a circuit folder needs it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CircuitError(f"{path}: {error}") from None


def _digest(folder: Path, file: CircuitFile) -> str:
    digest = hashlib.sha256()
    for name in ("circuit.toml", "dut.spice", *(b.netlist for b in file.bench)):
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()
