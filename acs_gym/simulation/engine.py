"""Runs a program in the ngspice of this process: parameters in, metrics out.

Failure is detected by data, never by ngspice's return codes (which are 0 for many a failed
analysis): the plot must be a new one of the expected kind, its sweep must reach the declared end,
and every vector must have the sweep's length.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Status
from acs_gym.pdks.base import NoCard
from acs_gym.simulation.driver import NgSpice
from acs_gym.simulation.driver_choice import open_driver
from acs_gym.simulation.loop import loop_gain
from acs_gym.simulation.program import (
    Analysis,
    Deck,
    Probe,
    Program,
    initial_values,
    model_names,
    netlist,
    setting_values,
)
from acs_gym.simulation.readout import Waveforms, read_metrics, shows_death

# Accepted time points after which a transient is stopped: ten times what the slowest sane design
# needs. Counting steps is deterministic; the wall clock is only the last resort (pool.py).
STEP_CAP = 20_000
# Loaded netlists kept; a netlist is about 100 kB and loads in 2 ms.
CIRCUITS_KEPT = 64
TEMPERATURE = "temperature"  # The named condition, in °C, that ngspice itself is told.
_SMALL_SIGNAL = ("ac", "noise")
_JUNCTIONS = ("npn", "pnp", "d")


@dataclass(frozen=True, slots=True)
class Order:
    """One simulation to do: a design, and what differs from the program's nominal conditions.

    `mismatch` maps an element (`m.xdut.mpair_p`) to its standard normal draw.
    """

    design: Mapping[str, float]
    conditions: Mapping[str, float] = field(default_factory=dict)
    mismatch: Mapping[str, float] = field(default_factory=dict)
    waveforms: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What simulating one design gave; `waveforms` only when asked for."""

    status: Status
    metrics: dict[str, float]
    message: str = ""
    waveforms: Waveforms = field(default_factory=dict)


