"""The study of a circuit kept from the policy: who is compared, and that its page says what it found."""

from __future__ import annotations

from pathlib import Path

import left_out
import left_out_page
import pytest

ROOT = Path(__file__).parents[2]


def row(method: str, task: str, score: float):
    return {"method": method, "task": task, "problem": 0, "best": [0.0, score, score, score]}


def test_the_page_is_of_the_committed_result():
    """Both or neither, and one says what the other says."""
    page = ROOT / "docs" / left_out_page.PAGE
    assert left_out_page.RESULT.exists() == page.exists()
    if page.exists():
        fresh = left_out_page.page()
        assert page.read_text() == fresh, "stale: python benchmarks/tlgrpo/left_out_page.py"


def test_every_training_circuit_was_left_out_once_and_never_shown_to_its_own_policy():
    if not left_out_page.RESULT.exists():
        pytest.skip("the study was not run yet")
    rows = left_out_page.read()["runs"]
    assert {r["task"] for r in rows} == set(left_out.TRAINING)
    # A policy that was shown its circuit is not helped to its first designs by other circuits.
    assert {(r["method"], r["steps"]) for r in rows} == {
        (left_out.POLICY, rows[0]["steps"]),
        (left_out.POLICY + left_out.TOLD_ONCE, rows[0]["steps"]),
    }


def test_a_rival_that_is_above_on_half_of_the_circuits_is_not_said_to_be_beaten():
    ours = [row(left_out.POLICY, f"c{k}", 0.8) for k in range(4)]
    quick = [row("quick", f"c{k}", score) for k, score in enumerate((0.9, 0.9, 0.7, 0.7))]
    slow = [row("slow", f"c{k}", 0.1) for k in range(4)]
    said = left_out_page.judged([*ours, *quick, *slow], 5)
    beaten, _, rest = said.partition(";")
    assert "`slow` (4 of 4)" in beaten and "`quick` (2 of 4)" in rest
    assert "quick" not in beaten


def test_the_package_is_compared_on_the_same_problems_alone():
    ours = [row(left_out.POLICY, "c0", 0.6)]
    package = [row(left_out_page.policy_page.POLICY, f"c{k}", 1.0 - k) for k in range(2)]
    assert left_out_page.beside_shown(ours, package, 5) == (0.6, 1.0)


def test_memory_knows_the_same_seven_circuits():
    beside = left_out.beside(left_out.TRAINING, 1)
    assert {r["method"] for r in beside} == {*left_out.NEEDS_NO_OTHER, *left_out.SAME_SEVEN}
    assert len(beside) == 7 * len(left_out.TRAINING)
