"""What every backend owes: all cells done, once, with the same bytes; and nothing left running.

Slurm is played by submitit's local executor, which runs an array's tasks as processes, and by scripts
that answer as its commands do; one test runs on a real cluster, where there is one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.run import app
from leaderboard.running.backends import find_backend, parse_options, slurm
from leaderboard.running.plan import plan_cells
from tests.leaderboard.conftest import small
from tests.leaderboard.test_run import alive, comparable

AGENTS = "tests.leaderboard.backend_agents"


class Heard:
    """An observer that keeps what it hears, and may do something about it."""

    def __init__(self, on_advanced=lambda heard: None):
        self.events, self.notes = [], []
        self._on_advanced = on_advanced

    def started(self, cell):
        self.events.append(("started", cell.key))

    def advanced(self, cell, simulations, best):
        self.events.append(("advanced", cell.key))
        self._on_advanced(self)

    def finished(self, cell):
        self.events.append(("finished", cell.key))

    def note(self, text):
        self.notes.append(text)

    def tick(self):
        pass

    def keys(self, kind):
        return [key for event, key in self.events if event == kind]


def plan(*agents, budget=3, repetitions=1):
    return plan_cells(
        ["ACS-OTA5T-v0"], agents, repetitions=repetitions, pdk="generic", tier="tt",
        budget=budget, suite_seed=0,
    )  # fmt: skip


def store_in(folder):
    folder.mkdir()
    return Store(folder)


def attempts(store):
    """Process ids of the attempts at each cell."""
    return {p.parent.name: p.read_text().split() for p in store.folder.glob("*/attempts")}


@pytest.fixture(autouse=True)
def interruptible():
    """As from a terminal: a background job of a shell ignores ^C, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def interrupt_after(cells):
    """Ctrl-C, once so many cells have simulated something."""

    def on_advanced(heard):
        if len(set(heard.keys("advanced"))) == cells:
            raise KeyboardInterrupt

    return on_advanced


def test_what_an_agent_does_to_its_process_is_done_to_no_other_agents_cells(tmp_path):
    apart, beside = store_in(tmp_path / "apart"), store_in(tmp_path / "beside")
    (alone,) = plan("random")
    find_backend("local")(apart, 1, Heard()).run([alone])
    hog, after = plan(f"{AGENTS}:Hog", "random")
    find_backend("local")(beside, 1, Heard()).run([hog, after])
    mine = {
        path: kept for path, kept in comparable(beside.folder).items() if path.startswith(after.key)
    }
    assert mine == comparable(apart.folder)
    held, then = (beside.result(c.key).timing.peak_memory_mib for c in (hog, after))
    assert held is None or then < held - 200


def test_a_process_whose_agent_is_done_ends_in_its_own_time_while_the_next_one_runs(tmp_path):
    store = store_in(tmp_path / "runs")
    slow, after = plan(f"{AGENTS}:EndsSlowly", "random")
    find_backend("local")(store, 1, heard := Heard()).run([slow, after])
    assert (store.cell(slow.key) / "ended").exists()
    assert heard.keys("finished") == [slow.key, after.key] and heard.notes == []


def test_an_array_does_what_processes_of_this_machine_do(tmp_path):
    # A command relative to the working directory, and a process that dies.
    agents = ["sobol", "stdio:sh examples/third_party/random_agent.sh"]
    agents.append("tests.leaderboard.agents:DiesAlways")
    cells = plan(*agents)
    here, there = store_in(tmp_path / "here"), store_in(tmp_path / "there")
    find_backend("local")(here, 2, Heard()).run(cells)
    heard = Heard()
    backend = find_backend("slurm:cluster=local,cells=2")(there, None, heard)
    backend.run(cells)
    assert backend.failures == []
    assert comparable(here.folder) == comparable(there.folder)
    assert sorted(heard.keys("started")) == sorted(c.key for c in cells)
    assert sorted(heard.keys("finished")) == sorted(c.key for c in cells)
    assert [n.partition(": ")[2] for n in heard.notes] == [
        "its process died (killed by SIGKILL); trying once more",
        "its process died 2 times, last killed by SIGKILL; it counts as 0",
    ]
    assert not list(there.folder.glob(".acs-gym-run-*"))


