"""Do the simulator's options decide a metric? The shipped ones against tight ones.

    python benchmarks/numerics.py [--json benchmarks/results/numerics.json]
    python benchmarks/numerics.py --tasks opamp,ldo --also trtol=20 --also "trtol=7 maxstep=1/100"

Every circuit with a transient, on two dozen designs: its reference, near and far neighbours of it, a
few anywhere, and winners, which are where an error that flatters is found: tests/circuits/winners.json
and neighbours so close to them that a designer would call them the same. Each is simulated with the
shipped options, with `trtol=70` (what they once were), with any others asked for, and with tight
ones: `reltol=1e-6 trtol=1` and steps of at most 1/5000 of the transient.

Printed per circuit: how far each metric moves from the tight one, in each group of designs, beside
what is allowed; every design whose feasibility depends on the options; and the CPU time of the
transients alone, as the median over designs of the ratio to the tight and to the old options.
Everything but the times is the same in every run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acs_gym.design import Design
from acs_gym.evaluation import Status
from acs_gym.pdks import get_pdk
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.program import Analysis, Program
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.simulation.version import simulator_version
from acs_gym.task import DEFAULT_PDK, Task, make_task, task_ids
from acs_gym.units import parse
from leaderboard.suites import resolve_task

WINNERS = Path(__file__).parents[1] / "tests" / "circuits" / "winners.json"
TIGHT = "reltol=1e-6 trtol=1 maxstep=1/5000"
OLD = "reltol=1e-5 trtol=70"
# Group -> how many designs; of the winners' third, those in the file come first.
GROUPS = {"winner": 8, "near": 8, "far": 7, "wild": 2}
# Half-widths in the unit cube: 1 % and 25 % of a range; `near` is 7 % of the value itself.
BESIDE, NEAR, FAR = 0.01, 0.07, 0.25
# Largest shift allowed, as a share: of any metric, and of one that is the extreme of a waveform, or the
# time at which an edge comes back from its last one: where an overshoot just leaves the band, a level
# that is off by a thousandth of the step moves that time by a hundredth and more. An overshoot is an
# extreme too, but its share is of the whole step: a tenth of what specs ask for.
ALLOWED, ALLOWED_EXTREME = 0.01, 0.02
_EXTREMES = ("minimum", "maximum")
_OF_EXTREMES = (*_EXTREMES, "settling_time")
# Designs nobody would build oscillate, and the phase of an oscillation is nobody's metric.
_BOUNDED = ("winner", "near", "far")


@dataclass(frozen=True, slots=True)
class Sample:
    """One design to compare on; `group` is a key of GROUPS, `label` says which of it."""

    group: str
    label: str
    design: Design


@dataclass(frozen=True, slots=True)
class Shift:
    """A metric's largest shift in one group of designs, as a share, and the design it is at."""

    metric: str
    group: str
    share: float
    label: str
    allowed: float

    @property
    def kept(self) -> bool:
        """Whether the limit holds, where there is one."""
        return self.group not in _BOUNDED or abs(self.share) <= self.allowed


