"""Adversaries as cells of a leaderboard run: what the result says of them, and that it holds.

`test_wire_adversaries.py` and `test_wire_mcp.py` look at the wire alone; here everything is real.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from leaderboard.cells.records import CellStatus, Result
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import RESULT, SPEC, TRACE, Store
from leaderboard.running.plan import plan_cells
from leaderboard.trust.verify import verify_cell, verify_runs
from leaderboard.wire.isolation.levels import Subprocess
from tests.leaderboard.conftest import plan, run, small
from tests.leaderboard.tampering import ALL, edit_result, edit_trace, findings
from tests.leaderboard.wire_runs import adversary, running

FACTORIES = "tests.leaderboard.wire_runs"
BUDGET = 8
TOKEN = f"bomb-{os.urandom(8).hex()}"

# Agent: how it ended, what it was charged, what its result says.
WIRE = {
    "overspends": (CellStatus.OVER_BUDGET, BUDGET, "20 errors in a row, the last: 1 designs asked"),
    "fabricates": (CellStatus.COMPLETE, 1, ""),
    "reads_secrets": (CellStatus.COMPLETE, 0, ""),
    f"forks {TOKEN}": (CellStatus.COMPLETE, 1, ""),
    "floods_stdout": (CellStatus.COMPLETE, 1, ""),
    "floods_protocol lines": (CellStatus.AGENT_ERROR, 1, "20 errors in a row, the last: not JSON"),
    "bad_lines": (CellStatus.COMPLETE, 1, ""),
    "path_names": (CellStatus.COMPLETE, 7, ""),
    "kills_parent": (CellStatus.AGENT_ERROR, 1, "closed the conversation before finish"),
}
MCP = {
    "mcp_misbehaves overspends": (CellStatus.OVER_BUDGET, BUDGET, "20 errors in a row"),
    "mcp_misbehaves exits": (CellStatus.COMPLETE, 1, ""),
}
HANGING = dict.fromkeys(
    ("impatient_with_one_that_hangs", "impatient_with_a_client_that_hangs"),
    (CellStatus.AGENT_ERROR, 1, "did not say anything, or read, for 1 s"),
)
EXPECTED = {**WIRE, **MCP, **HANGING, "calls_out": (CellStatus.COMPLETE, 0, "")}


def needs(what: str):
    """Where the kernel does not allow it, there is nothing to see."""
    return pytest.mark.skipif(
        not Subprocess().record()[what], reason=f"{what} does not hold on this machine"
    )


def run_them_all(folder: Path, port: int) -> tuple[Store, dict[str, Result]]:
    """A run of every adversary, as a user starts it; their results by name."""
    commands = {n: adversary(*n.split()) for n in (*WIRE, *MCP)}
    commands["calls_out"] = adversary("calls_out", port)
    specs = {n: f"{'mcp' if n in MCP else 'stdio'}:{c}" for n, c in commands.items()}
    specs |= {n: f"{FACTORIES}:{n}" for n in HANGING}
    arguments = small(folder, ",".join(specs.values()), "--budget", str(BUDGET))
    done = run(*arguments, env={"HARNESS_SECRET": "hunter2"})
    assert done.returncode == 0, done.stderr
    store = Store(folder)
    results = {r.spec.agent: r for r in (store.load(k).result for k in store.finished())}
    return store, {n: results[spec] for n, spec in specs.items()}


def test_every_adversary_is_charged_what_it_simulated_and_its_result_says_how_it_ended(tmp_path):
    """One test, because the run takes a while and is the same for every question."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        store, results = run_them_all(tmp_path, listener.getsockname()[1])
        if Subprocess().record()["network_cut"]:
            with pytest.raises(BlockingIOError):
                listener.accept()

    ended = {n: (r.status, r.usage.simulations) for n, r in results.items()}
    assert ended == {n: (status, used) for n, (status, used, _) in EXPECTED.items()}
    for name, (_, _, message) in EXPECTED.items():
        result = results[name]
        assert message in result.message
        assert result.fingerprint["isolation"]["level"] == "subprocess"
        assert result.score == (result.verified.score if result.verified else 0) < 1
    assert results["path_names"].usage.failed == {"invalid_design": 7}

    logs = {n: store.cell(r.key) / "agent.log" for n, r in results.items()}
    assert "PATH=" in logs["reads_secrets"].read_text()
    if Subprocess().record()["harness_hidden"]:
        assert not [n for n, log in logs.items() if log.exists() and "hunter2" in log.read_text()]
    assert running(TOKEN) == []
    assert {r.label: r.findings for r in verify_runs(store, ALL, jobs=2) if r.findings} == {}