def test_an_interrupted_array_ends_its_tasks_and_goes_on_where_it_was(tmp_path):
    store = store_in(tmp_path / "out")
    (left := store.folder / ".acs-gym-run-killed").mkdir()
    cells = plan(f"{AGENTS}:Gated", repetitions=2)
    with pytest.raises(KeyboardInterrupt):
        find_backend("slurm:cluster=local")(store, None, Heard(interrupt_after(2))).run(cells)
    first = attempts(store)
    assert len(first) == 2
    wait_until(lambda: not any(alive(pid) for pids in first.values() for pid in pids))
    assert store.finished() == [] and not left.exists()
    assert not list(store.folder.glob(".acs-gym-run-*"))

    (store.folder / "gate").touch()
    backend = find_backend("slurm:cluster=local,cells=2")(store, None, Heard())
    backend.run(cells)
    assert backend.failures == []
    assert store.finished() == sorted(c.key for c in cells)
    assert all(store.load(key) for key in store.finished())


def test_a_task_that_slurm_preempts_is_queued_again(tmp_path, monkeypatch):
    from submitit.local.local import LocalExecutor

    submitted = []
    submit = LocalExecutor._submit_command
    monkeypatch.setattr(
        LocalExecutor, "_submit_command",
        lambda self, command: submitted.append(submit(self, command)) or submitted[-1],
    )  # fmt: skip
    store = store_in(tmp_path / "out")

    def preempt(heard):
        if len(heard.keys("advanced")) == 1:
            pid = attempts(store)[heard.events[0][1]][0]
            (task,) = children(submitted[0]._process.pid)
            # What Slurm sends before it takes the machine away.
            os.kill(task, signal.SIGUSR2)
            wait_until(lambda: not alive(pid))
            (store.folder / "gate").touch()

    backend = find_backend("slurm:cluster=local")(store, None, Heard(preempt))
    (cell,) = plan(f"{AGENTS}:Gated")
    backend.run([cell])
    assert backend.failures == [] and store.load(cell.key)
    assert len(attempts(store)[cell.key]) == 2


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as stream:
        return [int(p) for p in stream.read().split()]


def test_a_cell_that_did_not_run_is_a_line_and_not_a_loss_in_silence(tmp_path):
    store = store_in(tmp_path / "out")
    (cell,) = plan("sobol")
    store.cell(cell.key).write_text("in the way")
    heard = Heard()
    backend = find_backend("slurm:cluster=local")(store, None, heard)
    backend.run([cell])
    assert heard.notes == backend.failures and len(backend.failures) == 1
    assert cell.spec.label in backend.failures[0] and "FileExistsError" in backend.failures[0]
    assert heard.keys("finished") == [cell.key]


def test_the_batch_script_asks_slurm_for_what_was_given(tmp_path, monkeypatch):
    """Through a stand-in for sbatch, as there is no Slurm here: what it is handed, it is handed."""
    programs_of(tmp_path, monkeypatch, srun="", sbatch=f'cp "$1" {tmp_path}/script; echo job 7')
    store = store_in(tmp_path / "out")
    given = "partition=cpu,nodelist=n1,n2,time=90,cpus=4,cells=8,mem=4G,setup=module load ngspice"
    backend = find_backend(f"slurm:{given}")(store, 6, Heard())
    from leaderboard.running.backends.remote import Errand, run_folder

    with run_folder(store) as run:
        cells = plan("sobol", repetitions=20)
        chunks = backend._options.chunks(cells)
        assert [len(c) for c in chunks] == [8, 8, 4]
        jobs = backend._submit([Errand.of(c, store, run) for c in chunks], run)
    script = (tmp_path / "script").read_text().splitlines()
    for line in (
        "--partition=cpu", "--nodelist=n1,n2", "--time=90", "--cpus-per-task=4", "--mem=4G",
        "--array=0-2%2", "--job-name=acs-gym",
    ):  # fmt: skip
        assert f"#SBATCH {line}" in script
    assert "module load ngspice" in script
    assert [job.job_id for job, _ in jobs] == ["7_0", "7_1", "7_2"]


