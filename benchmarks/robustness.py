"""Does the simulator survive what optimisers throw at it, without a wrong digit?

    python benchmarks/robustness.py --json benchmarks/results/robustness.json

Four studies, each of which stops with an error at the first violation; the same command again goes on
where an interrupted one stopped:

    random        sizings uniform over the whole box: every outcome a status that fits its metrics,
                  the reference sizing bit-identical before, during and after
    pathological  bounds, NaN, inf, zero, huge, denormal, wrong types: the same
    memory        resident memory of one process over many evaluations in it
    killed        workers killed at random: every result arrives, equal to the undisturbed run
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from resumable import Parts

import acs_gym
from acs_gym import Evaluation, Status
from acs_gym.simulation.pool import InProcessSimulator, WorkerPool
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.simulation.version import simulator_version
from leaderboard.suites import resolve_task

CHUNK = 200
PART = 1_000  # Designs after which an interrupted study goes on.


def check(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"VIOLATION: {message}")


def consistent(evaluation: Evaluation) -> bool:
    """A status that fits the metrics: nothing measured when it failed, all of it when it is ok."""
    finite = [math.isfinite(v) for v in evaluation.metrics.values()]
    match evaluation.status:
        case Status.OK:
            return all(finite) and not evaluation.message
        case Status.MEASURE_FAILED:
            return not all(finite) and bool(evaluation.message)
        case _:
            return not any(finite) and evaluation.score == 0.0 and bool(evaluation.message)


def random_sizings(task: acs_gym.Task, designs: range) -> dict[str, object]:
    rng = np.random.default_rng(0)
    drawn = [task.space.sample(rng) for _ in range(designs.stop)][designs.start :]
    found: collections.Counter[str] = collections.Counter()
    slowest, feasible = 0.0, 0
    with WorkerPool(2) as pool:
        before = repr(task.session(simulator=pool).simulate(task.reference or {}))
        for start in range(0, len(drawn), CHUNK):
            chunk = drawn[start : start + CHUNK]
            began = time.monotonic()
            evaluations = task.session(simulator=pool).simulate(chunk)
            slowest = max(slowest, time.monotonic() - began)
            for design, evaluation in zip(chunk, evaluations, strict=True):
                check(consistent(evaluation), f"{design}: {evaluation}")
                check(evaluation.status is not Status.INFRA_ERROR, f"{design}: {evaluation}")
                found[str(evaluation.status)] += 1
                feasible += evaluation.feasible
            again = repr(task.session(simulator=pool).simulate(task.reference or {}))
            check(again == before, "the reference sizing changed")
    return {
        "sizings": len(drawn),
        "statuses": dict(found),
        "feasible": feasible,
        "slowest_chunk_s": round(slowest, 2),
    }


def strange_designs(task: acs_gym.Task, count: int) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(1)
    strange: list[object] = [
        math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e-310, 1e308, -1.0, 1e-30, 10**400,
        "12u", None, True, 1j, [1.0], np.float32(1e-6), np.int64(3), np.nan,
    ]  # fmt: skip
    names = task.space.names
    for k in range(count):
        if k % 3 == 0:  # A corner of the box: every parameter at one of its bounds.
            yield dict(task.space.from_unit(rng.integers(0, 2, len(names))))
        else:
            design: dict[str, object] = dict(task.space.sample(rng))
            for name in rng.choice(names, size=rng.integers(1, 4), replace=False):
                design[str(name)] = strange[rng.integers(len(strange))]
            if k % 7 == 0:
                design.pop(str(rng.choice(names)), None)
            yield design


def pathological(task: acs_gym.Task, designs: range) -> dict[str, object]:
    drawn = list(strange_designs(task, designs.stop))[designs.start :]
    found: collections.Counter[str] = collections.Counter()
    with WorkerPool(2) as pool:
        before = repr(task.session(simulator=pool).simulate(task.reference or {}))
        session = task.session(simulator=pool)
        for start in range(0, len(drawn), CHUNK):
            part = drawn[start : start + CHUNK]
            for design, evaluation in zip(part, session.simulate(part), strict=True):  # type: ignore[arg-type]
                check(consistent(evaluation), f"{design}: {evaluation}")
                found[str(evaluation.status)] += 1
        check(session.meter.used == len(drawn), "a strange design was not charged")
        after = repr(task.session(simulator=pool).simulate(task.reference or {}))
        check(after == before, "the reference sizing changed")
    return {"designs": len(drawn), "statuses": dict(found)}


def added(parts: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Parts of a study as one: counts are added, of seconds the most is kept."""
    whole: dict[str, Any] = {}
    for name, first in parts[0].items():
        values = [p[name] for p in parts]
        if isinstance(first, Mapping):
            whole[name] = dict(sum(map(collections.Counter, values), collections.Counter()))
        else:
            whole[name] = max(values) if name.endswith("_s") else sum(values)
    return whole


