"""Shared by every test: which PDKs are here, and workers that outlive a single test."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import acs_gym
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import circuit_folders
from acs_gym.simulation.pool import InProcessSimulator, Simulator, WorkerPool

ALL_PDKS = acs_gym.pdk_names()
ALL_TASKS = acs_gym.task_ids()
# The `circuit.toml` and the bench of `ota5t` as they are without a kit, for tests that edit them.
OTA_WITHOUT_KIT = Path(__file__).parent / "acs_gym" / "ota5t_without_kit"


def _pdk_param(name: str) -> object:
    try:
        acs_gym.get_pdk(name).location()
    except acs_gym.PdkNotFound as missing:
        return pytest.param(name, marks=pytest.mark.skip(reason=str(missing)))
    return name


needs_ngspice_program = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="the ngspice program is not on PATH"
)


def needs(pdk: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not acs_gym.get_pdk(pdk).available(),
        reason=f'{pdk} models are not on this machine; run "acs-gym pdk install {pdk}"',
    )


needs_sky130 = needs("sky130")
needs_gf180mcu = needs("gf180mcu")


# Circuits that differ in kind: an amplifier, a latch, a regulator.
_ON_EVERY_PDK = ("ACS-OTA5T-v0", "ACS-Comparator-v0", "ACS-LDO-v0")


def _pairs() -> list[object]:
    """Every task on SKY130, some on every PDK; each circuit's own proofs are on all it supports."""
    marked = {name: _pdk_param(name) for name in ALL_PDKS}
    found = []
    for task_id, folder in circuit_folders().items():
        circuit = load_circuit(folder).file
        for name in circuit.pdk if task_id in _ON_EVERY_PDK else ("sky130",):
            marks = getattr(marked[name], "marks", ())
            found.append(pytest.param(task_id, name, marks=marks, id=f"{task_id}-{name}"))
    return found


def tasks_on(pdk: str) -> list[str]:
    """Every task that has a sizing on a PDK."""
    folders = circuit_folders().items()
    return [task_id for task_id, folder in folders if pdk in load_circuit(folder).file.pdk]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of tasks and PDKs runs on the pairs there are."""
    own = [m.args[0] for m in metafunc.definition.iter_markers("parametrize")]
    taken = {
        n.strip() for names in own for n in (names.split(",") if isinstance(names, str) else names)
    }
    wanted = {"task_id", "pdk"} & set(metafunc.fixturenames) - taken
    if wanted == {"task_id", "pdk"}:
        metafunc.parametrize(("task_id", "pdk"), _pairs())
    elif wanted == {"pdk"}:
        metafunc.parametrize("pdk", [_pdk_param(name) for name in ALL_PDKS])
    elif wanted == {"task_id"}:
        metafunc.parametrize("task_id", ALL_TASKS)


@pytest.fixture
def pdk() -> str:
    """Every PDK whose models are here."""
    raise NotImplementedError  # abstract: see pytest_generate_tests


@pytest.fixture
def task_id() -> str:
    """Every registered task id."""
    raise NotImplementedError  # abstract: see pytest_generate_tests


@pytest.fixture
def task(task_id: str, pdk: str) -> acs_gym.Task:
    """Every task on every PDK it supports."""
    return acs_gym.make_task(task_id, pdk=pdk)


@pytest.fixture(scope="session")
def in_process() -> Simulator:
    """One ngspice inside the test process, for tests of results rather than of processes."""
    return InProcessSimulator()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, deadline_s=20) as workers:
        yield workers  # type: ignore[misc]


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server, and the paths that somebody asked it for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session", autouse=True)
def _key_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Results are signed with a key of this test run, and the user's is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACS_GYM_KEY_FILE", str(tmp_path_factory.mktemp("key") / "signing.key"))
        yield