@dataclass(frozen=True, slots=True)
class Flip:
    """A design that meets its specs with one set of options and not with the tight ones."""

    label: str
    feasible: bool
    truly_feasible: bool
    metric: str
    margin: float
    true_margin: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One set of options against the tight ones on one circuit."""

    task: str
    options: str
    designs: int
    uncompared: tuple[str, ...]
    shifts: tuple[Shift, ...]
    flips: tuple[Flip, ...]
    time_to_tight: float
    time_to_old: float


def has_transient(task: Task) -> bool:
    return any(a.kind == "tran" for deck in task.program.decks for a in deck.analyses)


def with_options(program: Program, changes: str) -> Program:
    """`program` with some of ngspice's options replaced, in every deck.

    Args:
        changes: words `NAME=VALUE`; `maxstep=1/5000` is no option but limits the step of every
            transient to that share of its length.
    """
    words = changes.split()
    shares = [w.partition("/")[2] for w in words if w.startswith("maxstep=1/")]
    options = dict(w.split("=", 1) for w in words if not w.startswith("maxstep="))
    decks = tuple(
        replace(
            deck,
            template=tuple(_changed_line(line, options) for line in deck.template),
            analyses=tuple(
                _with_tolerances(_with_steps(a, float(shares[-1])) if shares else a, options)
                for a in deck.analyses
            ),
        )
        for deck in program.decks
    )
    # Workers know a program by its key.
    return replace(program, decks=decks, key=f"{program.key}:{changes}")


def _changed_line(line: str, options: Mapping[str, str]) -> str:
    first, *words = line.split() or [""]
    if first.lower() != ".options":
        return line
    kept = [w for w in words if w.partition("=")[0] not in options]
    return " ".join([first, *kept, *(f"{name}={value}" for name, value in options.items())])


def _with_tolerances(analysis: Analysis, options: Mapping[str, str]) -> Analysis:
    """Each analysis brings its own tolerances, which an option would not reach."""
    reltol = float(options.get("reltol", analysis.reltol))
    trtol = analysis.trtol
    if trtol is not None:
        trtol = float(options.get("trtol", trtol))
    return replace(analysis, reltol=reltol, trtol=trtol)


def _with_steps(analysis: Analysis, steps: float) -> Analysis:
    """A transient of at least so many steps; `tran STEP STOP [START [MAXSTEP]]`."""
    if analysis.kind != "tran":
        return analysis
    _, step, stop, *rest = analysis.command.split()
    start = rest[0] if rest else "0"
    return replace(analysis, command=f"tran {step} {stop} {start} {parse(stop) / steps!r}")


def only_transients(program: Program) -> Program:
    """What is left of `program` when only its transients are simulated, and nothing is measured."""
    decks = tuple(
        replace(d, analyses=tuple(a for a in d.analyses if a.kind == "tran")) for d in program.decks
    )
    decks = tuple(d for d in decks if d.analyses)
    return replace(program, decks=decks, metrics=(), gates=(), key=f"{program.key}:transients")


def only_starts(program: Program) -> Program:
    """`program` simulating the operating point alone in place of each transient, which starts there.

    What that takes does not depend on how the transient is stepped.
    """
    decks = tuple(replace(d, analyses=tuple(map(_start, d.analyses))) for d in program.decks)
    return replace(program, decks=decks, key=f"{program.key}:starts")


def _start(analysis: Analysis) -> Analysis:
    return replace(analysis, kind="op", command="op", sweep=None, last=None)


def winners(task: Task) -> list[Design]:
    """The task's designs in tests/circuits/winners.json; none where there is no such file."""
    if not WINNERS.is_file():
        return []
    found = json.loads(WINNERS.read_text(encoding="utf-8")).get(task.id, {}).get(task.pdk_name, [])
    return [task.space.canonicalize(design) for design in found]


def samples(task: Task, seed: int = 0) -> list[Sample]:
    """The designs to compare on: the reference, winners, and random ones around both."""
    rng = np.random.default_rng(seed)
    space = task.space
    reference = task.reference
    if reference is None:
        reference = space.from_unit([0.5] * len(space))
    best = winners(task) or [reference]
    found = [Sample("winner", "reference", reference)]
    found += [Sample("winner", f"winner {k}", d) for k, d in enumerate(winners(task)[:7])]
    for k in range(GROUPS["winner"] + 1 - len(found)):
        around = best[k % len(best)]
        design = _near_in_cube(task, around, BESIDE, rng)
        found.append(Sample("winner", f"beside winner {k % len(best)}, {k // len(best)}", design))
    for k in range(GROUPS["near"]):
        factors = rng.uniform(1 - NEAR, 1 + NEAR, len(space))
        moved = {
            p.name: min(max(reference[p.name] * f, p.low), p.high)
            for p, f in zip(space.parameters, factors, strict=True)
        }
        found.append(Sample("near", f"near {k}", space.canonicalize(moved)))
    for k in range(GROUPS["far"]):
        found.append(Sample("far", f"far {k}", _near_in_cube(task, reference, FAR, rng)))
    found += [Sample("wild", f"wild {k}", space.sample(rng)) for k in range(GROUPS["wild"])]
    return found


def _near_in_cube(task: Task, design: Design, width: float, rng: np.random.Generator) -> Design:
    step: NDArray[np.float64] = rng.uniform(-width, width, len(task.space))
    return task.space.from_unit(task.space.to_unit(design) + step)


def shifts(task: Task, found: Mapping[str, float], true: Mapping[str, float]) -> dict[str, float]:
    """How far each metric is from the true one, as a share of it.

    A decibel counts as the ratio that it is, a degree as radians, what is best at zero (an offset) as a
    share of its target, and an overshoot as the share of its step that it is; infinite where only one
    of the two could be measured.
    """
    # Also those asked in other tiers: an offset without mismatch is nanovolts.
    asked = task.circuit.file.spec
    targets = {s.metric: s.target for s in asked if s.direction == "within"}
    units = task.metric_units
    of_step = shares_of_a_step(task)
    result: dict[str, float] = {}
    for name, truth in true.items():
        value = found[name]
        if math.isnan(value) or math.isnan(truth):
            result[name] = 0.0 if math.isnan(value) and math.isnan(truth) else math.inf
        elif units[name] == "dB":
            result[name] = 10 ** ((value - truth) / 20) - 1
        elif units[name] == "°":
            result[name] = math.radians(value - truth)
        elif name in of_step:
            result[name] = value - truth
        else:
            scale = targets.get(name) or abs(truth)
            result[name] = (value - truth) / scale if scale else math.copysign(math.inf, value)
            result[name] = 0.0 if value == truth else result[name]
    return result