# Files of the harness


@pytest.fixture
def victim(finish):
    """A finished cell of somebody else."""
    return finish("Walker")


def cell_of(store: Store, agent: str) -> tuple[Result, list]:
    """A finished cell of an agent, and what it logged."""
    (cell,) = plan_cells(
        ["ACS-OTA5T-v0"], [agent], repetitions=1, pdk="generic", tier="tt", budget=6, suite_seed=0
    )
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    store.finish(result)
    log = (store.cell(cell.key) / "agent.log").read_text()
    return result, [json.loads(line) for line in log.splitlines()]


@needs("files_read_only")
def test_results_cannot_be_tampered_with_nor_their_folder_be_found(store, victim):
    before = {p: p.read_bytes() for p in store.cell(victim.key).iterdir()}
    result, (log,) = cell_of(store, f"stdio:{adversary('tampers', store.folder)}")
    assert set(log["done"].values()) == {"Read-only file system"} and not log["seen"]
    assert {p: p.read_bytes() for p in before} == before
    assert result.status is CellStatus.COMPLETE and result.usage.simulations == 2
    assert verify_cell(store, result.key, ALL).findings == ()


def test_where_they_can_it_is_found(store, victim, monkeypatch):
    """Without namespaces files are those of the user: what was forged, verification names."""
    monkeypatch.setenv("TEST_RUNS", str(store.folder))
    result, (log,) = cell_of(store, f"{FACTORIES}:one_that_tampers_without_namespaces")
    assert log["done"] == {
        f"{victim.key}/{RESULT}": "forged",
        f"{victim.key}/{TRACE}": "forged",
        f"{result.key}/{TRACE}": "forged",
    }
    assert result.score < 1
    for key in (victim.key, result.key):
        (found,) = findings(store.cell(key))
        assert found.startswith(f"files: {TRACE}: found is not the trace that the result was made")


# A trace of somebody else


def test_a_replayed_trace_is_simulated_again_and_its_scores_are_not_looked_at(store, victim):
    source = store.cell(victim.key)
    edit_trace(source, lambda lines: [t["evaluation"].update(score=0.99) for t in lines])
    result, (*refused, pairs) = cell_of(store, f"stdio:{adversary('replays', source)}")
    assert refused == [-32602] * 3
    assert [theirs for theirs, _ in pairs] == [0.99] * 6
    assert max(ours for _, ours in pairs) == result.score == victim.score
    assert result.status is CellStatus.COMPLETE and result.usage.simulations == 6
    assert verify_cell(store, result.key, ALL).findings == ()


@pytest.fixture
def copied(store, victim):
    """The victim's files under the key that a cell of another agent would have."""
    (cell,) = plan("Configured")
    return Path(shutil.copytree(store.cell(victim.key), store.cell(cell.key))), cell


def test_a_copied_trace_is_not_the_one_that_the_result_was_made_from(store, victim, finish):
    mine = store.cell(finish("Raises").key)
    shutil.copy(store.cell(victim.key) / TRACE, mine / TRACE)
    (found,) = findings(mine)
    assert found.startswith(f"files: {TRACE}: found is not the trace that the result was made from")


def test_a_copied_cell_bears_the_name_of_the_one_that_it_is_of(copied, victim):
    folder, _ = copied
    (found,) = findings(folder)
    assert found.startswith(f"files: {RESULT}: found is the result of {victim.key}")


def test_a_copied_cell_under_a_new_name_does_not_have_the_key_of_what_it_says(copied):
    folder, cell = copied
    edit_result(folder, lambda r: r.update(key=cell.key))
    assert [f.partition(": ")[0] for f in findings(folder)] == ["key"]
    # And of what it is said to be of, its configuration is another.
    edit_result(folder, lambda r: r["spec"].update(agent=cell.spec.agent))
    (folder / SPEC).write_text(cell.spec.model_dump_json())
    assert [f.partition(": ")[0] for f in findings(folder)] == ["key"]
