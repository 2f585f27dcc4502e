"""`acs-gym doctor`: is everything here that a simulation needs, and does it give what it should?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from acs_gym.cli.output import console, print_table

if TYPE_CHECKING:
    from acs_gym.evaluation import Evaluation
    from acs_gym.task import Task


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` is what to type when it is not `ok`."""

    ok: bool
    what: str
    found: str
    fix: str = ""


def doctor(
    pdk: Annotated[
        list[str] | None,
        typer.Option("--pdk", help="Check only these PDKs; repeat for several."),
    ] = None,
) -> None:
    """Check ngspice, the packages' names, the PDKs, noise, and that every reference sizing gives its
    known result.
    """
    checks = [_ngspice()]
    checks += _import_names()
    checks += _pdks(pdk)
    if checks[0].ok:
        checks += _noise(pdk)
        checks += _references(pdk)
    rows = [("✓" if c.ok else "✗", c.what, c.found) for c in checks]
    print_table("", ("", "check", "found"), rows)
    broken = [c for c in checks if not c.ok]
    for check in broken:
        console().print(f"{check.what}: {check.fix}", soft_wrap=True)
    if broken:
        raise typer.Exit(1)
    console().print("Everything is in order.")


def _ngspice() -> Check:
    from acs_gym.simulation.deck import OPTIONS
    from acs_gym.simulation.driver import SimulatorNotFound
    from acs_gym.simulation.version import simulator_version

    try:
        version = simulator_version()
    except SimulatorNotFound as error:
        return Check(False, "ngspice", "not found", str(error))
    found = f"{version.library}, version {version.number}; 1 thread, options {OPTIONS}"
    return Check(True, "ngspice", found)


def _import_names() -> Iterator[Check]:
    from acs_gym.import_names import GENERAL, shared_names

    shared = shared_names()
    for sentence in shared:
        yield Check(False, "import names", "shared with another distribution", sentence)
    if not shared:
        yield Check(True, "import names", f"{', '.join(GENERAL)}: no other distribution's")


def _pdks(wanted: list[str] | None) -> Iterator[Check]:
    """Those asked for must be there; otherwise what is not installed is no fault of this machine."""
    from acs_gym.pdks import PdkError, PdkNotFound, get_pdk, pdk_names

    for name in wanted or pdk_names():
        what = f"PDK {name}"
        try:
            pdk = get_pdk(name)
            found = f"{pdk.title}: {pdk.location()}"
            pdk.devices("tt")["nfet"]
        except PdkNotFound as error:
            if name not in pdk_names():
                raise
            if wanted is None:
                yield Check(True, what, "not installed")
            else:
                yield Check(False, what, "not found", str(error))
        except PdkError as error:
            yield Check(False, what, "not usable", str(error))
        else:
            yield Check(True, what, found)


def _here(wanted: list[str] | None) -> list[str]:
    from acs_gym.pdks import available_pdks

    return [name for name in available_pdks() if wanted is None or name in wanted]


def _noise(wanted: list[str] | None) -> Iterator[Check]:
    """One transistor's noise: the part of BSIM4 in which simulators differ, see docs/noise.md."""
    from acs_gym.pdks import get_pdk
    from acs_gym.simulation.pool import Job
    from acs_gym.simulation.uncharged import simulate_uncharged
    from acs_gym.vacask.transistor import PINNED_NOISE, PINNED_TO, Bias, one_transistor

    for name in _here(wanted):
        if name not in PINNED_NOISE:
            continue
        (outcome,) = simulate_uncharged([Job(one_transistor(get_pdk(name), Bias()), {})])
        found = (outcome.metrics["low"], outcome.metrics["high"])
        pinned = PINNED_NOISE[name]
        good = all(abs(a / b - 1.0) <= PINNED_TO for a, b in zip(found, pinned, strict=True))
        shown, known = (
            " and ".join(f"{x * 1e12:.4g}" for x in pair) + " pA/√Hz at 1 kHz and 100 MHz"
            for pair in (found, pinned)
        )
        fix = (
            f"{known} were known; this ngspice evaluates another noise formula or these are other "
            f"models, and noise metrics are not comparable with published ones {outcome.message}"
        ).rstrip()
        yield Check(good, f"noise of a transistor on {name}", shown, "" if good else fix)


def _references(wanted: list[str] | None) -> Iterator[Check]:
    """Every reference sizing, twice, in fresh processes and in opposite orders."""
    from acs_gym.circuit_reading import load_circuit
    from acs_gym.registry import circuit_folders
    from acs_gym.task import make_task

    circuits = [load_circuit(folder) for folder in circuit_folders().values()]
    for name in _here(wanted):
        tasks = [make_task(c.id, pdk=name) for c in circuits if c.reference(name) is not None]
        if not tasks:
            yield Check(True, f"references on {name}", "none is shipped")
            continue
        first, second = _simulated(tasks), _simulated(tasks[::-1])
        for task in tasks:
            yield _judged(task, first[task.id], second[task.id])


def _simulated(tasks: list[Task]) -> dict[str, Evaluation]:
    from acs_gym.simulation.pool import Job
    from acs_gym.simulation.uncharged import simulate_uncharged

    designs = [task.reference or {} for task in tasks]
    outcomes = simulate_uncharged([Job(t.program, d) for t, d in zip(tasks, designs, strict=True)])
    return {
        task.id: task.judge(design, outcome)
        for task, design, outcome in zip(tasks, designs, outcomes, strict=True)
    }


def _judged(task: Task, first: Evaluation, second: Evaluation) -> Check:
    what = f"{task.id} on {task.pdk_name}"
    if first.to_json() != second.to_json():
        fix = "results differ between two runs; please report this, with the ngspice version above"
        return Check(False, what, "not reproducible", fix)
    if not first.feasible:
        missed = ", ".join(m for m, s in first.satisfaction.items() if s < 1.0)
        fix = (
            f"the reference sizing misses {missed}; an ngspice older than 38, changed models or a "
            f"changed circuit would do that {first.message}"
        ).rstrip()
        return Check(False, what, f"score {first.score:.4f}", fix)
    return Check(True, what, "reference feasible, bit-identical twice")