def shares_of_a_step(task: Task) -> set[str]:
    """Overshoots, by that measure or as the extreme of an edge that is divided by its step.

    Near zero one of them is a difference of two levels that no tolerance resolves: 0.0002 and 0.0001 of
    a step are the same answer, and either sign may come out of the simulator's own tolerance.
    """
    transients = _transients(task.program)
    found: set[str] = set()
    for m in task.program.metrics:  # A formula comes after what it is made of.
        of_edge = m.analysis in transients and m.measure in _EXTREMES
        if (
            m.measure == "overshoot"
            or (of_edge and not task.metric_units[m.name])
            or (m.formula is not None and found & {*m.formula.names})
        ):
            found.add(m.name)
    return found


def allowed(task: Task, metric: str) -> float:
    """The largest shift a metric may have: more where it comes of a waveform's extreme."""
    transients = _transients(task.program)
    extreme: set[str] = set()
    for m in task.program.metrics:  # A formula comes after what it is made of.
        of_extreme = m.formula is not None and extreme & set(m.formula.names)
        if of_extreme or (m.analysis in transients and m.measure in _OF_EXTREMES):
            extreme.add(m.name)
    return ALLOWED_EXTREME if metric in extreme - shares_of_a_step(task) else ALLOWED


def _transients(program: Program) -> set[str]:
    return {a.name for deck in program.decks for a in deck.analyses if a.kind == "tran"}


def compare(
    task: Task, chosen: Sequence[Sample], variants: Sequence[str], rounds: int
) -> list[Comparison]:
    """Each set of options (`""`: those shipped) against the tight ones; times want rounds > 0."""
    programs = {v: with_options(task.program, v) for v in dict.fromkeys([*variants, OLD, TIGHT])}
    outcomes: dict[str, list[Outcome]] = {}
    with contextlib.ExitStack() as stack:
        # A worker for each, of which one at a time is busy: none ever has to forget a netlist.
        pools = {v: WorkerPool(1) for v in programs}
        for pool in pools.values():
            stack.enter_context(pool)
        for v, program in programs.items():
            outcomes[v] = simulate_uncharged([Job(program, s.design) for s in chosen], pools[v])
        measured = [
            k
            for k, o in enumerate(outcomes[TIGHT])
            if o.status in (Status.OK, Status.MEASURE_FAILED)
        ]
        designs = [chosen[k].design for k in measured]
        seconds = _transient_seconds(pools, programs, designs, rounds)
    return [
        _comparison(task, v, chosen, outcomes[v], outcomes[TIGHT], measured, seconds)
        for v in variants
    ]


def _comparison(
    task: Task,
    options: str,
    chosen: Sequence[Sample],
    outcomes: Sequence[Outcome],
    tight: Sequence[Outcome],
    measured: Sequence[int],
    seconds: Mapping[str, Sequence[float]],
) -> Comparison:
    largest: dict[tuple[str, str], Shift] = {}
    flips = []
    for k in measured:
        sample = chosen[k]
        found = shifts(task, outcomes[k].metrics, tight[k].metrics)
        for metric, share in found.items():
            key = metric, sample.group
            limit = allowed(task, metric)
            if key not in largest or abs(share) > abs(largest[key].share):
                largest[key] = Shift(metric, sample.group, share, sample.label, limit)
        if flip := _flip(task, sample, outcomes[k], tight[k]):
            flips.append(flip)

    def ratio(base: str) -> float:
        pairs = zip(seconds[options], seconds[base], strict=True)
        return statistics.median(a / b for a, b in pairs) if seconds[options] else math.nan

    return Comparison(
        task=task.id, options=options, designs=len(measured),
        uncompared=tuple(s.label for k, s in enumerate(chosen) if k not in measured),
        shifts=tuple(largest.values()), flips=tuple(flips),
        time_to_tight=ratio(TIGHT), time_to_old=ratio(OLD),
    )  # fmt: skip


def _flip(task: Task, sample: Sample, outcome: Outcome, tight: Outcome) -> Flip | None:
    judged, truly = task.specs.judge(outcome.metrics), task.specs.judge(tight.metrics)
    if judged.feasible == truly.feasible:
        return None
    (metric, *_) = (m for m in truly.margins if (judged.margins[m] >= 0) != (truly.margins[m] >= 0))
    return Flip(
        sample.label, judged.feasible, truly.feasible,
        metric, judged.margins[metric], truly.margins[metric],
    )  # fmt: skip


