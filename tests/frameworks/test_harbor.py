"""Harbor (`make test-harbor`, Python 3.12): its own reading and its own lint of the exported folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acs_gym.cli import main

pytest.importorskip("harbor")
ROOT, BIN = Path(__file__).parents[2], Path(sys.executable).parent


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    into = tmp_path_factory.mktemp("tasks")
    assert main(["export-harbor", str(into), "--number", "2"]) == 0
    return sorted(into.iterdir())


def test_harbor_reads_the_tasks(tasks):
    from harbor.models.task.task import Task

    for folder in tasks:
        task = Task(folder)
        assert task.name == f"acs-gym/{folder.name}"
        assert task.config.verifier.environment_mode.value == "separate"


def test_harbor_s_lint_finds_nothing(tasks):
    """Of compose files it asks Docker's plugin, so without that its other rules alone."""
    from harbor.lint.models import COMPOSE_RULES, DEFAULT_RULES

    asked = ["docker", "compose", "version"]
    has_compose = (
        shutil.which("docker") and not subprocess.run(asked, capture_output=True).returncode
    )
    rules = DEFAULT_RULES if has_compose else DEFAULT_RULES - COMPOSE_RULES
    selected = [f"--select={rule.value}" for rule in rules]
    done = subprocess.run(
        [BIN / "harbor", "lint", *selected, *tasks], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing_but_versions_that_are_not_pinned(tasks):
    files = [
        *tasks[0].rglob("Dockerfile"),
        ROOT / "Dockerfile",
        *ROOT.rglob("examples/*/Dockerfile"),
    ]
    assert len(files) == 5
    done = subprocess.run(
        [BIN / "hadolint", "--ignore", "DL3008", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
