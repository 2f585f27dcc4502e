"""The page of the optimiser study says what its result says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/results/optimizers.json"
PAGE = ROOT / "docs/optimizer-study.md"


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import optimizers
        import optimizers_page

        yield optimizers, optimizers_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_the_page_is_made_from_the_committed_result(study):
    optimizers, page = study
    data = json.loads(RESULT.read_text())
    finished = optimizers.load_results(RESULT)
    made = page.page(finished, data["command"], data["ngspice"], data["libraries"])
    assert PAGE.read_text() == made, "stale: run python benchmarks/optimizers_page.py"


def test_every_method_ran_on_every_task_with_the_same_seeds(study):
    optimizers, page = study
    finished = optimizers.load_results(RESULT)
    runs = page.by_method_and_task(finished)
    tasks = {d.run.task for d in finished}
    for method, found in runs.items():
        assert set(found) == tasks, method
        for task, done in found.items():
            assert sorted(d.run.seed for d in done) == list(range(len(done))), (method, task)


def test_a_run_met_its_specs_exactly_when_its_score_is_one(study):
    optimizers, _ = study
    for done in optimizers.load_results(RESULT):
        assert (done.score == 1.0) == (done.first_met is not None)
        scores = [score for _, score in done.steps]
        assert scores == sorted(scores) and scores[-1] == pytest.approx(done.score, abs=1e-6)


def test_a_page_of_tasks_that_have_changed_since_says_so(study):
    optimizers, page = study
    earlier = page.of_earlier_tasks(optimizers.load_results(RESULT))
    assert (page.EARLIER in PAGE.read_text()) == earlier
