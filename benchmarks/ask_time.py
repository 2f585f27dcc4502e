"""How long does a method think, and how much memory does it take?

    python benchmarks/ask_time.py --json benchmarks/results/ask_time.json
    python benchmarks/ask_time.py --methods composite-ei --parameters 27 --observations 100
    python benchmarks/ask_time.py --methods composite-ei,botorch-composite --batch 8

Each method gets the first observations of a real run on a circuit, a quarter of them initial designs and
the others those of composite-ei, which crowd about good designs as any method's do; then it is asked for
designs and told what they gave, a few times. (Of a smooth function of random points an acquisition is
flat to floats, and what searches it gives up at once.) With `--parameters` it is a function in closed
form instead, for sizes that no circuit has. One process a method, one thread. CPU time is what the
method takes on a core of its own; wall-clock time is shown beside it, and is longer on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import acs_gym
from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from acs_gym.threads import ONE_THREAD
from baselines.initial import initial_designs
from baselines.registry import METHODS, get_method

SPECS, ASKS = 9, 5
Answer = Callable[[Design], Evaluation]


def space_of(parameters: int) -> DesignSpace:
    sizes = (Parameter(f"w_{k}", 1e-6, 1e-4, "log", unit="m") for k in range(parameters - 1))
    return DesignSpace((*sizes, Parameter("m", 1, 16, integer=True)))


class Known:
    """Nine smooth metrics that pull in different directions."""

    def __init__(self, space: DesignSpace) -> None:
        rng = np.random.default_rng(0)
        self.space = space
        self.slopes = rng.normal(size=(SPECS, len(space)))
        self.sheet = SpecSheet(tuple(Spec(f"y{k}", ">=", 1.0) for k in range(SPECS)))

    def __call__(self, design: Design) -> Evaluation:
        unit = self.space.to_unit(design) - 0.5
        along = self.slopes @ unit
        values = np.exp(along + 0.5 * np.sin(3.0 * along) - 0.5)
        metrics = {f"y{k}": float(v) for k, v in enumerate(values)}
        if unit[0] > 0.4:
            metrics["y3"] = math.nan
        status = Status.MEASURE_FAILED if unit[0] > 0.4 else Status.OK
        return Evaluation.judged(design, status, metrics, self.sheet)


def recorded(task: acs_gym.Task, answer: Answer, observations: int) -> list[Evaluation]:
    """A run of composite-ei: what it asked for and was told."""
    initial = initial_designs(task.space, observations // 4, seed=0)
    method = get_method("composite-ei").for_task(task, seed=0, initial=initial)
    found: list[Evaluation] = []
    while len(found) < observations:
        found += [answer(d) for d in method.ask(1)]
        method.tell(found[-1:])
    return found


def measure(name: str, options: argparse.Namespace) -> dict[str, float | str]:
    task = acs_gym.make_task(options.task)
    if options.parameters:
        space = space_of(options.parameters)
        known: Answer = Known(space)
        start_from = initial_designs(space, options.observations, seed=0)
        trace = [known(d) for d in start_from]
        method = get_method(name).load()(space, seed=1, initial=[])
    else:
        session = task.session()
        known = session.simulate
        trace = recorded(task, known, options.observations)
        method = get_method(name).for_task(task, seed=1, initial=[])
    method.tell(trace)
    wall, cpu = [], []
    for _ in range(ASKS):
        start, start_cpu = time.perf_counter(), time.process_time()
        designs = method.ask(options.batch)
        taken, taken_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        evaluations = [known(d) for d in designs]
        start, start_cpu = time.perf_counter(), time.process_time()
        method.tell(evaluations)
        wall.append((taken + time.perf_counter() - start) / options.batch)
        cpu.append((taken_cpu + time.process_time() - start_cpu) / options.batch)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
    return {
        "method": name,
        "track": method.track,
        # The first one loads libraries.
        "cpu_s": round(float(np.median(cpu[1:])), 3),
        "cpu_s_worst": round(max(cpu[1:]), 3),
        "wall_s": round(float(np.median(wall[1:])), 3),
        "memory_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", default=",".join(m.name for m in METHODS), help="with commas")
    parser.add_argument("--task", default="ACS-LDO-v0", help="whose run it is, on sky130")
    parser.add_argument("--parameters", type=int, default=0, help="of a closed form, in its place")
    parser.add_argument("--observations", type=int, default=75)
    parser.add_argument("--batch", type=int, default=1, help="designs an ask; times are a design's")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    given = ("task", "parameters", "observations", "batch")
    size = [f"--{name}={getattr(arguments, name)}" for name in given]
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments)))
        return
    rows = []
    print("| method | sees | s/ask (CPU) | worst | wall | MiB |\n|---|---|---|---|---|---|")
    for name in arguments.methods.split(","):
        command = [sys.executable, "-W", "ignore", __file__, "--one", name, *size]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        )
        row = json.loads(done.stdout.splitlines()[-1])
        print("| " + " | ".join(str(v) for v in row.values()) + " |", flush=True)
        rows.append(row)
    if arguments.json:
        document = {
            "command": "python benchmarks/ask_time.py " + " ".join(sys.argv[1:]),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "rows": rows,
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
