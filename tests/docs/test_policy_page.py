"""The page of the sizing policy says what its results say."""

from __future__ import annotations

from pathlib import Path

import policy_page
import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_committed_results():
    written = (ROOT / "docs" / policy_page.PAGE).read_text()
    assert written == policy_page.page(), "stale: run python benchmarks/tlgrpo/policy_page.py"


def test_the_results_are_of_the_policy_that_is_shipped():
    weights = policy_page.sized.weights_of(policy_page.POLICY)[:16]
    assert policy_page.PLAYED in policy_page.results()
    for name in policy_page.results():
        rows = [r for r in policy_page.read(name)["runs"] if r["method"].startswith("tlgrpo:")]
        assert {r["weights"] for r in rows} == {weights}


def test_no_problem_is_of_a_circuit_that_was_both_trained_on_and_held_out():
    trained = set(
        policy_page.read(policy_page.TRAINING)["settings"]["domain"]["arguments"]["tasks"]
    )
    assert trained == set(policy_page.suite_tasks("training"))
    assert not trained & set(policy_page.suite_tasks("held-out"))


def test_the_readme_says_what_a_start_from_the_policy_is_worth():
    text = " ".join((ROOT / "README.md").read_text().split())
    known, new = (policy_page.ratio(suite)[0] for suite in ("training", "held-out"))
    assert f"meets every spec in {known:.2f} of the simulations when it goes on from" in text
    assert f"in {new:.2f} of them on circuits that it never saw" in text


def row(task, number, met, method):
    return {"task": task, "problem": number, "method": method, "budget": 100, "met": met}


def test_a_run_that_met_nothing_counts_as_the_whole_budget():
    rows = [row("a", k, met, "m") for k, met in enumerate((10, 20, None))]
    rows += [row("a", k, met, "tlgrpo:p+m") for k, met in enumerate((5, None, None))]
    assert policy_page.started.medians(rows, "m") == {"a": 20.0}
    assert policy_page.started.medians(rows, "tlgrpo:p+m") == {"a": 100.0}
    lines = policy_page.started.table(rows, "tlgrpo:p", "m")
    assert lines[2] == "| a | 20 | 2 of 3 | 100 | 1 of 3 | 5.00 |"


def test_the_mean_ratio_is_geometric():
    mean, low, high = policy_page.started.mean_ratio([0.5, 2.0])
    assert mean == pytest.approx(1.0) and low == pytest.approx(0.5) and high == pytest.approx(2.0)


def test_a_rival_that_finds_more_is_named_and_one_that_finds_less_is_not():
    def row(method, score):
        return {"method": method, "best": [0.0, score, score, score]}

    rows = [row(policy_page.POLICY, 0.8), row("quick", 0.9), row("slow", 0.7), row("lookup", 1.0)]
    (sentence, _) = policy_page.better(rows, 5)
    assert "(0.800)" in sentence and "`quick` (0.900)" in sentence
    assert "slow" not in sentence and "lookup" not in sentence
    assert policy_page.better(rows[:1], 5) == []


def wide_row(width, task, number, score):
    return {
        "width": width, "task": task, "problem": number, "anchor": number, "best": [score] * 4,
        "solved": [False] * 4, "method": policy_page.width.method_of(width), "parameters": 1000 * width,
        "loss": 3.0, "agent_seconds": 1.0, "steps": 10, "batch": 2, "simulated": 99,
    }  # fmt: skip


def test_a_wider_policy_is_compared_with_the_narrow_one_on_the_same_problems():
    tasks = [policy_page.suite_tasks(suite)[0] for suite in policy_page.SUITES]
    rows = [
        wide_row(width, task, number, 0.1 * number + gain)
        for width, better in ((128, 0.0), (256, 0.25))
        for task, gain in zip(tasks, (better, -better), strict=True)
        for number in range(3)
    ]
    said = policy_page.width.section({"runs": rows, "command": "x"}, policy_page.SUITES, 5)
    text = "\n".join(said)
    shown, new = (line for line in said if line.startswith("Score after 5"))
    assert "width 256 less width 128: +0.250 [+0.250, +0.250], above it" in shown
    assert "width 256 less width 128: -0.250 [-0.250, -0.250], below it" in new
    assert "| width 256 | 0.26 million | 3.00 | 1.0 |" in text


def test_the_rate_falls_as_the_width_grows():
    narrow, wide = policy_page.width.WIDTHS
    assert policy_page.width.rate_of(wide) == pytest.approx(
        policy_page.width.rate_of(narrow) * narrow / wide
    )
