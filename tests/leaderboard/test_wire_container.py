"""The level `container`: an agent that sees the files that its command names, and no others."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from leaderboard.agents.conformance import Verdict, check
from leaderboard.agents.registry import build
from leaderboard.cells.records import CellStatus
from leaderboard.cells.runner import run_cell
from leaderboard.contract import agent_config, agent_isolation
from leaderboard.errors import LeaderboardError
from leaderboard.running.plan import plan_cells
from leaderboard.wire.isolation import confined as confining
from leaderboard.wire.isolation import syscalls
from leaderboard.wire.isolation.levels import Container, Subprocess
from leaderboard.wire.isolation.probe import key_of_this_session
from leaderboard.wire.isolation.visible import Visible, visible
from leaderboard.wire.mcp import McpAgent
from leaderboard.wire.stdio import StdioAgent
from tests.leaderboard.wire_runs import ADVERSARIES, EXAMPLES, adversary, drive

CONTAINER = Container()
NUMBERS = json.dumps(syscalls.here())
ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
needs_container = pytest.mark.skipif(
    CONTAINER.record()["level"] != "container", reason="this machine has no level container"
)

MINE = """
from acs_gym_agent import connect
with connect("mine") as session:
    session.simulate({p["name"]: p["low"] for p in session.task["parameters"]})
    from pathlib import Path
    here = Path(__file__).parent
    print(sorted(p.name for p in here.glob("*.py")), (here.parent / "sibling").exists())
"""


@pytest.fixture
def mine(tmp_path):
    """An agent's folder, with a file that is not its own beside it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "__main__.py").write_text(MINE)
    shutil.copy(EXAMPLES / "acs_gym_agent.py", folder)
    (tmp_path / "sibling").write_text("not the agent's")
    return folder


def cell_of(agent: str):
    (cell,) = plan_cells(
        ["ACS-OTA5T-v0"], [agent], repetitions=1, pdk="generic", tier="tt", budget=2, suite_seed=0
    )
    return cell


# What it cannot do


@needs_container
def test_nothing_is_handed_on_nor_simulated_beside_the_meter_nor_filled(tmp_path):
    """One run, because the adversary tries everything at once. A word is left for it in the kernel."""
    word = f"acs-gym-test-{os.urandom(6).hex()}"
    small = Container(folder_bytes=3 << 20)
    with key_of_this_session(word):
        run = drive(adversary("hands_on", word, NUMBERS, ADVERSARIES), tmp_path, isolation=small)
    assert run.error is None, run.error
    (said,) = run.said
    written, refusal = said.pop("folder")
    assert written <= 3 and refusal == "ENOSPC"
    assert said == {
        "found": "EPERM", "left": "EPERM", "namespace": "EPERM", "io_uring": "EPERM",
        "simulator": [], "program": 0, "harness": False,
    }  # fmt: skip
    assert run.record["isolation"]["level"] == "container"
    assert run.record["isolation"]["held"].keys() >= {"keyring", "calls", "cgroup"}


def test_a_key_of_the_harness_is_not_found_in_any_level(tmp_path):
    """There it may use the kernel's keyrings; but its session has one of its own."""
    word = f"acs-gym-test-{os.urandom(6).hex()}"
    with key_of_this_session(word):
        run = drive(adversary("hands_on", word, NUMBERS), tmp_path)
    assert run.said[0]["found"] != ""


def test_its_time_is_over_at_some_time(tmp_path):
    run = drive(adversary("hangs"), tmp_path, isolation=Subprocess(wall_seconds=2))
    assert "its time was over" in run.log and "it was ended" in str(run.error)


@pytest.fixture
def delegated(tmp_path):
    """A folder that looks like what the kernel shows of a control group that is delegated."""
    with open("/proc/self/cgroup") as stream:
        own = next((line.strip()[3:] for line in stream if line.startswith("0::")), None)
    if own is None:
        pytest.skip("this kernel has no control groups of version 2")
    folder = tmp_path / own.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.subtree_control").write_text("cpu memory pids")
    return tmp_path


