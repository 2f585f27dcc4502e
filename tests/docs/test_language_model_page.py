"""The study of a real language model: what is compared, and that its page says what its results say."""

from __future__ import annotations

from pathlib import Path

import language_model
import language_model_page
import pytest

from tlgrpo.config import TrainConfig

ROOT = Path(__file__).parents[2]


def row(method: str, solved_in, score: float):
    return {
        "task": "ACS-OTA5T-v0", "method": method, "problems": 4, "solved_in": solved_in,
        "best": [[score / 2] * 4 + [score] for _ in range(4)],
    }  # fmt: skip


def test_the_page_is_made_from_the_committed_results():
    written = (ROOT / "docs" / language_model_page.PAGE).read_text()
    fresh = language_model_page.page()
    assert written == fresh, "stale: python benchmarks/tlgrpo/language_model_page.py"


def test_both_algorithms_spent_the_same_from_the_same_start():
    rows = {r["method"]: r for r in language_model_page.read()["runs"]}
    trained = [rows[name] for name in language_model.TRAINED if name in rows]
    assert all(r["simulations"] >= 2_000 for r in trained)
    assert len({r["simulations"] for r in rows.values()}) == 1
    # An update is not cut short: the last one may go over by its own size.
    config = TrainConfig.read(language_model.CONFIG)
    largest = config.problems * config.turns * config.group
    assert all(0 <= r["spent"] - r["simulations"] < largest for r in trained)
    assert len({(r["folder"], r["seed"], r["model"], r["temperature"]) for r in rows.values()}) == 1


@pytest.mark.parametrize("name", language_model.TRAINED)
def test_an_algorithm_changes_credit_and_nothing_else(name):
    base = TrainConfig.read(language_model.CONFIG).model_dump()
    mine = TrainConfig.read(language_model.CONFIG, dict(language_model.TRAINED[name])).model_dump()
    differing = {k for k in base if base[k] != mine[k]}
    assert differing <= {"algorithm", "turn_reward", "episode_reward"}


def test_a_difference_is_of_the_same_problems_and_after_as_many_turns():
    one, other = row("a", [1, 5, None, None], 0.8), row("b", [5, None, None, None], 0.6)
    found = language_model_page.ahead(one, other, language_model.TURNS)
    assert found["score"][0] == pytest.approx(0.2) and found["solved"][0] == pytest.approx(0.25)
    assert found["score"][1:] == pytest.approx((0.2, 0.2))
    assert found["solved"][1] < 0.25 < found["solved"][2]
    first = language_model_page.ahead(one, other, 1)
    assert first["score"][0] == pytest.approx(0.1) and first["solved"][0] == pytest.approx(0.25)
    assert "score after 1 +0.100 [+0.100, +0.100], after 5 +0.200" in language_model_page.compared(
        one, other
    )
    assert language_model.solved_of(one, 1) == [1.0, 0.0, 0.0, 0.0]
