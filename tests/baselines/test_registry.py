"""The registry and the leaderboard's entry points agree, and a missing library is explained."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from baselines import registry
from baselines.registry import METHODS, Method, get_method
from leaderboard.agents.registry import listings, registered
from leaderboard.run import app

HEAVY = ("torch", "botorch", "gpytorch", "skopt", "sklearn", "optuna", "cma")


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_class_says_of_itself_what_the_registry_says(method):
    if method.missing:
        pytest.skip(f"needs {method.install}")
    found = method.load()
    assert (found.name, found.track) == (method.name, method.track)


def test_every_method_is_an_agent_of_the_leaderboard():
    points = registered()
    for method in METHODS:
        factory = getattr(registry, points[method.name].value.partition(":")[2])
        assert factory().method is method
        assert factory.__doc__ == method.summary


def test_building_every_agent_imports_no_optimisation_library():
    code = (
        "import sys; from leaderboard.agents.registry import listings; found = listings();"
        f"assert len(found) >= {len(METHODS)};"
        f"bad = set({HEAVY!r}) & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_method_is_answered_with_the_closest():
    with pytest.raises(KeyError, match="did you mean sobol"):
        get_method("sobl")


def test_a_method_whose_library_is_missing_says_what_to_install():
    method = Method("x", "baselines.sobol:Sobol", "", libraries=("no_such",), extras=("skopt",))
    assert method.missing == ("no_such",)
    with pytest.raises(
        ModuleNotFoundError, match=r"x needs no_such: pip install 'acs-gym\[skopt\]'"
    ):
        method.load()


@pytest.fixture
def without_extras(monkeypatch):
    """Nothing but numpy and scipy is installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in HEAVY else find(name, *a)
    )


def test_agents_are_listed_with_the_line_that_installs_what_they_lack(without_extras):
    problems = {a.id: a.problem for a in listings()}
    assert problems["scbo"] == "scbo needs torch and botorch: pip install 'acs-gym[botorch]'"
    assert problems["optuna-gp"].endswith("pip install 'acs-gym[optuna,botorch]'")
    assert problems["cma-es"].endswith("pip install 'acs-gym[evo]'")
    assert problems["skopt-forest"].endswith("pip install 'acs-gym[skopt]'")
    for name in ("random", "sobol", "de", "constant", "oracle"):
        assert problems[name] == ""


def test_the_command_line_shows_these_lines(without_extras):
    shown = CliRunner().invoke(app, ["--list-agents"])
    assert shown.exit_code == 0
    text = " ".join(shown.output.replace("│", " ").split())
    for extra in ("botorch", "optuna", "evo", "skopt"):
        assert f"acs-gym[{extra}]" in text