class _Failed(Exception):
    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Engine:
    """Keeps programs loaded in one driver and runs designs through them."""

    def __init__(self, driver: str = "ctypes") -> None:
        self._driver = open_driver(driver)
        self._circuits: dict[tuple[str, str, tuple[str, ...], tuple[float, ...]], int] = {}
        self._stepped = False  # Whether the deck at hand asked for gmin or source stepping.

    def simulate(self, program: Program, order: Order) -> Outcome:
        """One design through every testbench. Raises SimulatorDied, and nothing else.

        The order must be canonical: a NaN here would be ignored by ngspice and yield the previous
        design's result, so it is an assertion, not a status.
        """
        scope = {**program.conditions, **order.conditions, **order.design}
        numbers = (*scope.values(), *order.mismatch.values())
        assert all(map(math.isfinite, numbers)), "non-finite value reached the engine"
        waves: Waveforms = {}
        read: Waveforms | None = None  # Of a dead circuit, what showed it: it decides the metrics.
        names = [m.name for m in program.metrics]
        try:
            with contextlib.closing(self._analyses(program, scope, order.mismatch)) as analyses:
                for name, data in analyses:
                    waves[name] = data
                    if read is None and shows_death(program, scope, name, data):
                        read = dict(waves)
                        if not order.waveforms:
                            break
        except _Failed as failure:
            if read is None:
                failed = dict.fromkeys([*names, "area"], math.nan)
                return Outcome(failure.status, failed, failure.message)
        finally:
            self._driver.clear_results()
        metrics, message = read_metrics(program, scope, waves if read is None else read)
        status = Status.OK if not message else Status.MEASURE_FAILED
        return Outcome(status, metrics, message, waves if order.waveforms else {})

    def _analyses(
        self, program: Program, scope: Mapping[str, float], mismatch: Mapping[str, float]
    ) -> Generator[tuple[str, dict[str, NDArray[Any]]], None, None]:
        """The name and the vectors of each analysis of each deck, run when it is asked for."""
        for deck in program.decks:
            draws = {d.name: mismatch.get(d.key, 0.0) for d in deck.draws}
            yield from self._run_deck(program, deck, {**scope, **draws})

    def _run_deck(
        self, program: Program, deck: Deck, scope: Mapping[str, float]
    ) -> Generator[tuple[str, dict[str, NDArray[Any]]], None, None]:
        values = setting_values(deck, scope)
        if not all(map(math.isfinite, values)):
            raise _Failed(Status.INVALID_DESIGN, _not_finite(deck, values))
        initial = initial_values(deck, scope)
        if not all(map(math.isfinite, initial)):
            raise _Failed(Status.INVALID_DESIGN, f"{deck.name}: .ic would be {initial}")
        try:
            models = model_names(deck, scope)
        except NoCard as error:
            raise _Failed(Status.INVALID_DESIGN, str(error)) from None
        self._use_netlist(program, deck, models, initial)
        number = iter(values)
        # The vector form of `alter` sets the numbers and nothing else; the scalar form would search
        # the model cards for another bin.
        self._driver.commands(
            [f"option temp={scope[TEMPERATURE]!r}"]
            + [
                f"{s.command} @{s.target} = [ {' '.join([repr(next(number)) for _ in s.values])} ]"
                for s in deck.settings
            ]
        )
        self._stepped = spoilt = False
        try:
            sources = _Sources(self._driver, deck.excitable)
            options = ""  # Whatever the last run, or a failure in it, left behind.
            for analysis in _in_order(deck):
                if analysis.options != options:
                    options = analysis.options
                    self._driver.command(options)
                if analysis.probe is not None:
                    yield analysis.name, self._run_loop(analysis, analysis.probe, sources)
                    continue
                if analysis.kind in _SMALL_SIGNAL:
                    sources.excite(analysis.excite)
                yield analysis.name, self._run_analysis(analysis, analysis.vectors)
        except _Failed:
            # What a failed or halted analysis leaves inside ngspice must not reach the next one.
            spoilt = True
            raise
        finally:
            # After it had to step gmin or sources, the last bits of ngspice's next sweep are others.
            if spoilt or self._stepped or _sweeps_remember(deck):
                self._driver.remove(self._circuits.popitem()[1])

    def _use_netlist(
        self,
        program: Program,
        deck: Deck,
        models: Mapping[str, str],
        initial: tuple[float, ...],
    ) -> None:
        """Make current the netlist with these model cards and voltages, loading it if need be.

        One netlist per combination of them, and none is ever re-binned: the order in which ngspice
        adds up its devices, and so the last digit of a result, is that of the netlist's text.
        """
        identity = (program.key, deck.name, tuple(models.values()), initial)
        circuit = self._circuits.pop(identity, None)
        if circuit is not None:
            self._driver.use(circuit)
        else:
            if len(self._circuits) >= CIRCUITS_KEPT:
                self._driver.remove(self._circuits.pop(next(iter(self._circuits))))
            try:
                circuit = self._driver.load(netlist(deck, models, initial))
            except ValueError as error:
                raise _Failed(Status.INFRA_ERROR, f"{deck.name}: {error}") from None
            self._driver.command(f"stop after {STEP_CAP}")
        self._circuits[identity] = circuit  # Last in the dict: most recently used.

    def _run_loop(
        self, analysis: Analysis, probe: Probe, sources: _Sources
    ) -> dict[str, NDArray[Any]]:
        """The loop gain at a probe, from a voltage in series and a current into its wire."""
        node, branch = probe.vectors
        sources.excite((probe.voltage,))
        series = self._run_analysis(analysis, probe.vectors)
        sources.excite((probe.current,))
        shunt = self._run_analysis(analysis, probe.vectors)
        with np.errstate(all="ignore"):  # What is not finite is not measurable: readout.py.
            gain = loop_gain(series[node], series[branch], shunt[node], shunt[branch])
        return {"sweep": series["sweep"], f"loop({probe.voltage})": gain}

    def _run_analysis(
        self, analysis: Analysis, vectors: tuple[str, ...]
    ) -> dict[str, NDArray[Any]]:
        driver = self._driver
        before = driver.current_plot()
        driver.forget_log()
        driver.command(analysis.command)
        self._stepped |= driver.said("stepping")
        plot = driver.current_plot()
        if plot == before or not plot.startswith(analysis.kind):
            raise _Failed(Status.NONCONVERGED, self._why(analysis, "found no solution"))
        if analysis.kind == "noise":  # The integrated plot comes last; the spectrum is before it.
            plot = f"noise{int(plot.removeprefix('noise')) - 1}"
            driver.command(f"setplot {plot}")
        found: dict[str, NDArray[Any]] = {}
        sweep = np.zeros(1)
        if analysis.sweep is not None:
            raw = driver.vector(analysis.sweep)
            if raw is None:
                raise _Failed(Status.NONCONVERGED, self._why(analysis, "gave no data"))
            sweep = np.ascontiguousarray(raw.real)
            assert analysis.last is not None
            if sweep[-1] < analysis.last:
                if analysis.kind == "tran" and sweep.size >= STEP_CAP:
                    raise _Failed(
                        Status.TIMEOUT,
                        f"{analysis.name}: stopped after {STEP_CAP} time steps at {sweep[-1]:.3g} s",
                    )
                raise _Failed(
                    Status.NONCONVERGED, self._why(analysis, f"stopped at {sweep[-1]:.3g}")
                )
        found["sweep"] = sweep
        for name in vectors:
            vector = driver.vector(name)
            if vector is None:
                if self._driver.said("aborted"):
                    raise _Failed(Status.NONCONVERGED, self._why(analysis, "found no solution"))
                raise _Failed(Status.INFRA_ERROR, f"{analysis.name}: no vector {name}")
            if analysis.sweep is not None and vector.size != sweep.size:
                raise _Failed(Status.NONCONVERGED, self._why(analysis, f"{name} is incomplete"))
            found[name] = vector
        driver.clear_results()  # With every result that is kept an `alter` gets slower, up to five times.
        return found

    def _why(self, analysis: Analysis, what: str) -> str:
        said = self._driver.errors()
        return f"{analysis.name}: {analysis.kind} {what}" + (f" ({said})" if said else "")


