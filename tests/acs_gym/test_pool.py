"""Workers die, hang and are interrupted; no result is lost and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.driver import LIBRARY_VARIABLE, SimulatorNotFound
from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.scratch import PREFIX, Scratch, remove_left_over


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    rng = np.random.default_rng(0)
    return [Job(task.program, task.space.sample(rng)) for _ in range(60)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone_within(pids: tuple[int, ...], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(alive(p) for p in pids):
            return True
        time.sleep(0.05)
    return False


def test_results_come_in_the_order_of_the_jobs(pool: WorkerPool, jobs: list[Job]) -> None:
    with WorkerPool(1) as single:
        assert [repr(o) for o in pool.run(jobs)] == [repr(o) for o in single.run(jobs)]
    assert pool.run([]) == []


def test_workers_killed_at_random_lose_nothing(jobs: list[Job]) -> None:
    with WorkerPool(2) as pool:
        expected = [repr(o) for o in pool.run(jobs)]
        stop = threading.Event()

        def murder() -> None:
            rng = np.random.default_rng(1)
            while not stop.wait(0.15):
                for pid in pool.process_ids:
                    if rng.random() < 0.5:
                        with_suppressed_kill(pid)

        killer = threading.Thread(target=murder)
        killer.start()
        try:
            # A job may be unlucky three times; what it must never have is a wrong result.
            for outcome, right in zip(pool.run(jobs), expected, strict=True):
                assert repr(outcome) == right or outcome.status is Status.INFRA_ERROR
        finally:
            stop.set()
            killer.join()
        assert [repr(o) for o in pool.run(jobs)] == expected


def with_suppressed_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_design_that_kills_three_workers_is_given_up(jobs: list[Job]) -> None:
    deadly = replace(jobs[0].program, decks=(), metrics=None, key="deadly")  # type: ignore[arg-type]
    with WorkerPool(2) as pool:
        outcomes = pool.run([jobs[0], Job(deadly, jobs[0].design), jobs[1]])
    assert [o.status for o in outcomes[::2]] != [Status.INFRA_ERROR] * 2
    assert outcomes[1].status is Status.INFRA_ERROR
    assert outcomes[1].message == "the simulator died 3 times on this design"


def test_a_silent_worker_is_killed_at_the_deadline_and_replaced(jobs: list[Job]) -> None:
    with WorkerPool(1, deadline_s=1.0) as pool:
        expected = repr(pool.run(jobs[:1])[0])
        (pid,) = pool.process_ids
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        outcome = pool.run(jobs[:1])[0]
        assert time.monotonic() - start < 10
        assert outcome.status is Status.TIMEOUT and "no answer within 1 s" in outcome.message
        assert not alive(pid)
        assert repr(pool.run(jobs[:1])[0]) == expected


def test_closing_ends_the_workers_and_removes_their_folders(jobs: list[Job]) -> None:
    pool = WorkerPool(2)
    pool.run(jobs[:4])
    pids = pool.process_ids
    folders = [Path(m.folder) for m in pool._members]
    assert len(pids) == 2 and all(f.is_dir() for f in folders)
    pool.close()
    pool.close()
    assert gone_within(pids, 5) and not any(f.exists() for f in folders)
    assert pool.run(jobs[:1])[0].status in (Status.OK, Status.MEASURE_FAILED)
    pool.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent_however_it_goes(number: signal.Signals) -> None:
    code = """
        import acs_gym, sys, time
        from acs_gym.simulation.pool import Job, WorkerPool
from acs_gym.simulation.scratch import PREFIX, Scratch, remove_left_over
        task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
        pool = WorkerPool(2)
        pool.run([Job(task.program, task.reference)] * 2)
        folders = [m.folder for m in pool._members]
        print(*pool.process_ids, *folders, flush=True)
        while True:
            pool.run([Job(task.program, task.reference)] * 50)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        # A background job of a shell ignores ^C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert parent.stdout is not None
        words = parent.stdout.readline().split()
        pids, folders = tuple(int(w) for w in words[:2]), [Path(w) for w in words[2:]]
        parent.send_signal(number)
        parent.wait(timeout=20)
        parent.stdout.close()
    finally:
        parent.kill()
    assert gone_within(pids, 10)
    end = time.monotonic() + 5
    while any(f.exists() for f in folders) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(f.exists() for f in folders)


def test_what_was_left_by_workers_that_were_killed_with_their_parent_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    claimed = Scratch()
    left, young, outside = (tmp_path / n for n in (f"{PREFIX}left", f"{PREFIX}young", "precious"))
    for folder in (left, young, outside):
        folder.mkdir()
        (folder / "file").touch()
    (link := tmp_path / f"{PREFIX}link").symlink_to(outside)
    for old in (left, Path(claimed.folder), outside, link):
        os.utime(old, (0, 0), follow_symlinks=False)
    remove_left_over.__wrapped__()
    assert not left.exists()
    assert Path(claimed.folder).is_dir() and young.is_dir() and (outside / "file").exists()
    claimed.close()
    assert not Path(claimed.folder).exists()


def test_a_script_without_a_main_guard_can_simulate(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        "import acs_gym\n"
        "task = acs_gym.make_task('ACS-OTA5T-v0', pdk='generic')\n"
        "with task.session(budget=1) as session:\n"
        "    print(session.simulate(task.reference).feasible)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_a_missing_libngspice_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: list[Job]
) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, str(tmp_path / "libngspice.so"))
    with WorkerPool(1) as pool, pytest.raises(SimulatorNotFound, match="is not a file; unset it"):
        pool.run(jobs[:1])
    monkeypatch.delenv(LIBRARY_VARIABLE)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    from acs_gym.simulation.driver import find_library

    with pytest.raises(SimulatorNotFound, match="sudo apt-get install libngspice0"):
        find_library()


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"deadline_s": 0.0}, {"deadline_s": np.inf}])
def test_a_pool_that_makes_no_sense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least one worker|positive and finite"):
        WorkerPool(**arguments)  # type: ignore[arg-type]


def test_a_user_s_start_up_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: list[Job], pool: WorkerPool
) -> None:
    expected = repr(pool.run(jobs[:3]))
    (tmp_path / ".spiceinit").write_text("set temp=125\noption temp=125\nset ngbehavior=hsa\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1) as fresh:
        assert repr(fresh.run(jobs[:3])) == expected
