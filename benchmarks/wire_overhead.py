"""What does the wire cost a call?

    python benchmarks/wire_overhead.py --json benchmarks/results/wire_overhead.json

The same designs are simulated with closed-form metrics, so that nothing but the way to the simulator is
timed: by an agent in this process, and by one at the other end of `stdio` (Python, the SDK of
examples/third_party). The agent times each call itself. The difference is what the protocol costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

from acs_gym.session import Session
from acs_gym.task import make_task
from leaderboard.agents.analytic import AnalyticSimulator
from leaderboard.wire.command import LOG
from leaderboard.wire.isolation.levels import Subprocess
from leaderboard.wire.stdio import StdioAgent

SDK = Path(__file__).parents[1] / "examples" / "third_party"
AGENT = """
import json, random, sys, time
sys.path.insert(0, sys.argv[1])
batch = int(sys.argv[2])
from acs_gym_agent import connect
with connect("timer") as session:
    rng, took = random.Random(session.seed), []
    def draw(p):
        if p["integer"]:
            return rng.randint(int(p["low"]), int(p["high"]))
        return rng.uniform(p["low"], p["high"])
    while session.remaining >= batch:
        designs = [{p["name"]: draw(p) for p in session.task["parameters"]} for _ in range(batch)]
        start = time.perf_counter()
        session.simulate(designs)
        took.append(time.perf_counter() - start)
    print(json.dumps(took))
"""


def session_of(task_name: str, budget: int) -> Session:
    task = make_task(task_name, pdk="generic")
    return task.session(budget, seed=0, simulator=AnalyticSimulator(task))


def over_stdio(task_name: str, calls: int, batch: int) -> list[float]:
    """Seconds of each call, as the agent sees them."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "timer.py"
        script.write_text(AGENT)
        agent = StdioAgent(shlex.join([sys.executable, str(script), str(SDK), str(batch)]))
        agent.keep_files_in(Path(folder))
        with session_of(task_name, calls * batch) as session:
            agent.run(session)
        return list(json.loads((Path(folder) / LOG).read_text()))


def in_process(task_name: str, calls: int, batch: int) -> list[float]:
    """The same without a process in between."""
    took = []
    with session_of(task_name, calls * batch) as session:
        for _ in range(calls):
            designs = [session.task.space.sample(session.rng) for _ in range(batch)]
            start = time.perf_counter()
            session.simulate(designs)
            took.append(time.perf_counter() - start)
    return took


def row(task_name: str, calls: int, batch: int) -> dict[str, float | str | int]:
    wire, direct = (
        sorted(t * 1e3 for t in f(task_name, calls, batch)[calls // 10 :])
        for f in (over_stdio, in_process)
    )
    return {
        "task": task_name,
        "designs_per_call": batch,
        "calls": len(wire),
        "stdio_ms": round(statistics.median(wire), 3),
        "stdio_ms_90": round(wire[int(0.9 * len(wire))], 3),
        "in_process_ms": round(statistics.median(direct), 3),
        "overhead_ms": round(statistics.median(wire) - statistics.median(direct), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    isolation = Subprocess().record()
    rows = []
    print("| task | designs a call | stdio (ms) | 90 % below | in process (ms) | overhead (ms) |")
    print("|---|---|---|---|---|---|")
    for task_name in ("ACS-OTA5T-v0", "ACS-OpAmp-v0"):
        for batch in (1, 8):
            found = row(task_name, arguments.calls, batch)
            rows.append(found)
            shown = (v for k, v in found.items() if k != "calls")
            print("| " + " | ".join(map(str, shown)) + " |", flush=True)
    if arguments.json:
        document = {
            "command": "python benchmarks/wire_overhead.py " + " ".join(sys.argv[1:]),
            "what": "medians of the time of a simulate call; analytic simulator; first tenth left out",
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2),
            "isolation": isolation,
            "rows": rows,
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
