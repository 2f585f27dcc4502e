"""What does the language-model agent itself cost a turn, and what do faults on the wire change?

    python benchmarks/agent_turn.py --json benchmarks/results/agent_turn.json

The model is a seeded random walk behind a server on loopback (`tests/agents`), so all that is measured is
ours. For each task and tool format, a run of `--budget` designs, one a turn:

    agent     the agent's own work a turn: prompt, tools, context, transcript; no simulation, no wire
    wire      from the request to the reply: the `openai` package, HTTP, and the server's few hundred us
    faults    30 % of the requests go wrong, in turn in every way the tests know: the share of runs whose
              simulations and score are those of the undisturbed run
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import acs_gym
from acs_gym.simulation.pool import WorkerPool
from agents import openai_model
from agents.config import LlmConfig
from agents.llm import LlmAgent
from agents.transcript.records import Replied, read_transcript
from tests.agents import faulty
from tests.agents.policies import Walk

FAULTS = (*faulty.SERVER_FAULTS, *faulty.MODEL_FAULTS, *faulty.ODDITIES)


def run(
    task: acs_gym.Task,
    budget: int,
    pool: WorkerPool,
    path: Path,
    *,
    share: float = 0.0,
    seed: int = 0,
) -> tuple[acs_gym.Session, int]:
    """(the session, how often the server misbehaved) after a run."""
    with faulty.FaultyServer(Walk(task), share=share, seed=seed, faults=FAULTS) as server:
        config = LlmConfig(model="walk", base_url=server.url, timeout_s=5, retries=8)
        with task.session(budget, simulator=pool) as session:
            LlmAgent(config, transcript=path).run(session)
    return session, len(server.misbehaved)


def measure(name: str, budget: int, faulty_runs: int, pool: WorkerPool) -> dict[str, object]:
    task = acs_gym.make_task(name, pdk="generic")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transcript.jsonl"
        calm, _ = run(task, budget, pool, path)
        replies = [r for r in read_transcript(path) if isinstance(r, Replied)][1:]
        same = misbehaved = 0
        for seed in range(faulty_runs):
            session, count = run(task, budget, pool, path, share=0.3, seed=seed)
            same += session.history == calm.history and session.best == calm.best
            misbehaved += count
    own = [1e3 * r.agent_seconds for r in replies]
    wire = [1e3 * r.seconds for r in replies]
    return {
        "task": name,
        "turns": len(replies) + 1,
        "agent_ms_median": round(statistics.median(own), 2),
        "agent_ms_p95": round(statistics.quantiles(own, n=20)[-1], 2),
        "wire_ms_median": round(statistics.median(wire), 2),
        "faulty_runs": faulty_runs,
        "faults_injected": misbehaved,
        "same_history_and_score": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="ACS-OTA5T-v0,ACS-OpAmp-v0,ACS-FoldedCascode-v0")
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--faulty-runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # Pauses between attempts are no work, and would only make the measurement long.
    openai_model._FIRST_PAUSE_S, openai_model._LONGEST_PAUSE_S = 0.001, 0.002
    with WorkerPool(1) as pool:
        rows = [
            measure(name, arguments.budget, arguments.faulty_runs, pool)
            for name in arguments.tasks.split(",")
        ]
    print(
        "| task | turns | agent, ms a turn (95 %) | wire, ms | runs with 30 % faults, same result |"
    )
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['task']} | {row['turns']} | {row['agent_ms_median']} ({row['agent_ms_p95']}) "
            f"| {row['wire_ms_median']} | {row['same_history_and_score']} of {row['faulty_runs']} "
            f"({row['faults_injected']} faults) |"
        )
    if arguments.json:
        command = "python benchmarks/agent_turn.py " + " ".join(sys.argv[1:])
        arguments.json.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
