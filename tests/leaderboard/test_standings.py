"""From cells to a leaderboard: figures by hand, who is ranked, and what must not matter."""

from __future__ import annotations

import hashlib
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.board.chosen import choose
from leaderboard.board.standings import standings
from leaderboard.board.statistics import TARGETS, THRESHOLDS
from leaderboard.cells.store import TRACE, Store
from leaderboard.reporting.summary import notes
from leaderboard.trust.perturbations import RobustRecord
from leaderboard.trust.ranked import Evidence
from leaderboard.trust.verify import ROBUST
from tests.leaderboard.boards import BUDGET, cell, grid, run_here, signed

FOREIGN = {"origin": None}


def row(board, agent):
    return next(r for r in board.rows if r.agent == agent)


def test_share_solved_is_kaplan_meier_by_hand():
    """Two of four cells meet every spec, after 1 and after 3 simulations."""
    runs = [(1.0,), (0.5, 0.5, 1.0), (0.5,) * BUDGET, (0.9, 0.2)]
    board = standings([cell("a", repetition=k, scores=s) for k, s in enumerate(runs)])
    assert list(row(board, "a").overall.solved) == [0.25, 0.25, 0.5, 0.5]
    assert row(board, "a").overall.simulations_to_spec == 3


def test_a_cell_that_counts_as_0_is_never_solved():
    board = standings([cell("a", scores=(1.0,), status="invalid")])
    assert not row(board, "a").overall.solved.any() and row(board, "a").overall.score == 0


def test_targets_reached_by_hand():
    """0.75 is half of the way: the targets 0.50, 0.51 ... 0.75, 26 of the 51."""
    board = standings([cell("a", scores=(0.49, 0.75, 1.0))])
    assert TARGETS.size == 51
    assert board.ecdf["a"] == pytest.approx([0.0, 26 / 51, 1.0, 1.0])


def test_tasks_count_alike_in_targets_reached_however_many_seeds_they_have():
    cells = [cell("a", "ACS-A-v0", k, (1.0,)) for k in range(3)] + [
        cell("a", "ACS-B-v0", 0, (0.1,))
    ]
    assert standings(cells).ecdf["a"] == pytest.approx([0.5] * BUDGET)


def test_profile_is_the_share_of_cells_with_at_least_a_score():
    board = standings(grid({"a": {"ACS-A-v0": [0.2, 0.5, 0.5, 1.0]}}))
    share, low, high = board.profile.shares["a"]
    at = {round(float(t), 2): float(s) for t, s in zip(THRESHOLDS, share, strict=True)}
    assert (at[0.0], at[0.2], at[0.21], at[0.5], at[0.51], at[1.0]) == (
        1,
        1,
        0.75,
        0.75,
        0.25,
        0.25,
    )
    assert ((low <= share) & (share <= high)).all()


def test_the_interval_over_tasks_is_wider_where_tasks_differ():
    tasks = {f"ACS-{c}-v0": [s, s + 0.01, s + 0.02] for c, s in zip("ABCD", (0.1, 0.3, 0.6, 0.9))}  # noqa: B905
    figures = row(standings(grid({"a": tasks})), "a").overall
    narrow, wide = figures.interval, figures.task_interval
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_task_says_nothing_of_other_tasks():
    board = standings(grid({"a": {"ACS-A-v0": [0.1, 0.2]}}))
    assert math.isnan(row(board, "a").overall.task_interval.low)


@pytest.mark.parametrize(
    ("cells", "reasons"),
    [
        ([cell("a", repetition=k) for k in range(10)], ()),
        ([cell("a", repetition=k) for k in range(9)], ("9 of 10 seeds",)),
        # What an agent says that it paid is no reason to believe that it did.
        ([cell("a", repetition=k, usage={"money": 0.1}) for k in range(5)], ("5 of 10 seeds",)),
        (
            [cell("a", repetition=k, fingerprint={"origin": None}) for k in range(10)],
            ("shared the harness's process",),
        ),
        (
            [cell("a", repetition=k, fingerprint={"origin": "other 1.0"}) for k in range(10)],
            ("shared the harness's process",),
        ),
        (
            [
                cell("a", repetition=k, fingerprint=FOREIGN | {"isolation": {"level": "subprocess"}})
                for k in range(10)
            ],
            ("not in a container",),
        ),
        (
            [
                cell("a", repetition=k, fingerprint={"origin": None, "isolation": {"level": tier}})
                for k, tier in enumerate(["container"] * 9 + ["subprocess"])
            ],
            ("not in a container",),
        ),
        (
            [
                cell("a", repetition=k, fingerprint={"origin": None, "isolation": {"level": "container"}})
                for k in range(10)
            ],
            (),
        ),
        (
            [
                cell("a", repetition=k, fingerprint={"isolation": {"level": "subprocess"}})
                for k in range(10)
            ],
            (),
        ),
    ],
)  # fmt: skip
def test_who_is_ranked_and_why_not(cells, reasons):
    (found,) = standings(cells, evidence=run_here(cells)).rows
    assert (found.reasons, found.ranked) == (reasons, not reasons)


