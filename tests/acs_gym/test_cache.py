"""The evaluation cache: the same bits, quicker; never a free simulation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.cache import CachedSimulator, CacheError
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool

DESIGN = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").reference or {}


@pytest.fixture(scope="module")
def task() -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="mc3")


class Never(Simulator):
    """Fails the test if anything reaches it."""

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        raise AssertionError(f"{len(jobs)} jobs were not in the cache")


def test_a_hit_is_the_same_evaluation_bit_for_bit(task: acs_gym.Task, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    designs = [DESIGN, *(task.space.sample(rng) for _ in range(8))]
    plain = task.session().simulate(designs)
    with CachedSimulator(WorkerPool(1), tmp_path) as first:
        assert task.session(simulator=first).simulate(designs) == plain
        assert (first.hits, first.misses) == (0, 27)
    with CachedSimulator(Never(), tmp_path) as second:
        assert task.session(simulator=second).simulate(designs) == plain
        assert (second.hits, second.misses) == (27, 0)


def test_a_hit_is_charged_like_any_simulation(task: acs_gym.Task, tmp_path: Path) -> None:
    with CachedSimulator(WorkerPool(1), tmp_path) as simulator:
        task.session(simulator=simulator).simulate(DESIGN)
        session = task.session(budget=6, simulator=simulator)
        session.simulate(DESIGN)
        assert session.meter.used == 3 and simulator.hits == 3
        session.simulate(DESIGN)
        with pytest.raises(acs_gym.BudgetExhausted):
            session.simulate(DESIGN)


def test_another_program_design_condition_or_draw_is_another_key(
    task: acs_gym.Task, tmp_path: Path
) -> None:
    job = task.job(DESIGN, 0)
    others = [
        replace(job, program=replace(job.program, key="another")),
        replace(job, design={**job.design, "i_bias": 2 * job.design["i_bias"]}),
        replace(job, conditions={"temperature": 85.0}),
        replace(job, mismatch={}),
    ]
    with CachedSimulator(WorkerPool(1), tmp_path) as simulator:
        simulator.run([job])
        simulator.run(others)
        assert simulator.hits == 0
        simulator.run([job, *others])
        assert simulator.hits == 5


def test_failures_that_are_not_the_design_s_are_not_remembered(
    task: acs_gym.Task, tmp_path: Path
) -> None:
    class Unlucky(Simulator):
        def run(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [Outcome(s, {}, "x") for s in (Status.TIMEOUT, Status.INFRA_ERROR)]

    jobs = [task.job(DESIGN, k) for k in (0, 1)]
    CachedSimulator(Unlucky(), tmp_path).run(jobs)
    with CachedSimulator(WorkerPool(1), tmp_path) as simulator:
        assert [o.status for o in simulator.run(jobs)] == [Status.OK, Status.OK]


def test_waveforms_are_simulated_and_not_stored(task: acs_gym.Task, tmp_path: Path) -> None:
    job = task.job(DESIGN, 0, waveforms=True)
    with CachedSimulator(WorkerPool(1), tmp_path) as simulator:
        for _ in range(2):
            assert simulator.run([job])[0].waveforms["loop"]
        assert simulator.hits == 0


def test_many_processes_share_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys, acs_gym, numpy as np\n"
        "from acs_gym.simulation.cache import CachedSimulator\n"
        "from acs_gym.simulation.pool import WorkerPool\n"
        "task = acs_gym.make_task('ACS-OTA5T-v0', pdk='generic')\n"
        "rng = np.random.default_rng(0)\n"
        "with CachedSimulator(WorkerPool(1), sys.argv[1]) as simulator:\n"
        "    session = task.session(simulator=simulator)\n"
        "    print([session.simulate(task.space.sample(rng)).score for _ in range(30)])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [p.communicate(timeout=60)[0] for p in running]
    assert [p.returncode for p in running] == [0, 0, 0] and len(set(outputs)) == 1


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="give another folder"):
        CachedSimulator(Never(), tmp_path / "file")
    (tmp_path / "evaluations.sqlite").write_text("not a database" * 100)
    with pytest.raises(CacheError, match="delete the file"):
        CachedSimulator(Never(), tmp_path)
