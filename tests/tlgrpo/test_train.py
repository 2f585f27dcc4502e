"""`python -m tlgrpo.train` and `python -m tlgrpo.evaluate`, as a user starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tlgrpo import evaluate, train
from tlgrpo.config import ConfigError, TrainConfig
from tlgrpo.pretrained import read_weights, weights_file

ROOT = Path(__file__).parents[2]
TEXT = """
name = "small"
turns = 2
group = 2
problems = 2
simulations = 16
action_tokens = 6
[domain]
name = "ballistics"
[policy]
layers = 1
width = 16
heads = 1
kv_heads = 1
[sft]
episodes = 4
epochs = 1
"""


def run(app, *arguments: str):
    """The command in this process: each of its own would spend seconds on imports."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_run_is_trained_gone_on_with_and_evaluated(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(TEXT)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tlgrpo.train", "--config", str(config), "--out", str(out)]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert first.returncode == 0, first.stderr
    assert "python -m tlgrpo.evaluate" in first.stderr
    again = run(train.app, "--config", config, "--out", out)
    assert "going on from update 2" in again.stderr and again.exit_code == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    found = run(evaluate.app, out, "--problems", "5", "--json")
    assert json.loads(found.stdout)["problems"] == 5
    changed = run(train.app, "--config", config, "--out", out, "--set", "seed=3")
    assert changed.exit_code == 2 and "other settings" in changed.stderr


def test_a_run_starts_from_the_weights_of_another(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(TEXT)
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    assert run(train.app, "--config", config, "--out", earlier).exit_code == 0
    # Steps that change nothing leave it as it began.
    begun = [f"start_from={earlier}", "learning_rate=1e-30", "seed=3"]
    changes = [part for text in begun for part in ("--set", text)]
    done = run(train.app, "--config", config, "--out", later, *changes)
    assert done.exit_code == 0, done.stderr
    before, after = (read_weights(weights_file(folder)) for folder in (earlier, later))
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    assert not (later / "warm").exists(), "it made a warm start of its own"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("--config", "{}", "--set", "grup=3"), "no setting 'grup'"),
        (("--config", "{}", "--set", "group=1"), "group"),
        (("--config", "{}", "--set", "seed"), "write NAME=VALUE"),
        (("--config", "{}", "--set", "domain.name=moon"), "no domain 'moon'"),
        (("--config", "{}", "--set", "policy.path=/nowhere"), "holds no policy"),
        (("--config", "{}", "--set", "start_from=/nowhere"), "/nowhere: no checkpoint"),
        (("--config", "{}", "--set", "start_from=tlgrpo/weights"), "are of another model"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, arguments, says):
    config = tmp_path / "c.toml"
    config.write_text(TEXT)
    given = [a.format(config) for a in arguments]
    found = CliRunner().invoke(train.app, [*given, "--out", str(tmp_path / "run")])
    assert found.exit_code == 2 and says in found.stderr
    assert isinstance(found.exception, SystemExit)


def test_evaluating_nothing_is_an_error(tmp_path):
    found = CliRunner().invoke(evaluate.app, [str(tmp_path)])
    assert found.exit_code == 2 and "error:" in found.stderr


def test_settings_are_replaced_by_name(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(TEXT)
    config = TrainConfig.read(path, {"policy.layers": 3, "seed": 7})
    assert config.policy.layers == 3 and config.seed == 7
    path.write_text("turns = ")
    with pytest.raises(ConfigError, match=r"c\.toml"):
        TrainConfig.read(path)
