"""Task folders of Harbor, tried without containers: meter, command, solution and verifier as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from acs_gym.cli import main
from acs_gym.integrations.harbor.meter import server
from acs_gym.integrations.harbor.verify import rewards
from acs_gym.tools.problem import Problem


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    into = tmp_path_factory.mktemp("tasks")
    options = "--split train --number 1 --tasks ACS-OTA5T-v0 --budget 2"
    assert main(["export-harbor", str(into), *options.split()]) == 0
    (folder,) = into.iterdir()
    return folder


@pytest.fixture(scope="module")
def problem(folder):
    return Problem.from_json((folder / "tests" / "problem.json").read_text())


def test_the_solution_is_worth_1_and_anything_else_is_no_answer(
    folder, problem, in_process, tmp_path
):
    solve = (folder / "solution" / "solve.sh").read_text().replace("/app/", f"{tmp_path}/")
    subprocess.run(["bash", "-c", solve], check=True)
    answer = tmp_path / "answer.json"
    assert rewards(problem, answer, simulator=in_process) == {"reward": 1, "solved": 1}
    for text in ("", "[1]", "{}", '{"reward": 1}'):
        answer.write_text(text)
        assert rewards(problem, answer, simulator=in_process) == {"reward": 0, "solved": 0}
    assert rewards(problem, tmp_path / "none") == {"reward": 0, "solved": 0}


def test_the_command_asks_the_meter_which_refuses_what_is_beyond_the_budget(
    folder, problem, in_process
):
    design = problem.make().space.from_unit([0.5] * len(problem.make().space))
    with server(problem, port=0, simulator=in_process) as meter:
        threading.Thread(target=meter.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{meter.server_address[1]}"

        def sizing(*arguments):
            done = subprocess.run(
                [sys.executable, folder / "environment" / "sizing", *arguments],
                env={**os.environ, "SIZING_URL": url}, capture_output=True, text=True,
            )  # fmt: skip
            return json.loads(done.stdout)

        asked = json.dumps({"designs": [design] * 2})
        assert sizing("simulate", asked)["simulations_left"] == 0
        assert "0 can still be simulated" in sizing("simulate", asked)["error"]
        assert len(sizing("history")["designs"]) == 2
        assert "no tool is called 'reset'" in sizing("reset")["error"]
        meter.shutdown()


def test_the_agent_is_told_everything_and_has_neither_solution_nor_simulator(folder):
    told = (folder / "instruction.md").read_text()
    assert "# Specs" in told and "/app/answer.json" in told and "the budget of 2" in told
    assert "acs-gym" not in (folder / "environment" / "Dockerfile").read_text()
    assert not any(p.suffix == ".json" for p in (folder / "environment").iterdir())


def test_nothing_is_overwritten(folder, problem):
    from acs_gym.integrations.harbor.export import export

    with pytest.raises(FileExistsError):
        export(problem, folder)
