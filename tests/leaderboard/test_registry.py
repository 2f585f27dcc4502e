"""Agents by name; a wrong name is answered with the right one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import acs_gym
from acs_gym.registry import BUNDLED
from leaderboard.agents.registry import build, listings
from leaderboard.contract import Agent, agent_config, agent_track
from leaderboard.errors import LeaderboardError
from leaderboard.suites import SUITES, resolve_task, suite_of, suite_tasks, suites_with
from tests.leaderboard import agents
from tests.leaderboard.conftest import AGENTS


@pytest.mark.parametrize("name", ["random", "sobol", "constant", "oracle"])
def test_registered_agents_are_found_by_id(name):
    agent = build(name)
    assert isinstance(agent, Agent)
    assert agent_config(agent)["method"] == name
    assert agent_track(agent) == "score"


def test_a_third_partys_agent_is_found_by_module_and_factory():
    assert isinstance(build(f"{AGENTS}:Walker"), agents.Walker)


def test_what_follows_an_id_is_given_to_its_factory(tmp_path):
    settings = tmp_path / "mine.toml"
    settings.write_text('model = "m"\nbase_url = "http://127.0.0.1:9/v1"\ntemperature = 0.5\n')
    for name in ("llm", "opro", "ledro", "ado-llm"):
        assert agent_config(build(f"{name}:{settings}"))["temperature"] == 0.5


def test_an_agent_that_says_nothing_of_itself_has_no_configuration_and_may_see_metrics():
    assert agent_config(agents.Walker()) == {}
    assert agent_track(agents.Walker()) == "metrics"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sobl", "did you mean sobol"),
        ("no.such.module:x", "cannot import no.such.module: No module named 'no'"),
        (f"{AGENTS}:Wolker", "did you mean Walker"),
        (f"{AGENTS}:NoRun", r"no run\(session\) method"),
        (f"{AGENTS}:walker", "not callable"),
        (f"{AGENTS}:leaves", "SystemExit: 0"),
        (f"{AGENTS}:needs_library", r"pip install 'mine\[wonder\]'"),
        ("llm-scripted:5", "takes nothing after its name; write llm-scripted"),
        ("sobol:5", "5: No such file"),
        ("llm:nowhere.toml", "nowhere.toml: cannot be read"),
    ],
)
def test_a_wrong_agent_is_explained(spec, message):
    with pytest.raises(LeaderboardError, match=message):
        build(spec)


@pytest.mark.parametrize("config", [{"a": float("nan")}, {"a": object()}, [1]])
def test_a_configuration_that_is_no_json_object_is_refused(config):
    agent = agents.Configured()
    agent.config = config
    with pytest.raises(LeaderboardError, match="config is no"):
        agent_config(agent)


def test_an_unknown_track_is_refused():
    agent = agents.Configured()
    agent.track = "everything"
    with pytest.raises(LeaderboardError, match="use one of: score, metrics"):
        agent_track(agent)


def test_listing_names_every_agent_and_what_it_lacks():
    found = {a.id: a for a in listings()}
    assert {"random", "sobol", "skopt-gp", "constant", "oracle"} <= set(found)
    assert found["random"].problem == "" and found["random"].summary


def test_importing_the_leaderboard_imports_no_agent_and_no_optimisation_library():
    code = (
        "import sys, leaderboard, leaderboard.run, leaderboard.agents.registry as r; r.registered();"
        "bad = {'skopt', 'torch', 'baselines', 'plotly', 'scipy.stats'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_suites_hold_tasks_that_exist():
    for suite in SUITES:
        assert set(suite_tasks(suite)) <= set(acs_gym.task_ids())
        assert suite_of(suite_tasks(suite)) == suite
    assert suite_of(["ACS-OTA5T-v0"]) == ""


def test_what_people_tune_on_and_what_is_held_out_are_suites_of_their_own():
    training, held_out = suite_tasks("training"), suite_tasks("held-out")
    assert not set(training) & set(held_out)
    assert suite_tasks("core") == training + held_out
    assert set(suite_tasks("demo")) <= set(training)
    assert set(suite_tasks("quick")) & set(training) and set(suite_tasks("quick")) & set(held_out)
    assert suites_with("ACS-RecyclingFC-v0") == ["quick", "held-out", "core"]


def test_circuits_of_others_are_in_no_suite(tmp_path, monkeypatch):
    monkeypatch.setattr("acs_gym.registry._registered", {})
    folder = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "theirs"))
    text = (folder / "circuit.toml").read_text().replace("ACS-OTA5T-v0", "Their-OTA-v0")
    (folder / "circuit.toml").write_text(text)
    assert acs_gym.register_circuit(folder) in acs_gym.task_ids("training")
    assert suites_with("Their-OTA-v0") == []


def test_a_task_is_found_by_id_or_by_folder():
    assert resolve_task("opamp") == resolve_task("ACS-OpAmp-v0") == "ACS-OpAmp-v0"
    with pytest.raises(LeaderboardError, match="did you mean opamp"):
        resolve_task("opmap")
    with pytest.raises(LeaderboardError, match="did you mean demo"):
        suite_tasks("demp")
