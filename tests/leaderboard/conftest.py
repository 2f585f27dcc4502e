"""A leaderboard run as a user starts it, and cells without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store
from leaderboard.running.plan import plan_cells

ROOT = Path(__file__).parents[2]
AGENTS = "tests.leaderboard.agents"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "leaderboard.run", *arguments]


def start(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # A background job of a shell ignores ^C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m leaderboard.run` to its end."""
    process = start(*arguments, env=env)
    out, err = process.communicate(timeout=80)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def small(out: Path, agents: str, *more: str) -> list[str]:
    """The options of a run that takes a few seconds, with our bundled models."""
    return [
        "--tasks", "ota5t", "--pdk", "generic", "--agents", agents, "--budget", "6",
        "--seeds", "1", "--jobs", "2", "--out", str(out), *more,
    ]  # fmt: skip


def results(out: Path) -> dict[tuple[str, int], dict]:
    """Every result below a folder, by agent (the class's name alone) and repetition."""
    found = [json.loads(p.read_text()) for p in out.glob("*/result.json")]
    return {(r["spec"]["agent"].rpartition(":")[2], r["spec"]["repetition"]): r for r in found}


def plan(agent: str, *, budget: int = 6, repetitions: int = 1):
    """Cells of one agent on the OTA with the bundled models."""
    spec = agent if agent.islower() else f"{AGENTS}:{agent}"
    return plan_cells(
        ["ACS-OTA5T-v0"], [spec], repetitions=repetitions, pdk="generic", tier="tt",
        budget=budget, suite_seed=0,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def finish(store: Store):
    """Run one cell of an agent in this process and store it."""

    def _finish(agent: str, *, budget: int = 6):
        cell = plan(agent, budget=budget)[0]
        result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
        store.finish(result)
        return result

    return _finish
