"""Whether the parts of a circuit folder fit together: what refers to something, refers to something.

Every problem is found, not only the first; the form of each file has been checked before. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from acs_gym.circuit import AnalysisEntry, Circuit, MetricEntry
from acs_gym.circuit_files import Location, Problem, TomlFile
from acs_gym.design import InvalidDesign, Parameter
from acs_gym.expressions import Expression, ExpressionError
from acs_gym.pdks import pdk_names, signatures
from acs_gym.simulation.measures import MEASURES, Option, options_of
from acs_gym.simulation.netlist import expressions_in
from acs_gym.specs import Spec
from acs_gym.wording import did_you_mean

_AREA = "area"
_MEANT = ", did you mean {}?"


def inconsistencies(circuit: Circuit, toml: TomlFile, references: TomlFile) -> list[Problem]:
    """What does not fit together in a circuit read from these files."""
    check = _Consistency(circuit, toml, references)
    names, entries = list(check.names()), list(check.entries())
    return [
        *names,
        *check.metrics(),
        *check.gates(),
        *entries,
        *check.analyses(),
        # What is wrong on every PDK is not repeated for each.
        *check.pdks(sound=not (names or entries)),
        *check.netlists(),
    ]


class _Consistency:
    def __init__(self, circuit: Circuit, toml: TomlFile, references: TomlFile) -> None:
        self.circuit, self.toml, self.references = circuit, toml, references
        self.file = circuit.file
        self.analysis_names = [a.name for b in self.file.bench for a in b.analysis]
        self.metric_names = [m.name for m in self.file.metric]
        known = signatures()
        fets = [p.name for p in circuit.dut.primitives if known[p.kind].is_fet]
        self.transistors = tuple(fets)
        # A condition that one PDK alone has is none for a netlist that all share.
        conditions = [set(circuit.conditions(pdk)) for pdk in self.file.pdk]
        self.conditions = set.intersection(*conditions)
        self.known = self.conditions | {p.name for p in self.file.parameter}

    def _problem(self, *location: str | int, message: str) -> Problem:
        return self.toml.problem(*location, message=message)

    def names(self) -> Iterator[Problem]:
        """Names that must be different."""
        for table, names in (
            ("parameter", [p.name for p in self.file.parameter]),
            ("metric", self.metric_names),
            ("spec", [s.metric for s in self.file.spec]),
        ):
            for k, name in enumerate(names):
                # As SPICE has it: names that differ in case alone are the same.
                same = [n for n in names[:k] if n.lower() == name.lower()]
                if same:
                    also = f", beside {same[0]!r}" if same[0] != name else ""
                    message = f"a second {table} called {name!r}{also}"
                    yield self._problem(table, k, message=message)
        for k, name in enumerate(self.metric_names):
            if name == _AREA:
                yield self._problem(
                    "metric", k, "name", message="area is always measured; choose another name"
                )
        seen: list[str] = []
        for location, name in self._analyses():
            if name in seen:
                yield self._problem(*location, message=f"a second analysis called {name!r}")
            seen.append(name)
        figure = self.file.figure_of_merit
        if figure is not None and figure not in (*self.metric_names, _AREA):
            yield self._problem(
                "figure_of_merit", message=_unknown("metric", figure, self._metrics)
            )

    def metrics(self) -> Iterator[Problem]:
        earlier = [m.name for m in self.file.metric if not m.formula]
        for k, metric in enumerate(self.file.metric):
            at: Location = ("metric", k)
            if metric.analysis is not None and metric.analysis not in self.analysis_names:
                message = f"metric {metric.name}: no analysis {metric.analysis!r}"
                yield self._problem(*at, "analysis", message=message)
            for device in metric.saturated:
                if device not in self.transistors:
                    message = f"metric {metric.name}: " + _unknown(
                        "transistor", device, self.transistors
                    )
                    yield self._problem(*at, "saturated", message=message)
            if metric.signal:
                location = (*at, "signal")
                yield from self._expression(
                    metric.signal, self.known, location, f"metric {metric.name}"
                )
            yield from self._options(metric, (*at, "options"))
            if metric.formula:
                scope = {*self.known, *earlier, _AREA}
                location = (*at, "formula")
                yield from self._expression(
                    metric.formula, scope, location, f"metric {metric.name}", vectors=False
                )
                earlier.append(metric.name)

    def gates(self) -> Iterator[Problem]:
        for k, gate in enumerate(self.file.gate):
            what = f"gate {gate.description!r}"
            if gate.analysis not in self.analysis_names:
                message = f"{what}: no analysis {gate.analysis!r}"
                yield self._problem("gate", k, "analysis", message=message)
            if not gate.kills:
                yield self._problem("gate", k, "kills", message=f"{what}: kills nothing")
            if gate.kills != "all" and (
                unknown := [m for m in gate.kills if m not in self.metric_names]
            ):
                message = f"{what}: kills unknown metrics {unknown}"
                yield self._problem("gate", k, "kills", message=message)
            for key, text in (("signal", gate.signal), ("low", gate.low), ("high", gate.high)):
                if isinstance(text, str):
                    vectors = key == "signal"
                    yield from self._expression(
                        text, self.known, ("gate", k, key), what, vectors=vectors
                    )

    def entries(self) -> Iterator[Problem]:
        """Parameters and specs that make no sense by themselves, on whichever PDK."""
        for k, entry in enumerate(self.file.parameter):
            try:
                Parameter(**entry.model_dump())
            except ValueError as error:
                yield self._problem("parameter", k, message=str(error))
        for k, spec in enumerate(self.file.spec):
            try:
                Spec(**spec.model_dump(exclude={"tiers"}))
            except ValueError as error:
                yield self._problem("spec", k, message=str(error))
            if spec.metric not in self._metrics:
                message = "spec on unknown metric: " + _unknown(
                    "metric", spec.metric, self._metrics
                )
                yield self._problem("spec", k, "metric", message=message)

    def analyses(self) -> Iterator[Problem]:
        """Commands use conditions only; what is excited can be."""
        for b, (entry, bench) in enumerate(zip(self.file.bench, self.circuit.benches, strict=True)):
            sources = bench.excitable
            for a, analysis in enumerate(entry.analysis):
                at: Location = ("bench", b, "analysis", a)
                if analysis.command.startswith("loop"):
                    yield from self._loop(analysis, sources, at)
                if analysis.trtol is not None and not analysis.command.startswith("tran"):
                    message = f"analysis {analysis.name} is no transient, and trtol is of those"
                    yield self._problem(*at, "trtol", message=message)
                for text in re.findall(r"\{([^}]*)\}", analysis.command):
                    yield from self._expression(
                        text, self.conditions, (*at, "command"), f"analysis {analysis.name}",
                        vectors=False,
                    )  # fmt: skip
                if unknown := [e for e in analysis.excite if e.lower() not in sources]:
                    message = (
                        f"analysis {analysis.name} excites {', '.join(unknown)}, which is not a "
                        f"source with an 'ac' value; those are: {', '.join(sources) or 'none'}"
                    )
                    yield self._problem(*at, "excite", message=message)

    def _loop(
        self, analysis: AnalysisEntry, sources: Sequence[str], at: Location
    ) -> Iterator[Problem]:
        """A loop gain has a voltage source to be measured at, and excites nothing else."""
        _, probe, *_ = [*analysis.command.lower().split(), ""]
        possible = [s for s in sources if s.startswith("v")]
        if probe not in possible:
            message = (
                f"analysis {analysis.name}: {probe or 'nothing'} is not a voltage source with an "
                f"'ac' value; those are: {', '.join(possible) or 'none'}"
            )
            yield self._problem(*at, "command", message=message)
        if analysis.excite:
            message = f"analysis {analysis.name} excites its own probe; leave excite out"
            yield self._problem(*at, "excite", message=message)

    def pdks(self, *, sound: bool) -> Iterator[Problem]:
        circuit, file = self.circuit, self.file
        if "temperature" not in self.conditions:
            yield self._problem("conditions", message="needs temperature = 27.0 (in °C)")
        for pdk, entry in file.pdk.items():
            if pdk not in pdk_names():
                yield self._problem("pdk", pdk, message=_unknown("PDK", pdk, pdk_names()))
            for name in set(entry.parameters) - {p.name for p in file.parameter}:
                message = f"pdk {pdk}: no parameter {name!r}"
                yield self._problem("pdk", pdk, "parameters", name, message=message)
            for tier in sorted(set(entry.tier) - set(circuit.tiers)):
                message = f"pdk {pdk}: tier {tier} has no [tier.{tier}] table"
                yield self._problem("pdk", pdk, "tier", tier, message=message)
            if not sound:
                continue
            try:
                circuit.space(pdk)
                for tier in circuit.tiers:
                    circuit.specs(pdk, tier)
            except (ValueError, TypeError) as error:
                yield self._problem("pdk", pdk, message=f"pdk {pdk}: {error}")
                continue
            yield from self._references_on(pdk)
        for pdk in sorted(set(circuit.references) - set(file.pdk)):
            message = (
                f"a reference for PDK {pdk!r}, which circuit.toml has no [pdk.{pdk}] table for"
            )
            yield self.references.problem(pdk, message=message)

    def _references_on(self, pdk: str) -> Iterator[Problem]:
        space = self.circuit.space(pdk)
        for tier, design in self.circuit.references.get(pdk, {}).items():
            if tier not in self.circuit.tiers:
                message = f"tier {tier} has no [tier.{tier}] table in circuit.toml"
                yield self.references.problem(pdk, tier, message=message)
            known = {k: v for k, v in design.items() if k in space.names}
            for name in design.keys() - known.keys():
                message = _unknown("parameter", name, space.names)
                yield self.references.problem(pdk, tier, name, message=message)
            middle = space.from_unit([0.5] * len(space))
            for name, value in known.items():
                try:
                    space.canonicalize(middle | {name: value})
                except InvalidDesign as error:
                    yield self.references.problem(pdk, tier, name, message=str(error))
            if missing := [n for n in space.names if n not in design]:
                message = f"missing parameter: {', '.join(missing)}"
                yield self.references.problem(pdk, tier, message=message)

    def netlists(self) -> Iterator[Problem]:
        """Names in the braces of every netlist, and of the circuit's instance."""
        dut = self.circuit.dut
        instance, first = self.circuit.benches[0].instance, self.file.bench[0].netlist
        for entry, bench in zip(self.file.bench, self.circuit.benches, strict=True):
            if bench.instance != instance:
                # A mismatch draw belongs to a device by its full name.
                here = f"the circuit is called {bench.instance} here"
                message = f"{here} and {instance} in {first}; use one name"
                yield Problem(entry.netlist, message)
        for primitive in dut.primitives:
            for expression in primitive.parameters.values():
                yield from self._names(expression, primitive.where)
        for element in (*dut.elements, *(e for b in self.circuit.benches for e in b.elements)):
            for expression in expressions_in(element.value):
                yield from self._names(expression, element.where)
        for bench in self.circuit.benches:
            for voltage in (*bench.nodeset, *bench.ic):
                for expression in expressions_in(voltage.value):
                    yield from self._names(expression, voltage.where, f"v({voltage.node})")

    def _names(self, expression: Expression, where: str, field: str = "") -> Iterator[Problem]:
        for vector in expression.vectors:
            yield Problem(where, f"{vector}: a value may not depend on the simulation", field)
        for name in expression.names:
            if name not in self.known:
                known = ", ".join(sorted(self.known))
                message = f"{name!r} is neither a parameter nor a condition; known: {known}"
                yield Problem(where, message, field)

    def _expression(
        self,
        text: str,
        known: set[str],
        location: Location,
        what: str,
        *,
        vectors: bool = True,
    ) -> Iterator[Problem]:
        try:
            expression = Expression(text)
        except ExpressionError as error:
            yield self._problem(*location, message=f"{what}: {error}")
            return
        if expression.vectors and not vectors:
            message = f"{what}: {expression.vectors[0]} belongs into a signal"
            yield self._problem(*location, message=message)
        for name in expression.names:
            if name not in known:
                message = f"{what}: unknown name {name}" + did_you_mean(name, known, _MEANT)
                yield self._problem(*location, message=message)

    def _options(self, metric: MetricEntry, at: Location) -> Iterator[Problem]:
        taken = {o.name: o for o in options_of(MEASURES[metric.measure])}
        what = f"metric {metric.name}: measure {metric.measure}"
        for name, given in metric.options.items():
            location = (*at, name)
            if name not in taken:
                names = ", ".join(taken) or "no options"
                meant = did_you_mean(name, taken, _MEANT)
                message = f"{what} takes no {name!r}{meant}; it takes: {names}"
                yield self._problem(*location, message=message)
            elif wrong := _wrong_kind(taken[name], given):
                message = f"{what}, option {name}: {wrong}"
                yield self._problem(*location, message=message)
            elif isinstance(given, str) and taken[name].kind != "word":
                yield from self._expression(
                    given, self.known, location, f"metric {metric.name}, option {name}"
                )
        needed = [o for o in taken.values() if o.default is None and o.name not in metric.options]
        if needed:
            write = ", ".join(f"{o.name} = {_example(o)}" for o in needed)
            names = ", ".join(o.name for o in needed)
            message = f"{what} needs {names}; write options = {{ {write} }}"
            yield self._problem(*at, message=message)

    @property
    def _metrics(self) -> tuple[str, ...]:
        return (*self.metric_names, _AREA)

    def _analyses(self) -> Iterator[tuple[Location, str]]:
        for b, bench in enumerate(self.file.bench):
            for a, analysis in enumerate(bench.analysis):
                yield ("bench", b, "analysis", a), analysis.name


def _wrong_kind(option: Option, given: float | str) -> str:
    """Why an option's value is not of its kind, and what to write; empty where it may be."""
    if option.kind == "word":
        words = ", ".join(f'"{w}"' for w in option.words)
        return "" if given in option.words else f"{given!r} is not one of: {words}"
    try:
        vectors = bool(isinstance(given, str) and Expression(given).vectors)
    except ExpressionError:
        return ""  # That it is no expression is another problem.
    if option.kind == "signal":
        return "" if vectors else f'{given!r} is not a signal; write one such as "v(clk)"'
    if vectors:
        return f"{given!r} is a signal; write a number, or a formula of parameters and conditions"
    whole = isinstance(given, str) or (given.is_integer() and given != 0.0)
    if option.unit == "count" and not whole:
        return f"{given:g} is not a count; write a whole number: 1, 2, ..."
    return ""


def _example(option: Option) -> str:
    return {"number": "...", "signal": '"v(...)"', "word": f'"{"|".join(option.words)}"'}[
        option.kind
    ]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    meant = did_you_mean(name, known, _MEANT)
    return f"no {what} {name!r}{meant}; there is: {', '.join(known)}"