@pytest.mark.parametrize(("seeds", "reasons"), [(5, ()), (4, ("4 of 5 seeds",))])
def test_five_seeds_are_enough_where_transcripts_show_a_paid_model(seeds, reasons):
    cells = [cell("a", repetition=k) for k in range(seeds)]
    (found,) = standings(cells, evidence=run_here(cells, paid=True)).rows
    assert found.reasons == reasons


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (lambda _: Evidence(), "10 cells not verified"),
        (lambda _: Evidence("changed since it was verified"), "10 cells changed since it was verified"),
        (lambda c: Evidence(signed(c, "verify", ["winner", "all designs"])), "10 cells not run here"),
        (lambda c: Evidence(signed(c, "verify", ["winner", "replay"])), None),
    ],
    ids=["unverified", "edited", "verified", "replayed"],
)  # fmt: skip
def test_a_trace_that_may_have_been_made_up_is_shown_and_not_ranked(known, reason):
    cells = [cell("a", repetition=k) for k in range(10)]
    (found,) = standings(cells, evidence={c.result.key: known(c) for c in cells}).rows
    assert found.reasons == (() if reason is None else (reason,))
    assert found.unwitnessed == (0 if reason is None else 10)


def test_another_suite_seed_than_the_seasons_is_not_ranked():
    cells = [cell("a", repetition=k, suite_seed=7) for k in range(10)]
    (found,) = standings(cells, evidence=run_here(cells)).rows
    assert found.reasons == ("suite seed 7, the season's is 0",)


SALTED = "held-out:" + "a" * 64


def test_held_out_targets_make_the_board_and_fixed_ones_its_open_track():
    hidden = [cell("a", repetition=k, scores=(0.4,), targets=SALTED) for k in range(10)]
    fixed = [cell("a", repetition=k, scores=(1.0,)) for k in range(10)]
    board = standings(hidden, evidence=run_here(hidden), open_track=fixed)
    (found,) = board.rows
    assert (round(found.overall.score, 9), found.open_score, found.ranked) == (0.4, 1.0, True)
    assert board.best == {} and all(card.specs == () for card in board.tasks.values())


def test_no_date_and_no_digest_puts_honest_cells_off_the_board():
    """One cell that says it was finished in 9999, of another task by the same name."""
    honest = [cell("a", repetition=k) for k in range(3)]
    forged = cell("b", digest="forged", finished="9999-01-01")
    board = standings([*honest, forged], evidence=run_here(honest))
    assert [r.agent for r in board.rows] == ["a"] and board.omitted == 1
    here = {c.result.key: Evidence(current=c is forged) for c in [*honest, forged]}
    assert [r.agent for r in standings([*honest, forged], evidence=here).rows] == ["b"]


@pytest.mark.parametrize(("at_once", "note"), [(6, "6 met at simulation 1"), (5, "")])
def test_a_row_that_meets_everything_at_once_is_marked(at_once, note):
    """Its first simulation meets every spec in most cells: it was given the answer."""
    cells = [
        cell("a", repetition=k, scores=(1.0,) if k < at_once else (0.5, 1.0)) for k in range(10)
    ]
    (found,) = standings(cells, evidence=run_here(cells)).rows
    assert found.overall.met_at_once == at_once and notes(found) == note and found.ranked


def test_an_agent_trained_on_what_is_held_out_is_custom_and_stands_last():
    cells = [cell("cheat", scores=(1.0,)), cell("honest", scores=(0.5,))]
    board = standings(cells, held_out={"cheat": ("ACS-A-v0:held-out",)})
    assert [(r.agent, r.custom) for r in board.rows] == [("honest", False), ("cheat", True)]
    assert "trained on ACS-A-v0:held-out" in board.rows[1].reasons


