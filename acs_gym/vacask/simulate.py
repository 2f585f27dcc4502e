"""A program and a design through VACASK to the metrics that ngspice would give.

How a metric is read off waveforms is not done twice: VACASK's waveforms go where ngspice's go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acs_gym.evaluation import Status
from acs_gym.pdks.base import PdkError
from acs_gym.simulation.engine import TEMPERATURE, Outcome
from acs_gym.simulation.loop import loop_gain
from acs_gym.simulation.program import Analysis, Deck, Program
from acs_gym.simulation.readout import Waveforms, read_metrics
from acs_gym.vacask.deck import Run, column, translate
from acs_gym.vacask.models import NotTranslated
from acs_gym.vacask.process import TIMEOUT, VacaskFailed, run_vacask

_SWEEPS = {"ac": "frequency", "noise": "frequency", "tran": "time", "dc": "point"}
_Columns = Mapping[str, NDArray[Any]]


def simulate(
    program: Program,
    design: Mapping[str, float],
    conditions: Mapping[str, float] | None = None,
    mismatch: Mapping[str, float] | None = None,
    *,
    timeout: float = TIMEOUT,
    waveforms: bool = False,
) -> Outcome:
    """One design through every testbench, as `Engine.simulate` does it, but in VACASK.

    Args:
        conditions: what differs from the program's nominal ones.
        mismatch: element -> its standard normal draw.
        timeout: s of wall-clock time for each testbench.

    Failures are statuses, with what VACASK said as message. Raises VacaskNotFound, and nothing else.
    """
    scope = {**program.conditions, **(conditions or {}), **design}
    names = [*(m.name for m in program.metrics), "area"]
    waves: Waveforms = {}
    try:
        for deck in program.decks:
            waves |= _run_deck(deck, scope, mismatch or {}, timeout)
    except VacaskFailed as error:
        status = Status.TIMEOUT if error.timed_out else Status.NONCONVERGED
        return Outcome(status, dict.fromkeys(names, math.nan), f"VACASK: {error}")
    except (NotTranslated, PdkError) as error:
        return Outcome(Status.INFRA_ERROR, dict.fromkeys(names, math.nan), f"VACASK: {error}")
    metrics, message = read_metrics(program, scope, waves)
    status = Status.OK if not message else Status.MEASURE_FAILED
    return Outcome(status, metrics, message, waves if waveforms else {})


def _run_deck(
    deck: Deck, scope: Mapping[str, float], mismatch: Mapping[str, float], timeout: float
) -> Waveforms:
    draws = {d.name: mismatch.get(d.key, 0.0) for d in deck.draws}
    source = translate(deck, {**scope, **draws}, scope[TEMPERATURE])
    files = run_vacask(source.text, [run.file for run in source.runs], timeout)
    found: Waveforms = {}
    loops: dict[str, list[tuple[Run, _Columns]]] = {}
    for run in source.runs:
        columns = files[run.file]
        if run.source is None:
            found[run.analysis.name] = _waveforms(run.analysis, columns, source.multipliers)
        else:
            loops.setdefault(run.analysis.name, []).append((run, columns))
    for name, ((run, series), (_, shunt)) in loops.items():
        found[name] = _loop(run.analysis, series, shunt)
    return found


def _waveforms(
    analysis: Analysis, columns: _Columns, multipliers: Mapping[str, float]
) -> dict[str, NDArray[Any]]:
    sweep = _sweep(analysis, columns)
    return {"sweep": sweep} | {
        v: _vector(analysis, columns, v) * _times(v, multipliers) for v in analysis.vectors
    }


def _times(vector: str, multipliers: Mapping[str, float]) -> float:
    """ngspice gives the currents of all of a transistor's copies, VACASK those of one."""
    of_device = re.fullmatch(r"@(.+)\[(\w+)\]", vector)
    if of_device is None or of_device[2].startswith("v"):  # Voltages are those of each.
        return 1.0
    return multipliers.get(of_device[1], 1.0)


def _loop(analysis: Analysis, series: _Columns, shunt: _Columns) -> dict[str, NDArray[Any]]:
    probe = analysis.probe
    assert probe is not None
    node, branch = probe.vectors
    with np.errstate(all="ignore"):  # What is not finite is not measurable: readout.py.
        gain = loop_gain(
            _vector(analysis, series, node), _vector(analysis, series, branch),
            _vector(analysis, shunt, node), _vector(analysis, shunt, branch),
        )  # fmt: skip
    return {"sweep": _sweep(analysis, series), f"loop({probe.voltage})": gain}


def _sweep(analysis: Analysis, columns: _Columns) -> NDArray[Any]:
    if analysis.sweep is None:
        return np.zeros(1)
    sweep = np.ascontiguousarray(columns[_SWEEPS[analysis.kind]].real)
    if analysis.last is not None and not (sweep.size and sweep[-1] >= analysis.last):
        at = f"{sweep[-1]:.3g}" if sweep.size else "its start"
        raise VacaskFailed(f"{analysis.name}: {analysis.kind} stopped at {at}")
    return sweep


def _vector(analysis: Analysis, columns: _Columns, vector: str) -> NDArray[Any]:
    """What ngspice would call `vector`. ngspice gives noise as V/sqrt(Hz), VACASK as V²/Hz."""
    if analysis.kind == "noise":
        if "inoise" in vector:
            return np.sqrt(columns["onoise"] / columns["gain"])
        if "onoise" in vector:
            return np.sqrt(columns["onoise"])
    name = column(vector)
    if name not in columns:
        raise NotTranslated(f"{analysis.name}: there is no {vector} ({name})")
    return columns[name]