def test_a_control_group_is_made_where_one_is_delegated(delegated, monkeypatch):
    monkeypatch.syspath_prepend(Path(confining.__file__).parent)
    from leaderboard.wire.isolation.supervisor import _control_group

    limits = {"memory.max": 5 << 30, "pids.max": 77}
    group = Path(_control_group(limits, root=str(delegated)))
    assert {p.name: int(p.read_text()) for p in group.iterdir()} == limits
    next(delegated.rglob("cgroup.subtree_control")).write_text("cpu")
    assert _control_group(limits, root=str(delegated)) is None


# What it sees


@needs_container
def test_a_folder_that_it_names_is_seen_whole_and_what_lies_beside_it_is_not(mine, tmp_path):
    run = drive(f"{PYTHON} {mine}/", tmp_path, isolation=CONTAINER)
    assert run.error is None, run.error
    assert run.log == "['__main__.py', 'acs_gym_agent.py'] False\n"


@needs_container
def test_of_a_file_that_it_names_nothing_else_of_its_folder_is_seen(mine, tmp_path):
    run = drive(f"{PYTHON} {mine}/__main__.py", tmp_path, isolation=CONTAINER)
    assert "No module named 'acs_gym_agent'" in str(run.error)
    assert "it sees the files and folders that its command names, and no other" in str(run.error)
    run = drive(
        f"{PYTHON} {mine}/__main__.py {mine}/acs_gym_agent.py", tmp_path, isolation=CONTAINER
    )
    assert run.error is None
    assert run.log.splitlines()[-1] == "['__main__.py', 'acs_gym_agent.py'] False"


