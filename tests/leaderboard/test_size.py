"""`acs-gym size`: a circuit sized for its owner, the best kept whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import acs_gym
from leaderboard.explain import main as explain
from leaderboard.size import main
from leaderboard.sizing.files import NETLIST, SIZING
from leaderboard.sizing.live import trend
from leaderboard.sizing.page import PAGE
from tests.leaderboard.tampering import invoke

TASK = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
OTA = ("ota5t", "--pdk", "generic")


@pytest.fixture(scope="module")
def sized(tmp_path_factory):
    """The OTA, with enough simulations to meet its specs."""
    out = tmp_path_factory.mktemp("sized")
    return out, invoke(main, *OTA, "--budget", 60, "--out", out)


def test_it_ends_with_a_table_and_says_whether_every_spec_is_met(sized):
    _, done = sized
    assert done.exit_code == 0, done.stderr
    spent = re.search(r"Meets every spec at nominal after (\d+) simulations\.", done.stdout)
    assert spent is not None, done.stdout
    assert all(metric in done.stdout for metric in TASK.specs.metrics)


def test_it_stops_a_tenth_of_the_budget_after_every_spec_is_met(sized):
    out, _ = sized
    (trace,) = out.glob("*/trace.jsonl")
    met = [json.loads(line)["evaluation"]["feasible"] for line in trace.read_text().splitlines()]
    assert len(met) == met.index(True) + 1 + 6 < 60
    whole = invoke(
        main,
        *OTA,
        "--budget",
        6,
        "--start-from",
        out / SIZING,
        "--until-budget",
        "--out",
        out / "w",
    )
    assert "after 6 simulations" in whole.stdout


def test_the_sizing_is_a_file_that_meets_the_specs(sized, in_process):
    out, _ = sized
    design = tomllib.loads((out / SIZING).read_text())
    with TASK.session(1, simulator=in_process) as session:
        assert session.simulate(design).feasible
    again = invoke(main, *OTA, "--budget", 8, "--start-from", out / SIZING, "--out", out / "again")
    assert again.exit_code == 0, again.stderr


def test_the_netlist_is_the_circuits_own_with_numbers_in_it(sized):
    out, _ = sized
    theirs = (TASK.circuit.folder / "dut.spice").read_text().splitlines()
    ours = (out / NETLIST).read_text().splitlines()
    assert len(ours) == len(theirs)
    for mine, original in zip(ours, theirs, strict=True):
        assert mine == original or ("{" in original and "{" not in mine)


def test_the_page_answers_without_a_script(sized):
    page = (sized[0] / PAGE).read_text()
    assert "Meets every spec at nominal" in page and "<script" not in page
    for heading in (
        "Worth touching next",
        "What each size does",
        "Operating points",
        "Area by device",
    ):
        assert heading in page


def test_a_run_is_explained(sized):
    """What each size does, which specs fight, and what the run found between two of them."""
    out, _ = sized
    named = invoke(explain, *OTA, "--run", out, "--front", "power", "ugbw")
    assert named.exit_code == 0, named.stderr
    assert "power and ugbw fight" in named.stdout or "ugbw and power fight" in named.stdout
    assert "designs of the run beats these in both" in named.stdout
    asked = (*OTA, "--sizing", out / SIZING, "--run", out, "--front", "power", "ugbw", "--json")
    record = json.loads(invoke(explain, *asked).stdout)
    assert record["design"] == tomllib.loads((out / SIZING).read_text())
    front = [d["metrics"] for d in record["front"]["designs"]]
    assert record["front"]["of"] >= len(front) > 1
    assert all(a["power"] < b["power"] and a["ugbw"] < b["ugbw"] for a, b in pairwise(front))


def test_what_cannot_be_explained_is_said(tmp_path):
    assert "--run RUNS" in invoke(explain, *OTA, "--front", "power", "ugbw").stderr
    nothing = invoke(explain, *OTA, "--run", tmp_path)
    assert nothing.exit_code == 2 and "holds no sizing of w_pair" in nothing.stderr
    unheard = invoke(explain, *OTA, "--run", tmp_path, "--front", "powr", "ugbw")
    assert "no spec called 'powr'; did you mean power" in unheard.stderr


def test_the_same_command_again_simulates_nothing(sized):
    out, first = sized
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*.json*")}
    again = invoke(main, *OTA, "--budget", 60, "--out", out)
    assert again.stdout == first.stdout
    assert before == {p: p.stat().st_mtime_ns for p in out.glob("*/*.json*")}


def test_ctrl_c_keeps_the_best_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "leaderboard.size", *OTA, "--budget", "5000", "--agent", "random",
         "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(
        p.read_bytes().count(b"\n") > 20 for p in tmp_path.glob("*/trace.jsonl")
    ):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "of 10 specs" in out or "Meets" in out
    assert "interrupted; to go on: python -m leaderboard.size ota5t" in err
    assert (tmp_path / SIZING).is_file() and (tmp_path / PAGE).is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ota5", "--pdk", "generic"), "did you mean ota5t?"),
        ((*OTA, "--budget", 0), "--budget is 0"),
        ((*OTA, "--agent", "nobody"), "error: no agent called 'nobody'"),
        ((*OTA, "--start-from", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, arguments, says):
    done = invoke(main, *arguments, "--out", tmp_path / "x")
    assert done.exit_code == 2 and says in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.glob("x/*"))


def test_a_trend_is_a_bar_a_step():
    assert trend([]) == ""
    assert trend([-9.0, 0.0, 9.0]) == " ▄█"
    assert trend([float("nan")]) == " " and len(trend([0.1] * 40)) == 16


def test_at_several_conditions_the_worst_of_each_spec_is_named(tmp_path):
    done = invoke(
        main, *OTA, "--tier", "mc2", "--agent", "random", "--budget", 8, "--out", tmp_path
    )
    assert done.exit_code in (0, 1), done.stderr
    assert "worst at" in done.stdout and "Every condition" in (tmp_path / PAGE).read_text()
    assert Path(tmp_path / NETLIST).is_file()