def _transient_seconds(
    pools: Mapping[str, WorkerPool],
    programs: Mapping[str, Program],
    designs: Sequence[Design],
    rounds: int,
) -> dict[str, list[float]]:
    """CPU seconds of the transients alone, per design: the least of several interleaved rounds."""
    if not rounds:
        return {v: [] for v in programs}
    transients = {v: only_transients(p) for v, p in programs.items()}
    starts = {v: only_starts(p) for v, p in transients.items()}
    found: dict[str, list[float]] = {v: [] for v in programs}
    for design in designs:
        for v in programs:  # Netlists are loaded on first use, which is not what is timed.
            simulate_uncharged([Job(starts[v], design), Job(transients[v], design)], pools[v])
        least = dict.fromkeys(programs, math.inf)
        start = dict.fromkeys(programs, math.inf)
        # The tight one, a hundred times as long, is already well above the clock's noise.
        for number in range(rounds):
            for v in programs:
                if v != TIGHT or number == 0:
                    least[v] = min(least[v], _seconds(pools[v], transients[v], design))
                    start[v] = min(start[v], _seconds(pools[v], starts[v], design))
        for v in programs:
            found[v].append(max(least[v] - start[v], 1e-6))
    return found


def _seconds(pool: WorkerPool, program: Program, design: Design) -> float:
    """CPU seconds of the pool's one worker where Linux counts them, else elapsed ones."""
    before = _clock(pool)
    simulate_uncharged([Job(program, design)], pool)
    return _clock(pool) - before


def _clock(pool: WorkerPool) -> float:
    try:
        (worker,) = pool.process_ids
        spent = Path(f"/proc/{worker}/schedstat").read_text(encoding="ascii")
    except OSError:
        return time.perf_counter()
    return 1e-9 * int(spent.split()[0])


def table(comparison: Comparison) -> str:
    """The comparison as text: a row for each metric that moves, flips, and times."""
    name = comparison.options or "shipped"
    lines = [f"{comparison.task}, {name} against tight, {comparison.designs} designs"]
    if comparison.uncompared:
        lines[0] += f" (no tight result: {', '.join(comparison.uncompared)})"
    lines.append(f"  {'metric':16}{'allowed':>8}" + "".join(f"{g:>30}" for g in GROUPS))
    for metric in dict.fromkeys(s.metric for s in comparison.shifts):
        row = {s.group: s for s in comparison.shifts if s.metric == metric}
        if all(abs(s.share) < 5e-5 for s in row.values()):
            continue
        cells = "".join(f"{_cell(row.get(group)):>30}" for group in GROUPS)
        lines.append(f"  {metric:16}{next(iter(row.values())).allowed:8.0%}{cells}")
    lines += [
        f"  FLIP {f.label}: {_verdict(f.feasible)}, truly {_verdict(f.truly_feasible)} "
        f"({f.metric}: margin {f.margin:+.2%}, truly {f.true_margin:+.2%})"
        for f in comparison.flips
    ]
    if not math.isnan(comparison.time_to_old):
        lines.append(
            f"  CPU time of the transients: {comparison.time_to_tight:.3f} of the tight ones', "
            f"{comparison.time_to_old:.2f} of that with {OLD.split()[1]}"
        )
    return "\n".join(lines)


def _cell(shift: Shift | None) -> str:
    if shift is None:
        return ""
    return f"{shift.share:+.2%} {shift.label}" + ("" if shift.kept else " !")


def _verdict(feasible: bool) -> str:
    return "feasible" if feasible else "infeasible"


def to_json(comparison: Comparison) -> dict[str, object]:
    """JSON-able; a shift that is not finite becomes None."""
    record = asdict(comparison)
    for shift in record["shifts"]:
        shift["share"] = round(shift["share"], 6) if math.isfinite(shift["share"]) else None
    for name in ("time_to_tight", "time_to_old"):
        record[name] = None if math.isnan(record[name]) else round(record[name], 3)
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", help="only these, comma-separated")
    parser.add_argument("--pdk", default=DEFAULT_PDK)
    parser.add_argument("--also", action="append", default=[], metavar="OPTIONS")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; 0 for none")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    get_pdk(arguments.pdk).location()  # Says what to install where there are no models.
    names = [resolve_task(t) for t in arguments.tasks.split(",")] if arguments.tasks else task_ids()
    results = []
    for name in names:
        task = make_task(name, pdk=arguments.pdk)
        if not has_transient(task):
            continue
        variants = ["", OLD, *arguments.also]
        for comparison in compare(task, samples(task), variants, arguments.rounds):
            results.append(comparison)
            print(table(comparison), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "command": "python benchmarks/numerics.py " + " ".join(sys.argv[1:]),
            "pdk": arguments.pdk,
            "ngspice": str(simulator_version()),
            "tight": TIGHT,
            "old": OLD,
            "comparisons": [to_json(c) for c in results],
        }
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
