"""What the report says at its top: who is first and how surely, what was met, which design is shown."""

from __future__ import annotations

import pytest

from leaderboard.board.standings import standings
from leaderboard.reporting.conclusions import conclusions, featured
from tests.leaderboard.boards import cell, grid, run_here

HELD_OUT = "held-out:" + "ab" * 32


def said(cells, **more):
    return " ".join(conclusions(standings(cells, evidence=run_here(cells), **more)))


def repeated(score, spread=0.0, tasks=2, seeds=10):
    return {
        f"ACS-{k}-v0": [score - spread * seed for seed in range(seeds)] for k in range(1, tasks + 1)
    }


def test_the_first_agent_is_named_with_its_score_and_interval():
    text = said(grid({"good": repeated(0.9, 0.01), "bad": repeated(0.5, 0.01)}))
    assert text.startswith("good is first, with a score of 0.85")
    assert "interval 0.8" in text and "over seeds)." in text


def test_one_seed_and_an_unclaimed_rank_are_said():
    text = said(grid({"good": repeated(0.9, seeds=1), "bad": repeated(0.5, seeds=1)}))
    assert "(from one seed); the rank is shown, not claimed." in text
    assert "2 runs each are too few, or too alike, to tell good from bad." in text


def test_agents_of_one_rank_share_it():
    text = said(grid({"a": repeated(0.9), "b": repeated(0.9), "c": repeated(0.1)}))
    assert text.startswith("a and b share the first rank, with a score of 0.9000")
    assert "20 runs each are too few, or too alike, to tell a from b." in text
    assert "a is ahead of c, by more than chance explains." in text


def test_an_agent_ahead_of_all_others_is_said_to_be():
    text = said(grid({"a": repeated(0.9), "b": repeated(0.5), "c": repeated(0.1)}))
    assert "a is ahead of all 2 others, by more than chance explains." in text
    assert "too alike" not in text


def test_a_long_list_of_names_is_cut():
    agents = {f"agent-{k}": repeated(0.9) for k in range(9)}
    assert "agent-0, agent-1, agent-2, agent-3 and 5 others share the first rank" in said(
        grid(agents)
    )


def test_who_scores_higher_run_against_run_than_the_first_is_named():
    # The interquartile mean leaves out the fifth of its runs in which `swings` has nothing.
    swings = dict.fromkeys(repeated(1.0, tasks=5), [1.0] * 8 + [0.0] * 2)
    text = said(grid({"swings": swings, "steady": repeated(0.99, tasks=5)}))
    assert text.startswith("swings is first")
    assert "Run against run, steady scored higher on average." in text


def test_an_agent_alone_is_first_of_nobody():
    text = said(grid({"alone": repeated(0.4)}))
    assert text.startswith("alone alone was run: a score of 0.4000")


def test_what_was_met_is_counted_and_what_nobody_met_is_named():
    cells = [
        *(cell("a", "ACS-1-v0", seed, (0.3, 0.5, 1.0)) for seed in range(3)),
        *(cell("a", "ACS-2-v0", seed, (0.3, 0.5)) for seed in range(3)),
    ]
    text = said(cells)
    assert "a met every spec in 3 of 6 runs; the median needed 3 of 4 simulations." in text
    assert "No agent met every spec of ACS-2-v0." in text


def test_met_everywhere_and_met_nowhere_are_said():
    assert "On each of the 2 circuits some agent met every spec." in said(
        grid({"a": repeated(1.0)})
    )
    assert "No agent met every spec of any circuit." in said(grid({"a": repeated(0.5)}))


def test_held_out_targets_are_said_beside_the_score_on_the_known_ones():
    cells = [cell("a", "ACS-1-v0", seed, (0.5,), targets=HELD_OUT) for seed in range(3)]
    public = [cell("a", "ACS-1-v0", seed, (0.75,)) for seed in range(3)]
    text = said(cells, open_track=public)
    assert "The targets are held out, so no design is shown" in text
    assert "On the fixed targets, which everybody knows, a has 0.7500." in text


@pytest.fixture
def sized():
    """A board of designs: task -> (score, number of specs)."""

    def _sized(designs):
        made = []
        for task, (score, specs) in designs.items():
            one = cell("a", task, 0, (score,))
            best = one.trace[0].evaluation
            asked = [
                {"metric": f"m{k}", "direction": ">=", "target": 1.0, "unit": ""}
                for k in range(specs)
            ]
            card = type(one.result.task).model_validate(
                one.result.task.model_dump() | {"specs": asked}
            )
            result = one.result.model_copy(
                update={"best": best, "verified": best, "task": card, "score": score}
            )
            made.append(type(one)(result, one.trace))
        return standings(made)

    return _sized


def test_the_design_shown_first_meets_every_spec_and_most_of_them(sized):
    board = sized({"ACS-1-v0": (1.0, 3), "ACS-2-v0": (1.0, 9), "ACS-3-v0": (0.99, 20)})
    assert featured(board, board.tasks) == "ACS-2-v0"
    assert featured(board, {"ACS-1-v0", "ACS-3-v0"}) == "ACS-1-v0"
    assert featured(board, ()) is None


def test_where_no_design_meets_every_spec_the_nearest_is_shown(sized):
    board = sized({"ACS-1-v0": (0.8, 9), "ACS-2-v0": (0.9, 3)})
    assert featured(board, board.tasks) == "ACS-2-v0"