def robust(key, score, label="public", salt="0"):
    return RobustRecord(
        key=key,
        label=label,
        salt_hash=salt * 64,
        robust_score=score,
        scores=(score,),
        perturbations=None,
    )


def test_a_robust_score_is_shown_where_every_cell_has_one():
    cells = [cell("a", repetition=k) for k in range(2)]
    keys = [c.result.key for c in cells]

    def of(records):
        return standings(cells, evidence={r.key: Evidence(robust=r) for r in records}).rows[0]

    assert of([]).robust_score is None
    assert of([robust(keys[0], 0.4)]).robust_score is None
    assert of([robust(keys[0], 0.4), robust(keys[1], 0.2)]).robust_score == pytest.approx(0.3)


def test_scores_of_another_salt_than_most_are_of_are_left_out_and_named(tmp_path):
    cells = [cell(agent, repetition=k) for agent in ("a", "b") for k in range(2)]
    salts = [("hidden", "a"), ("hidden", "a"), ("hidden", "a"), ("public", "b")]
    for stored, (label, salt) in zip(cells, salts, strict=True):
        key = stored.result.key
        lines = "".join(line.model_dump_json() + "\n" for line in stored.trace).encode()
        (tmp_path / key).mkdir()
        (tmp_path / key / TRACE).write_bytes(lines)
        digest = hashlib.sha256(lines).hexdigest()
        Store(tmp_path).finish(stored.result.model_copy(update={"trace_sha256": digest}))
        (tmp_path / key / ROBUST).write_text(robust(key, 0.5, label, salt).model_dump_json())
    chosen = choose(tmp_path)
    assert sum(e.robust is not None for e in chosen.evidence.values()) == 3
    assert len(chosen.cells) == 4
    (said,) = chosen.left_out
    assert said.startswith("robust scores of 1 cells, of the public salt bbbbbbbb; ")
    assert [r.robust_score for r in chosen.board().rows] == [0.5, None]


def test_costs_are_means_over_cells():
    cells = [cell("a", repetition=k, usage={"tokens": 100 * k, "money": 0.5 * k}) for k in range(3)]
    (found,) = standings(cells).rows
    assert (found.tokens, found.money) == (100, 0.5)
    assert (found.seconds, found.simulator_seconds) == (3.0, 1.0)


def test_an_agents_time_ends_with_its_last_answer_before_the_winner_is_simulated_again():
    """Here designs are answered after 0, 1, 2, ... seconds, one of which the simulator took."""
    lengths = [(0.5,), (0.5,) * 3, (0.5,) * 4, ()]
    cells = [cell("a", repetition=k, scores=scores) for k, scores in enumerate(lengths)]
    (found,) = standings(cells).rows
    assert found.agent_seconds == (0.0 + 1.0 + 2.0 + 0.0) / 4


SCORES = st.lists(st.floats(0, 1).map(lambda x: round(x, 2)), min_size=3, max_size=3)
BOARDS = st.fixed_dictionaries(
    {a: st.fixed_dictionaries(dict.fromkeys(("ACS-A-v0", "ACS-B-v0"), SCORES)) for a in "abc"}
)


def figures(found):
    return [found.overall, *found.tasks.values()]


def same(one, two):
    return all(
        np.array_equal(np.asarray(getattr(a, n)), np.asarray(getattr(b, n)), equal_nan=True)
        for a, b in zip(figures(one), figures(two), strict=True)
        for n in ("score", "area", "successes", "solved", "curve")
    ) and all(
        a.interval == b.interval and a.task_interval == b.task_interval
        for a, b in zip(figures(one)[:1], figures(two)[:1], strict=True)
    )


@settings(max_examples=8, deadline=None)
@given(BOARDS, st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_matter(scores, order):
    cells = grid(scores)
    shuffled = list(cells)
    random.Random(order.random()).shuffle(shuffled)
    one, two = standings(cells), standings(shuffled)
    assert [r.agent for r in one.rows] == [r.agent for r in two.rows]
    assert all(same(a, b) for a, b in zip(one.rows, two.rows, strict=True))
    assert one.pairs == two.pairs and one.friedman == two.friedman


@settings(max_examples=8, deadline=None)
@given(BOARDS)
def test_another_agent_changes_nobodys_figures(scores):
    cells = grid(scores)
    alone = standings([c for c in cells if c.result.spec.agent == "a"])
    assert same(row(alone, "a"), row(standings(cells), "a"))
