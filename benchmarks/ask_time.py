"""How long does a method think, and how much memory does it take?

    python benchmarks/ask_time.py --json benchmarks/results/ask_time.json

Each method gets 100 observations of a known function of 20 parameters (one of them an integer) with
nine specs, a tenth of them with a metric that could not be measured; then it is asked for a design
and told what it gave, a few times. One process a method, one thread. CPU time is what the method
takes on a core of its own; wall-clock time is shown beside it, and is longer on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from acs_gym.design import Design, DesignSpace, Parameter
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines.initial import initial_designs
from baselines.registry import METHODS, get_method

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SPECS, ASKS = 9, 5


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


def measure(name: str, parameters: int, observations: int) -> dict[str, float | str]:
    space = space_of(parameters)
    known = Known(space)
    initial = initial_designs(space, observations, seed=0)
    method = get_method(name).load()(space, seed=1, initial=initial)
    method.tell([known(d) for d in method.ask(observations)])
    wall, cpu = [], []
    for _ in range(ASKS):
        start, start_cpu = time.perf_counter(), time.process_time()
        designs = method.ask(1)
        taken, taken_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        evaluations = [known(d) for d in designs]
        start, start_cpu = time.perf_counter(), time.process_time()
        method.tell(evaluations)
        wall.append(taken + time.perf_counter() - start)
        cpu.append(taken_cpu + time.process_time() - start_cpu)
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
    parser.add_argument("--parameters", type=int, default=20)
    parser.add_argument("--observations", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = [f"--parameters={arguments.parameters}", f"--observations={arguments.observations}"]
    if arguments.one:
        found = measure(arguments.one, arguments.parameters, arguments.observations)
        print(json.dumps(found))
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
