"""What a page says that takes a simulator: `docs/circuits/<folder>.json`, written with the page.

The metrics of every reference sizing, each with the digest of the task it was simulated in, so that
a number of another version of the circuit, its specs or its models is recognised without
simulating. A PDK that is not on this machine keeps the numbers it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from pydantic import BaseModel, ConfigDict

import acs_gym
from acs_gym import plotting
from acs_gym.circuit import Circuit
from acs_gym.evaluation import Status
from acs_gym.plotting.panels import Picture, panels
from acs_gym.simulation.pool import shared_pool
from acs_gym.simulation.uncharged import simulate_uncharged

# Beyond these digits a result may depend on the machine; a page shows one less.
_DIGITS = 4
_FONTS = ["DejaVu Sans", "Verdana"]


class Measured(BaseModel):
    """The metrics of one reference sizing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    metrics: dict[str, float]


class Numbers(BaseModel):
    """Everything simulated on a page.

    Attributes:
        waveforms_of: the PDK whose reference is drawn.
        drawn: the metrics that its waveforms show.
        measured: by PDK and tier.
        spread: by PDK, three sigma (V) of what mismatch does to the nominal reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    waveforms_of: str
    drawn: tuple[str, ...]
    measured: dict[str, dict[str, Measured]]
    spread: dict[str, float] = {}


def read(path: Path) -> Numbers:
    return Numbers.model_validate_json(path.read_text())


def write(path: Path, numbers: Numbers) -> None:
    path.write_text(json.dumps(numbers.model_dump(), indent=1) + "\n")


def referenced_tasks(circuit: Circuit) -> Iterator[acs_gym.Task]:
    """A task for each reference sizing whose PDK is on this machine."""
    for pdk, tiers in circuit.references.items():
        if acs_gym.get_pdk(pdk).available():
            for tier in tiers:
                yield acs_gym.make_task(circuit.id, pdk=pdk, tier=tier)


def simulate(circuit: Circuit, before: Numbers | None, waveforms: Path) -> Numbers:
    """Measure every reference that can be, and draw the waveforms of the first PDK's."""
    measured = {} if before is None else dict(before.measured)
    measured = {pdk: dict(tiers) for pdk, tiers in measured.items() if pdk in circuit.references}
    for task in referenced_tasks(circuit):
        assert task.reference is not None
        evaluation = task.session(workers=1).simulate(task.reference)
        if evaluation.status is not Status.OK:
            raise RuntimeError(f"{task.id} on {task.pdk_name} ({task.tier}): {evaluation.message}")
        rounded = {m: float(f"{v:.{_DIGITS}g}") for m, v in evaluation.metrics.items()}
        tiers = measured.setdefault(task.pdk_name, {})
        tiers[task.tier] = Measured(digest=task.digest, metrics=rounded)
    spread = {} if before is None else dict(before.spread)
    for pdk in circuit.references:
        if acs_gym.get_pdk(pdk).available() and (sigma := _three_sigma(circuit, pdk)) is not None:
            spread[pdk] = sigma
    first = next(iter(circuit.references))
    if before is not None and not acs_gym.get_pdk(first).available():
        return before.model_copy(update={"measured": measured, "spread": spread})
    drawn = _draw(acs_gym.make_task(circuit.id, pdk=first), waveforms)
    return Numbers(waveforms_of=first, drawn=drawn, measured=measured, spread=spread)


def spread_metric(circuit: Circuit) -> str | None:
    """The metric that mismatch moves away from zero: an offset, or a regulator's error."""
    names = [m.name for m in circuit.file.metric]
    return next((name for name in ("offset", "error", "cm_error") if name in names), None)


def _three_sigma(circuit: Circuit, pdk: str) -> float | None:
    """Three sigma of that metric at the nominal reference, over the draws of tier mc."""
    metric = spread_metric(circuit)
    reference = circuit.reference(pdk, "tt")
    if metric is None or reference is None:
        return None
    task = acs_gym.make_task(circuit.id, pdk=pdk, tier="mc")
    evaluation = task.session(workers=1).simulate(reference)
    return float(f"{3 * evaluation.spread.sigma[metric]:.{_DIGITS}g}")


def stale(circuit: Circuit, numbers: Numbers) -> list[str]:
    """Which references were measured in another version of their task, or not at all."""
    return [
        f"{task.pdk_name} ({task.tier}) was measured with another version"
        for task in referenced_tasks(circuit)
        if (known := numbers.measured.get(task.pdk_name, {}).get(task.tier)) is None
        or known.digest != task.digest
    ]


def _draw(task: acs_gym.Task, path: Path) -> tuple[str, ...]:
    """Write the reference's waveforms as a picture; the metrics that show in it."""
    assert task.reference is not None
    job = task.job(task.reference, waveforms=True)
    (outcome,) = simulate_uncharged([job], shared_pool(1))
    evaluation = task.judge(task.reference, outcome)
    figure = plotting.draw_waveforms(task, evaluation, outcome.waveforms)
    # Text stays text and ids do not change: a small file that is the same every time. Each text names its
    # fonts, of which matplotlib's own list makes a seventh of the file.
    drawn = {"svg.fonttype": "none", "svg.hashsalt": task.id, "font.sans-serif": _FONTS}
    with matplotlib.rc_context(drawn):
        figure.savefig(path, metadata={"Date": None})
    scope = Picture.of(task, evaluation).scope
    shown = panels(task, outcome.waveforms, scope)
    return tuple(m.name for panel in shown for m in panel.metrics)