def _in_order(deck: Deck) -> Sequence[Analysis]:
    """The analyses as they are run: transients last where a sweep would remember them."""
    if not _sweeps_remember(deck):
        return deck.analyses
    return sorted(deck.analyses, key=lambda a: a.kind == "tran")


def _sweeps_remember(deck: Deck) -> bool:
    """Whether a DC sweep after a transient of the same netlist would be wrong.

    It is in ngspice where there is a bipolar transistor or a diode with a transit time: the sweep still
    has the transient's last time step, and takes the charge in the junction for a current. An operating
    point has no such memory, nor have FETs.
    """
    kinds = {a.kind for a in deck.analyses}
    return {"dc", "tran"} <= kinds and any(
        card.split(maxsplit=3)[2].lower() in _JUNCTIONS for card in deck.models.values()
    )


class _Sources:
    """The AC magnitudes of a deck's sources, each sent when it changes."""

    def __init__(self, driver: NgSpice, names: tuple[str, ...]) -> None:
        self._driver, self._names = driver, names
        self._now: dict[str, int] = {}

    def excite(self, chosen: tuple[str, ...]) -> None:
        """1 for the chosen sources, 0 for all others."""
        wanted = {s: int(s in chosen) for s in self._names}
        changed = {s: on for s, on in wanted.items() if self._now.get(s) != on}
        self._driver.commands([f"alter @{s}[acmag] = [ {on} ]" for s, on in changed.items()])
        self._now = wanted


def _not_finite(deck: Deck, values: list[float]) -> str:
    targets = (s.target for s in deck.settings for _ in s.values)
    bad = next((t, v) for t, v in zip(targets, values, strict=True) if not math.isfinite(v))
    return f"{bad[0]} would be {bad[1]}"
