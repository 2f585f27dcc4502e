"""A designer's own sizing: how it is read, and that every method starts from it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import acs_gym
from acs_gym.sizing_file import InvalidSizing, read_sizing
from baselines.initial import split_seed
from baselines.registry import METHODS
from baselines.start import start_designs
from baselines.testing import INTEGERS, MIXED
from leaderboard.agents.registry import build
from leaderboard.errors import LeaderboardError

OTA = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
SIZING = {
    "w_pair": 12e-6, "l_pair": 1e-6, "w_load": 8e-6, "l_load": 0.8e-6, "w_bias": 4e-6,
    "l_bias": 1e-6, "m_tail": 4.0, "i_bias": 5e-6,
}  # fmt: skip
TOML = (
    'w_pair = "12u"\nl_pair = "1u"\nw_load = 8e-6\nl_load = "0.8u"\nw_bias = "4 um"\n'
    'l_bias = "1u"\nm_tail = 4\ni_bias = "5uA"\n'
)


def written(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.toml", TOML),
        ("mine.json", json.dumps(SIZING)),
        ("simulated.json", json.dumps({"task": OTA.id, "design": SIZING, "score": 1.0})),
        ("result.json", json.dumps({"key": "0", "best": {"design": SIZING, "score": 1.0}})),
    ],
)
def test_a_sizing_is_read_from_what_people_have(tmp_path, name, text):
    assert read_sizing(written(tmp_path / name, text)) == pytest.approx(SIZING)


def test_what_the_command_prints_is_a_sizing(tmp_path):
    command = [sys.executable, "-m", "acs_gym.cli", "simulate", OTA.id, "--pdk", "generic"]
    done = subprocess.run([*command, "w_pair=12u", "--json"], capture_output=True, text=True)
    path = written(tmp_path / "mine.json", done.stdout)
    assert read_sizing(path) == pytest.approx({**OTA.reference, "w_pair": 12e-6})


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("mine.toml", "w_pair = 12u", "is no TOML or JSON"),
        ("mine.json", "{", "is no TOML or JSON"),
        ("mine.json", "[1, 2]", "holds no sizing"),
        ("mine.toml", "", "holds no sizing"),
        ("mine.toml", "w_pair = true", "w_pair is no number"),
        ("mine.toml", 'w_pair = "wide"', "w_pair: "),
        ("mine.json", '{"w_pair": null}', "w_pair is no number"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, reason):
    with pytest.raises(InvalidSizing, match=reason):
        read_sizing(written(tmp_path / name, text))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(LeaderboardError, match=r"no\.toml: No such file"):
        build(f"sobol:{tmp_path / 'no.toml'}")


def test_neither_a_method_nor_a_file_is_said():
    with pytest.raises(
        LeaderboardError, match=r"scob is neither a file nor a method; methods: .*scbo"
    ):
        build("corner-aware:scob")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"w_pear": 1e-6}, "unknown parameter 'w_pear'"),
        ({"w_pair": 1.0}, "w_pair = 1 is outside its range"),
        ({"w_pair": float("nan")}, "w_pair is nan"),
    ],
)
def test_a_sizing_of_something_else_is_refused(change, reason):
    with pytest.raises(InvalidSizing, match=reason):
        start_designs(OTA.space, {**SIZING, **change}, seed=0)


def test_a_missing_parameter_is_named():
    with pytest.raises(InvalidSizing, match="missing parameter: i_bias"):
        start_designs(OTA.space, {k: v for k, v in SIZING.items() if k != "i_bias"}, seed=0)


@pytest.mark.parametrize("space", [OTA.space, MIXED, INTEGERS], ids=["ota", "mixed", "integers"])
def test_the_sizing_comes_first_and_the_others_lie_about_it(space):
    given = space.from_unit([0.3] * len(space))
    found = start_designs(space, given, seed=4)
    assert found[0] == given
    assert all(d == space.canonicalize(d) for d in found)
    assert found == start_designs(space, given, seed=4) != start_designs(space, given, seed=5)
    if space is not INTEGERS:
        aside = [abs(space.to_unit(d) - space.to_unit(given)).mean() for d in found[1:]]
        assert all(0.0 < a < 0.3 for a in aside)


@pytest.mark.parametrize(
    "name", [m.name for m in METHODS if m.name not in ("constant", "oracle")] + ["corner-aware"]
)
def test_every_method_starts_from_it(tmp_path, name):
    """Its first simulations are those of the sizing and of designs about it."""
    agent = build(f"{name}:{written(tmp_path / 'mine.toml', TOML)}")
    agent.check(OTA)
    assert agent.config["start_from"] == pytest.approx(SIZING)
    with OTA.session(3, seed=2) as session:
        agent.run(session)
    wanted = start_designs(OTA.space, read_sizing(tmp_path / "mine.toml"), split_seed(2).initial)
    assert [e.design for e in session.history] == wanted[:3]