def programs_of(tmp_path, monkeypatch, **scripts):
    """Slurm's commands, played by shell scripts in front of PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return programs


@pytest.mark.parametrize(
    ("squeue", "gone"),
    [
        ("echo 7_1", ["7_0"]),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", ["7_0", "7_1"]),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", []),
    ],
)
def test_a_task_that_is_missing_from_the_queue_twice_has_left_it(
    tmp_path, monkeypatch, squeue, gone
):
    programs_of(tmp_path, monkeypatch, squeue=squeue)
    monkeypatch.setattr(slurm, "_BETWEEN_LOOKS_S", 0.0)
    queue = slurm._Queue()
    tasks = [SimpleNamespace(job_id=name) for name in ("7_0", "7_1")]
    assert [t.job_id for t in tasks[:1] if queue.has_left(t)] == []
    assert [t.job_id for t in tasks if queue.has_left(t)] == gone


def test_a_cancelled_task_ends_the_waiting_though_slurm_keeps_no_accounts(tmp_path, monkeypatch):
    programs_of(
        tmp_path, monkeypatch,
        srun="", scancel="", sacct="exit 1", squeue="",
        sbatch='sed -n "s/^#SBATCH --error=//p" "$1" | sed s/%A/7/ | '
        "while read log; do echo 'CANCELLED AT noon' > $(echo $log | sed s/%a/0/); done; echo job 7",
    )  # fmt: skip
    monkeypatch.setattr(slurm, "_BETWEEN_LOOKS_S", 0.0)
    backend = find_backend("slurm:partition=cpu")(
        store_in(tmp_path / "out"), None, heard := Heard()
    )
    cells = plan("sobol", repetitions=2)
    backend.run(cells)
    first, second = (c.spec.label for c in cells)
    lost = "left the queue before it was done"
    assert sorted(backend.failures) == [
        f"{first}: job 7_0 {lost}; it said last: CANCELLED AT noon", f"{second}: job 7_1 {lost}"
    ]  # fmt: skip
    assert sorted(heard.keys("finished")) == sorted(c.key for c in cells)


@pytest.mark.skipif(
    shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
    reason="there is no Slurm cluster here",
)
def test_on_a_cluster_cells_are_what_they_are_here_and_a_cancelled_one_is_named(tmp_path):
    cells = plan("sobol", f"{AGENTS}:Gated")
    here, there = store_in(tmp_path / "here"), store_in(tmp_path / "there")

    def cancel(heard):
        if len(set(heard.keys("advanced"))) == 2:
            subprocess.run(["scancel", "--name=acs-gym"], check=True)

    find_backend("local")(here, 1, Heard()).run(cells[:1])
    backend = find_backend("slurm:time=5")(there, None, Heard())
    backend.run(cells[:1])
    assert backend.failures == [] and comparable(here.folder) == comparable(there.folder)
    backend = find_backend("slurm:time=5")(store_in(tmp_path / "more"), None, Heard(cancel))
    backend.run(cells[1:] + plan(f"{AGENTS}:Gated", repetitions=2)[1:])
    assert len(backend.failures) == 2 and all("left the queue" in f for f in backend.failures)


def test_where_there_is_no_slurm_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    store = store_in(tmp_path / "out")
    with pytest.raises(LeaderboardError, match=r"--backend slurm: .*slurm cluster"):
        find_backend("slurm:partition=cpu")(store, None, Heard()).run(plan("sobol"))
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("slrum", "did you mean slurm"),
        ("local:jobs=2", "takes no options"),
        ("slurm:partitoin=cpu", "did you mean partition"),
        ("slurm:time=1:00:00", "time=1:00:00; it must be a whole number of minutes"),
        ("slurm:cpus=0", "cpus=0; it must be a whole number, at least 1"),
        ("slurm:cluster=condor", "no cluster of --backend slurm called 'condor'"),
        ("slurm:cpu", "'cpu' is no option; write KEY=VALUE"),
        ("ray:adress=x", "did you mean address"),
    ],
)
def test_wrong_options_are_answered_with_what_to_type(spec, message):
    with pytest.raises(LeaderboardError) as refused:
        find_backend(spec)
    assert message in str(refused.value)


def test_a_backend_that_there_is_not_is_said_before_a_folder_is_made(tmp_path):
    out = tmp_path / "runs"
    done = CliRunner().invoke(app, [*small(out, "random"), "--backend", "slrum"])
    assert done.exit_code == 2 and "did you mean slurm" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_the_extra_it_says_which_to_install(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LeaderboardError, match=rf"pip install 'acs-gym\[{name}\]'"):
        find_backend(name)


def test_a_part_without_a_key_belongs_to_the_value_before_it():
    assert parse_options("nodelist=n[1-3,5],time=9") == {"nodelist": "n[1-3,5]", "time": "9"}
