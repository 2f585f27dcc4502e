"""The study of objectives: what it compares, and that its page says what its results say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import objectives
import objectives_page
import pytest

from tlgrpo.config import TrainConfig

ROOT = Path(__file__).parents[2]
PROBLEMS = 24


def row(objective: str, seed: int, solved: float = 0.5, **more):
    """A run whose policy solves that share of the held-out problems, the same ones in every run."""
    marks = [[0, int(k < solved * PROBLEMS)] for k in range(PROBLEMS)]
    scores = [[0.5, 0.9 + 0.1 * late] for _, late in marks]
    return {
        "objective": objective, "reward": "score", "seed": seed, "rate": 1e-4, "seconds": 1.0,
        "tuning": {"0.5": 0.5, "0.8": 0.4},
        "held_out": {t: {"best": scores, "solved": marks} for t in ("0.5", "0.8")}, **more,
    }  # fmt: skip


@pytest.mark.parametrize("name", objectives.OBJECTIVES)
def test_an_objective_changes_credit_and_nothing_else(name):
    wanted = {
        "objective": name, "reward": "score", "seed": 3, "simulations": 640, "rate": 1e-4,
        "policy": "tlgrpo/weights",
    }  # fmt: skip
    chosen = TrainConfig.read(objectives.CONFIG, objectives.settings(wanted))
    plain = objectives.settings(wanted | {"objective": objectives.PLAIN["tl-grpo"]})
    base = TrainConfig.read(objectives.CONFIG, plain)
    one, other = chosen.model_dump(), base.model_dump()
    differing = {k for k in one if one[k] != other[k]}
    assert differing <= {"algorithm", "turn_reward", "episode_reward", "normalise"}


def test_an_arm_is_not_told_apart_from_itself():
    rows = [row(name, seed) for name in ("a", "b") for seed in range(3)]
    first, second = objectives.arms_of(rows).values()
    difference = objectives.grid(first, "solved", 1) - objectives.grid(second, "solved", 1)
    assert objectives.interval(difference) == (0.0, 0.0)


def test_an_interval_holds_the_mean_and_resamples_the_circuits():
    values = objectives.grid([row("a", 0), row("a", 1)], "solved", 1)
    low, high = objectives.interval(values)
    assert low < values.mean() < high
    tasks = [task for task, _ in objectives.clusters(PROBLEMS)]
    assert set(tasks) == {t.id for t in _domain().tasks}
    rows, columns = objectives.resampled(2, PROBLEMS)
    assert set(rows.sum(axis=1)) == {2}
    met = [len({tasks[k] for k in np.flatnonzero(column)}) for column in columns]
    assert np.mean(met) < 0.8 * len(set(tasks)), "a draw leaves a third of the circuits out"


def _domain():
    from tlgrpo.domains import build_domain

    return build_domain(TrainConfig.read(objectives.CONFIG).domain)


def test_only_seeds_that_both_arms_have_are_compared():
    first = [row("a", k) for k in (0, 1, 2)]
    second = [row("b", k) for k in (2, 1)]
    one, other = objectives.paired(first, sorted(second, key=lambda r: r["seed"]))
    assert [r["seed"] for r in one] == [r["seed"] for r in other] == [1, 2]


def test_the_rate_is_that_with_which_most_training_problems_are_solved():
    rows = [
        row("grpo best", 1000, rate=rate, tuning={"0.5": share, "0.8": 0.0})
        for rate, share in ((1e-4, 0.6), (3e-4, 0.7), (1e-3, 0.1))
    ]
    rows.append(row("tl-grpo improvement", 1000, rate=9.0, tuning={"0.5": 1.0}))
    assert objectives.best_rate(rows, "grpo") == 3e-4


def test_a_temperature_is_chosen_by_training_problems():
    rows = [row("a", k, tuning={"0.5": 0.5 + 0.2 * k, "0.8": 0.65}) for k in range(2)]
    assert objectives.temperature_of(rows[:1]) == "0.8"
    assert objectives.temperature_of(rows[1:]) == "0.5"
    assert objectives.grid(rows, "best", 0) == pytest.approx(np.full((2, PROBLEMS), 0.5))


def test_the_page_is_made_from_the_committed_results():
    written = (ROOT / "docs" / objectives_page.PAGE).read_text()
    assert written == objectives_page.page(), "stale: python benchmarks/tlgrpo/objectives_page.py"


def test_every_run_spent_what_the_others_did():
    runs = objectives_page.read()["runs"]
    trained = [r for r in objectives_page.parts(runs)[1] if r["objective"] != objectives.NONE]
    asked = {r["simulations"] for r in trained}
    assert len(asked) == 1
    # An update is not cut short: the last one may go over by its own size.
    largest = 5 * 8 * TrainConfig.read(objectives.CONFIG).problems
    assert all(0 <= r["spent"] - r["simulations"] < largest for r in trained)


def test_the_worst_spec_as_reward_is_set_beside_the_score_of_the_same_objective_and_seed():
    rows = [row("a", seed, 0.25) for seed in range(5)]
    assert objectives_page.worst_spec(rows) == []
    rows += [row("a", seed, 0.75, reward="worst") for seed in range(2)]
    said, _ = objectives_page.worst_spec(rows)
    assert "1 objectives and 2 runs beside 2 " in said
    assert "solved +50.0% [+" in said


def test_the_same_seed_and_reward_are_set_side_by_side_over_both_rewards():
    ours, *others = ("tl-grpo improvement", "grpo best", "grpo last", "later scores")
    rows = [row(ours, seed, 0.5) for seed in range(3)]
    rows += [row(other, seed, 0.25) for other in others for seed in range(3)]
    assert objectives_page.both_rewards(rows) == []
    rows += [row(name, 0, 0.5, reward="worst") for name in (ours, *others)]
    said, _ = objectives_page.both_rewards(rows)
    assert "4 pairs of runs" in said and said.count("+18.8 points [") == len(others)


def test_longer_runs_say_whether_they_still_rise():
    def risen(name, *shares):
        curve = [{"simulations": 10.0 * k, "solved": share} for k, share in enumerate(shares)]
        return row(name, 0, simulations=900, curve=curve)

    rows = [risen("tl-grpo improvement", 0.1, 0.3, 0.5, 0.5, 0.6, 0.8), row("none", 0, curve=[])]
    lines = objectives_page.longer({"runs": rows, "command": "x"})
    (said,) = (line for line in lines if "third" in line)
    assert "900 simulations an arm, seeds: 1" in said
    assert said.endswith("of a run: `tl-grpo improvement` 20%, 50%, 70%.")