@needs_container
def test_nothing_else_is_found_by_any_way_nor_written(tmp_path, monkeypatch):
    """One run, because the adversary looks for everything at once."""
    monkeypatch.setenv("HARNESS_SECRET", "hunter2")
    secret = tmp_path / "secret"
    secret.write_text("for everybody to read")
    secret.chmod(0o644)
    descriptor, in_tmp = tempfile.mkstemp(dir="/tmp")
    os.close(descriptor)
    skip = {"/proc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}
    skip |= {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
    found = {
        "files": [
            str(secret), in_tmp, str(ROOT / "README.md"), str(ADVERSARIES.parent / "conftest.py"),
            "/etc/shadow", "/etc/hostname", "/dev/vda", "/dev/sda", "/dev/mem", "/proc/1/fd/2",
            str(tmp_path / "agent.log"), os.path.expanduser("~/.bashrc"),
        ],
        "folders": [
            "/", "/etc", "/dev", "/usr/bin", "/proc", sys.prefix, sys.base_prefix, str(ADVERSARIES),
            str(ROOT), str(tmp_path), os.path.expanduser("~"),
        ],
        "skip": sorted(skip),
    }  # fmt: skip
    try:
        run = drive(
            adversary("looks_around", json.dumps(found), ADVERSARIES), tmp_path, isolation=CONTAINER
        )
    finally:
        os.unlink(in_tmp)
    assert run.error is None, run.error
    (said,) = run.said
    # A path of /tmp leads through folders of a /tmp that is the agent's own.
    own = [p for p in (sys.prefix, str(ROOT)) if Path(p).is_relative_to("/tmp")]
    assert (said["read"], said["written"], said["written then"]) == ([], own, own)
    assert (said["others"], said["processes"], said["undone"]) == ([], 2, 0)
    # The last may be a link to where a service keeps it.
    shared = ("/etc/", f"{ADVERSARIES}/", "/dev/", os.path.realpath("/etc/resolv.conf"))
    assert [f for f in said["files"] if not f.startswith(shared)] == []
    for folder in (ADVERSARIES, ROOT, tmp_path):
        assert not (folder / "forged").exists()


@needs_container
def test_the_harness_environment_is_not_found_in_any_process(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_SECRET", "hunter2")
    run = drive(adversary("reads_secrets", ADVERSARIES), tmp_path, isolation=CONTAINER)
    assert run.error is None and "hunter2" not in run.log and "PATH=" in run.log


@needs_container
def test_its_own_folder_can_be_written_and_is_gone_afterwards(tmp_path, monkeypatch):
    own, link = tmp_path / "tmp", tmp_path / "link"
    own.mkdir()
    link.symlink_to(own)
    monkeypatch.setattr("tempfile.tempdir", str(link))
    command = adversary("writes_files", "/etc/passwd", ADVERSARIES)
    run = drive(command, tmp_path, isolation=CONTAINER)
    assert run.said == ["Read-only file system", "written"]
    assert list(own.iterdir()) == []


@needs_container
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else; all else is run")
def test_somebody_without_rights_has_it_too():
    """The supervisor, as a user to whom the rest of this test's files are closed."""
    python = "/usr/bin/python3"
    nobody = pwd.getpwnam("nobody")
    if not shutil.which(python):
        pytest.skip("there is no Python that another user may run")
    code = "import os; print(os.getuid(), sorted(os.listdir('/tmp'))); open('mine', 'w')"
    command = [python, "-I", "-S", "-c", code]
    with tempfile.TemporaryDirectory() as program, tempfile.TemporaryFile() as log:
        os.chmod(program, 0o755)
        for name in ("supervisor.py", "mounts.py", "calls.py", "syscalls.py", "leftovers.py"):
            shutil.copy(ROOT / "leaderboard" / "wire" / "isolation" / name, program)
        folder = tempfile.mkdtemp(prefix="acs-gym-agent-")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        (read, unused), (report, write_report), (lifeline, held) = os.pipe(), os.pipe(), os.pipe()
        order = {
            "command": command, "environment": {}, "folder": folder, "limits": CONTAINER.of_the_kernel(),
            "log_bytes": 1000, "network": False, "namespaces": True, "read": read, "write": unused,
            "report": write_report, "visible": asdict(visible(command)), "folder_bytes": 1 << 20,
            "wall_seconds": 60, "group": {},
        }  # fmt: skip
        os.write(held, json.dumps(order).encode() + b"\n")
        subprocess.run(
            [python, "-I", "-S", f"{program}/supervisor.py", folder], stdin=lifeline, stdout=log,
            stderr=log, pass_fds=(read, unused, write_report), check=True, user=nobody.pw_uid,
            group=nobody.pw_gid, extra_groups=(), start_new_session=True,
        )  # fmt: skip
        os.close(write_report)
        said = [json.loads(line) for line in os.read(report, 1 << 16).splitlines()]
        for descriptor in (read, unused, report, lifeline, held):
            os.close(descriptor)
        log.seek(0)
        printed = log.read().decode()
    assert said[0]["holds"]["root"] and said[-1] == {"exit": 0}, printed
    assert printed == f"{nobody.pw_uid} ['{Path(folder).name}']\n"
    assert not Path(folder).exists()


@needs_container
def test_it_is_checked_like_any_other(mine):
    found = list(check(f"container:stdio:{PYTHON} {mine}/", budget=1))
    assert len(found) > 5 and Verdict.PROBLEM not in {f.verdict for f in found}
    (mine / "acs_gym_agent.py").unlink()
    (finding,) = check(f"container:stdio:{PYTHON} {mine}/", budget=1)
    assert finding.verdict is Verdict.PROBLEM and "No module named" in finding.found


# Its name, and its identity


@pytest.mark.parametrize(("transport", "kind"), [("stdio", StdioAgent), ("mcp", McpAgent)])
@needs_container
def test_it_is_named_before_the_transport(mine, transport, kind):
    agent = build(f"container:{transport}:{PYTHON} {mine}/")
    assert type(agent) is kind and agent.isolation == CONTAINER
    assert agent_isolation(agent)["level"] == agent_config(agent)["level"] == "container"
    assert "level" not in agent_config(build(f"{transport}:{PYTHON} {mine}/"))


@pytest.mark.parametrize(
    "spec", ["container", "container:", "container:sobol", "container:stdio2:x"]
)
def test_what_may_follow_is_said(spec):
    with pytest.raises(LeaderboardError, match="container:stdio:COMMAND or container:mcp:COMMAND"):
        build(spec)


@needs_container
def test_what_is_in_a_folder_that_it_names_is_part_of_a_results_identity(mine):
    spec = f"container:stdio:{PYTHON} {mine}/"
    keys = {cell_of(spec).key, cell_of(spec.removeprefix("container:")).key}
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "mine.pyc").touch()
    assert cell_of(spec).key in keys
    (mine / "acs_gym_agent.py").write_text("another")
    keys |= {cell_of(spec).key}
    (mine / "acs_gym_agent.py").rename(mine / "renamed.py")
    keys |= {cell_of(spec).key}
    assert len(keys) == 4


@needs_container
def test_a_cell_of_it_says_so_and_is_simulated_for_real(mine, store):
    cell = cell_of(f"container:stdio:{PYTHON} {mine}/")
    result = run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert result.status is CellStatus.COMPLETE, result.message
    isolation = result.fingerprint["isolation"]
    assert isolation["level"] == "container" and isolation["files_hidden"]
    record = json.loads((store.cell(cell.key) / "wire.json").read_text())["isolation"]
    assert record["level"] == "container" and record["held"]["root"]


# What is refused


@needs_container
@pytest.mark.parametrize(
    ("folder", "held"),
    [("/", "your home folder"), ("/tmp/", "temporary files"), ("/dev/", "of its own")],
)
def test_a_folder_that_holds_more_than_an_agents_files_is_refused(folder, held):
    with pytest.raises(LeaderboardError, match=f"cannot be shown to the agent, because .*{held}"):
        build(f"container:stdio:{PYTHON} -c pass {folder}")


@needs_container
def test_the_home_folder_is_refused_and_a_folder_in_it_is_not(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LeaderboardError, match="because your home folder would be seen with it"):
        build(f"container:stdio:{PYTHON} {tmp_path}/")
    assert build(f"container:stdio:{PYTHON} {mine}/")


@needs_container
def test_a_folder_that_holds_the_results_is_refused_and_nothing_is_simulated(store, mine):
    cell = cell_of(f"container:stdio:{PYTHON} {mine}/ {store.folder.parent}/")
    with pytest.raises(LeaderboardError, match="because the results of this run would be seen"):
        run_cell(cell.spec, cell.key, store, lambda _n, _best: None)
    assert store.finished() == []


@needs_container
def test_the_folder_that_one_is_in_is_refused_when_results_are_there(mine, monkeypatch):
    monkeypatch.chdir(mine)
    assert build(f"container:stdio:{PYTHON} ./")
    (mine / "runs").mkdir()
    with pytest.raises(LeaderboardError, match="because the results of runs would be seen"):
        build(f"container:stdio:{PYTHON} ./")


# A machine that has no such level


def test_where_the_kernel_refuses_it_is_not_built_and_the_reason_is_said():
    refused = Container(namespaces=False)
    with pytest.raises(LeaderboardError) as raised:
        StdioAgent(f"{PYTHON} -c pass", isolation=refused)
    assert "(user namespaces: Operation not permitted); run it as stdio:COMMAND" in str(
        raised.value
    )
    assert refused.record()["level"] == "subprocess" and not refused.record()["files_hidden"]


@pytest.mark.parametrize(
    ("isolation", "seen", "message"),
    [
        (Container(namespaces=False), visible([PYTHON]), "user namespaces: Operation not"),
        pytest.param(
            CONTAINER, Visible(("/no/such/folder",), (), ()), "/no/such/folder: No such file",
            marks=needs_container,
        ),
    ],
)  # fmt: skip
def test_nothing_is_run_when_a_step_fails(tmp_path, isolation, seen, message):
    with open(tmp_path / "log", "wb") as log:
        command = [PYTHON, "-c", "print('it ran')"]
        confined = confining.start(command, isolation, log.fileno(), seen=seen)
        confined.process.wait()
        confined.close()
    assert confined.failure.startswith(message) and confined.exit_code is None
    assert (tmp_path / "log").read_text() == ""


def test_the_level_below_hides_no_files():
    assert (
        not Subprocess().record()["files_hidden"] and Subprocess().record()["level"] == "subprocess"
    )
