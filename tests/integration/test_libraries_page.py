"""The page on other libraries: its code runs; and the example with Stable-Baselines3."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
# (library, its code) of every section.
SECTIONS = re.findall(r"^## (.*?)$.*?^```python\n(.*?)^```", TEXT, re.M | re.S)
MODULES = {
    "Optuna": "optuna",
    "OptunaHub": "optunahub",
    "BoTorch": "botorch",
    "pymoo": "pymoo",
    "Stable-Baselines3": "stable_baselines3",
}


def test_every_library_has_its_code() -> None:
    assert [name for name, _ in SECTIONS] == list(MODULES)
    for name in MODULES:
        assert f"\n| {name} | " in TEXT


@pytest.mark.parametrize(("name", "code"), SECTIONS, ids=list(MODULES))
def test_its_code_runs(name: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(MODULES[name])
    assert len([line for line in code.splitlines() if line]) <= 12
    exec(code, {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ["ppo", "sac-her"])
def test_the_example_trains_and_says_what_it_reached(
    algorithm: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    options = f"--algorithm {algorithm} --steps 30 --episodes 1 --pdk generic"
    monkeypatch.setattr(sys, "argv", ["sb3_train.py", *options.split()])
    runpy.run_path(str(ROOT / "examples" / "sb3_train.py"), run_name="__main__")
    before, after = capsys.readouterr().out.splitlines()
    said = r"{} {} steps: every spec met in [01] of 1 episodes, best score [01]\.\d+ on average"
    assert re.fullmatch(said.format("before", 0), before)
    assert re.fullmatch(said.format("after", 30), after)


def test_the_commands_it_shows_are_the_example_s() -> None:
    commands = re.findall(r"^python (\S+) (.*?) +#", TEXT, re.M)
    assert len(commands) == 2
    for script, options in commands:
        source = (ROOT / script).read_text(encoding="utf-8")
        known = re.findall(r"--[a-z-]+|ppo|sac-her", options)
        assert known and all(f'"{word}"' in source for word in known)
