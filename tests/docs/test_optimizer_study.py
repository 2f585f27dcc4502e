"""The page of the optimiser study says what its result says."""

from __future__ import annotations

import json
from pathlib import Path

import optimizers
import optimizers_page
import pytest

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/results/optimizers.json"
PAGE = ROOT / "docs/optimizer-study.md"


def test_the_page_is_made_from_the_committed_result():
    data = json.loads(RESULT.read_text())
    finished = optimizers.load_results(RESULT)
    made = optimizers_page.page(finished, data["command"], data["ngspice"], data["libraries"])
    assert PAGE.read_text() == made, "stale: run python benchmarks/optimizers_page.py"


def test_every_method_ran_on_every_task_with_the_same_seeds():
    finished = optimizers.load_results(RESULT)
    runs = optimizers_page.by_method_and_task(finished)
    tasks = {d.run.task for d in finished}
    for method, found in runs.items():
        assert set(found) == tasks, method
        for task, done in found.items():
            assert sorted(d.run.seed for d in done) == list(range(len(done))), (method, task)


def test_a_run_met_its_specs_exactly_when_its_score_is_one():
    for done in optimizers.load_results(RESULT):
        assert (done.score == 1.0) == (done.first_met is not None)
        scores = [score for _, score in done.steps]
        assert scores == sorted(scores) and scores[-1] == pytest.approx(done.score, abs=1e-6)


def test_a_page_of_tasks_that_have_changed_since_says_so():
    earlier = optimizers_page.of_earlier_tasks(optimizers.load_results(RESULT))
    assert (optimizers_page.EARLIER in PAGE.read_text()) == earlier
