"""Cells as the harness wrote them, and ways to tamper with them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from acs_gym.task import make_task
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import RESULT, TRACE, Store
from leaderboard.running.plan import plan_cells
from leaderboard.trust.verification import of_cell, of_files
from leaderboard.trust.verify import Thoroughness, verify_cell
from tests.leaderboard.conftest import ROOT

Json = dict[str, Any]
WINNERS, ALL = Thoroughness(), Thoroughness(all_designs=True)


def verify(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m leaderboard.verify` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "leaderboard.verify", *arguments], cwd=ROOT, text=True,
        capture_output=True, env={**os.environ, **(env or {})}, timeout=80, check=False,
    )  # fmt: skip


def invoke(main: Callable[..., None], *arguments: object) -> Result:
    """A command in this process; `exit_code`, `stdout` and `stderr` as a shell sees them."""
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def run_and_store(store: Store, agent: str, *, tier: str = "tt", budget: int = 6) -> str:
    (cell,) = plan_cells(
        ["ACS-OTA5T-v0"], [f"tests.leaderboard.tampering:{agent}" if agent[0].isupper() else agent],
        repetitions=1, pdk="generic", tier=tier, budget=budget, suite_seed=0,
    )  # fmt: skip
    store.finish(run_cell(cell.spec, cell.key, store, lambda _n, _best: None))
    return cell.key


class Repeats:
    """Two designs of its own, the first of them again, something that is no design, one more."""

    def run(self, session):
        first, second, third = (session.task.space.sample(session.rng) for _ in range(3))
        session.simulate([first, second, first])
        session.simulate({"w_pair": float("nan")})
        session.simulate([third])


def findings(folder: Path, how: Thoroughness = WINNERS) -> list[str]:
    return [f.text for f in verify_cell(Store(folder.parent), folder.name, how).findings]


def unfollowed(folder: Path) -> list[str]:
    """What does not follow from the rest of a readable cell, without simulating."""
    cell, damage = of_files(Store(folder.parent), folder.name)
    assert cell is not None
    found = [*damage, *of_cell(cell, make_task("ACS-OTA5T-v0", pdk="generic"))]
    return [f.text for f in found]


def edit_result(folder: Path, change: Callable[[Json], object]) -> None:
    data = json.loads((folder / RESULT).read_text())
    change(data)
    (folder / RESULT).write_text(json.dumps(data))


def edit_trace(folder: Path, change: Callable[[list[Json]], object]) -> None:
    """Edit the trace, and the result's digest of it, as a careful forger would."""
    lines = [json.loads(line) for line in (folder / TRACE).read_text().splitlines()]
    change(lines)
    raw = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / TRACE).write_bytes(raw)
    edit_result(folder, lambda r: r.update(trace_sha256=hashlib.sha256(raw).hexdigest()))
