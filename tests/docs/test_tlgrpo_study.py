"""The page of the TL-GRPO study says what its results say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import page
import pytest

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/results/tlgrpo_study.json"
PAGE = ROOT / "docs/tlgrpo-study.md"


@pytest.fixture(scope="module")
def runs():
    return json.loads(RESULT.read_text())["runs"]


def test_the_page_is_made_from_the_committed_results():
    assert PAGE.read_text() == page.page(), "stale: run python benchmarks/tlgrpo/page.py"


def test_every_arm_has_the_same_seeds_and_the_same_simulations_to_an_update(runs):
    seeds = {}
    for run in runs:
        seeds.setdefault(run["arm"], []).append(run["seed"])
    assert len({tuple(sorted(s)) for s in seeds.values()}) == 1
    trained = [r for r in runs if r["arm"] != "sft"]
    wanted = {json.loads(r["settings"])["simulations"] for r in trained}
    assert len(wanted) == 1
    for run in trained:
        given = json.loads(run["settings"])
        update = given["problems"] * given["turns"] * given["group"]
        assert 0 <= run["simulations"] - given["simulations"] < update


def test_a_solved_problem_is_one_with_a_score_of_one(runs):
    for run in runs:
        evaluated = run["evaluated"]
        assert len(evaluated["scores"]) == evaluated["problems"]
        assert evaluated["success"] == pytest.approx(np.mean(np.array(evaluated["scores"]) >= 1))
        assert list(evaluated["best_at"]) == sorted(evaluated["best_at"])