def memory(task: acs_gym.Task, count: int) -> dict[str, object]:
    """Half of the designs are local steps, half uniform, as in a run of an optimiser."""
    simulator = InProcessSimulator()
    rng = np.random.default_rng(2)
    centre = task.space.to_unit(task.reference or {})
    readings: list[int] = []
    for k in range(count):
        unit = centre + rng.normal(0, 0.02, len(centre)) if k % 2 else rng.random(len(centre))
        simulate_uncharged([task.job(task.space.from_unit(unit))], simulator)
        if k % (count // 20) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            readings.append(pages * os.sysconf("SC_PAGE_SIZE") // 1024)
    settled = readings[2:]  # The first tenth fills the cache of loaded netlists.
    return {
        "evaluations": count,
        "rss_kib": readings,
        "growth_after_first_tenth": round(settled[-1] / settled[0] - 1, 4),
    }


def killed(task: acs_gym.Task, count: int) -> dict[str, object]:
    rng = np.random.default_rng(3)
    designs = [task.space.sample(rng) for _ in range(count)]
    with WorkerPool(2) as pool:
        expected = task.session(simulator=pool).simulate(designs)
        stop, kills = threading.Event(), [0]

        def murder() -> None:
            while not stop.wait(float(rng.uniform(0.3, 0.9))):
                pids = pool.process_ids
                if pids:
                    try:
                        os.kill(int(rng.choice(pids)), signal.SIGKILL)
                        kills[0] += 1
                    except ProcessLookupError:
                        continue

        killer = threading.Thread(target=murder)
        killer.start()
        try:
            disturbed = task.session(simulator=pool).simulate(designs)
        finally:
            stop.set()
            killer.join()
    check(repr(disturbed) == repr(expected), "a killed worker changed or lost a result")
    return {"evaluations": count, "workers_killed": kills[0], "equal": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", help="with commas; default: every one")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--random", type=int, default=10_000)
    parser.add_argument("--pathological", type=int, default=2_000)
    parser.add_argument("--memory", type=int, default=20_000)
    parser.add_argument("--killed", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {
        "command": "python benchmarks/robustness.py " + " ".join(sys.argv[1:]),
        "pdk": arguments.pdk,
        "ngspice": str(simulator_version()),
    }
    given = arguments.tasks.split(",") if arguments.tasks else acs_gym.task_ids()
    tasks = [acs_gym.make_task(name, pdk=arguments.pdk) for name in map(resolve_task, given)]
    parts = Parts(arguments.json, {k: results[k] for k in ("pdk", "ngspice")})
    for task in tasks:
        drawn = {
            "random": (random_sizings, arguments.random),
            "pathological": (pathological, arguments.pathological),
        }
        found: dict[str, object] = {}
        for study, (of_range, count) in drawn.items():
            ranges = [range(k, min(k + PART, count)) for k in range(0, count, PART)]
            found[study] = added(
                [
                    parts.get(
                        f"{task.digest} {study} {r.start} {r.stop}", partial(of_range, task, r)
                    )
                    for r in ranges
                ]
            )
        if task.id == "ACS-OpAmp-v0":
            for study, of_count, count in (
                ("killed", killed, arguments.killed),
                ("memory", memory, arguments.memory),
            ):
                found[study] = parts.get(
                    f"{task.digest} {study} {count}", partial(of_count, task, count)
                )
        results[task.id] = found
        print(task.id, json.dumps(results[task.id], indent=1), flush=True)
    parts.finish(results)


if __name__ == "__main__":
    main()
