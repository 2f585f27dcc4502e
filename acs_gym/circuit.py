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
    ValidationError,
    model_validator,
)  # fmt: skip

from acs_gym.design import Design, DesignSpace, InvalidDesign, Parameter
from acs_gym.expressions import Expression, ExpressionError
from acs_gym.simulation.measure import MEASURES
from acs_gym.simulation.netlist import Bench, Dut, NetlistError, read_bench, read_dut
from acs_gym.specs import InvalidSpec, Spec, SpecSheet

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
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
    """A condition without which some metrics do not exist; `low <= signal <= high` must hold."""

    description: str
    analysis: Name
    signal: str
    low: float | str = float("-inf")
    high: float | str = float("inf")
    kills: tuple[str, ...] = Field(min_length=1)


class SpecEntry(_Record):
    metric: Name
    direction: Literal[">=", "<="]
    target: float
    tolerance: PositiveFloat | None = None
    weight: PositiveFloat = 1.0


class PdkEntry(_Record):
    """What physics makes different on one PDK."""

    conditions: dict[str, float] = {}
    targets: dict[str, float] = {}
    parameters: dict[str, dict[str, float]] = {}


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
    pdk: dict[str, PdkEntry]


class Circuit(_Record):
    """A validated circuit folder.

    Attributes:
        name: the folder's name, e.g. `opamp`.
        file: the parsed `circuit.toml`.
        dut: the parsed `dut.spice`.
        benches: parsed testbenches, in the order of `file.bench`.
        references: per PDK, a sizing that meets every spec.
        digest: sha256 over every file of the folder that matters.
    """

    name: str
    folder: Path
    file: CircuitFile
    dut: Dut
    benches: tuple[Bench, ...]
    references: dict[str, Design]
    digest: str

    @property
    def id(self) -> str:
        return self.file.id

    def space(self, pdk: str) -> DesignSpace:
        """The design space on a PDK (its overrides applied)."""
        overrides = self._pdk(pdk).parameters
        return DesignSpace(
            tuple(
                Parameter(**(entry.model_dump() | overrides.get(entry.name, {})))
                for entry in self.file.parameter
            )
        )

    def specs(self, pdk: str) -> SpecSheet:
        """The fixed spec sheet on a PDK (its targets applied)."""
        units = {m.name: m.unit for m in self.file.metric}
        sheet = SpecSheet(
            tuple(Spec(**s.model_dump(), unit=units[s.metric]) for s in self.file.spec)
        )
        return sheet.with_targets(self._pdk(pdk).targets)

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
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        )
        raise CircuitError(f"{folder / 'circuit.toml'}: {problems}") from None
    try:
        dut = read_dut(folder / "dut.spice")
        benches = tuple(read_bench(folder / b.netlist, dut) for b in file.bench)
    except NetlistError as error:
        raise CircuitError(str(error)) from None
    references = {
        pdk: {k: float(v) for k, v in values.items()}
        for pdk, values in _toml(folder / "reference.toml").items()
    }
    circuit = Circuit(
        name=folder.name, folder=folder, file=file, dut=dut, benches=benches,
        references=references, digest=_digest(folder, file),
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
        if unknown := [k for k in gate.kills if k not in metrics]:
            raise CircuitError(
                f"{where}: gate {gate.description!r}: kills unknown metrics {unknown}"
            )
    if unknown := [s.metric for s in file.spec if s.metric not in (*metrics, "area")]:
        raise CircuitError(f"{where}: spec on unknown metric {', '.join(unknown)}")
    for pdk in file.pdk:
        try:
            space, conditions = circuit.space(pdk), circuit.conditions(pdk)
            circuit.specs(pdk)
            if pdk in circuit.references:
                space.canonicalize(circuit.references[pdk])
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
