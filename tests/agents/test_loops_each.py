"""What each of the published loops does of its own: whom it asks for what, and what stands in."""

import json
import re

import numpy as np
import pytest

from agents.config import LlmConfig
from agents.loops.ado_llm import AdoLlm, AdoLlmSizes
from agents.loops.ledro import Ledro
from agents.loops.messages import diverse_designs
from agents.loops.opro import Opro, OproSizes
from agents.loops.proposals import read_proposals
from agents.loops.ranges import inside, narrow, read_ranges
from agents.transcript.records import read_transcript
from baselines.initial import initial_designs, split_seed
from baselines.sobol import Sobol
from tests.agents.test_loops import BUDGET, RANGES, SEED, Script, designs, run


def test_opro_steps_away_from_the_best_and_gives_up_on_a_useless_model(task, tmp_path):
    policy = Script(task, ["?"] * 500)
    path = tmp_path / "t.jsonl"
    sizes = OproSizes(unusable_steps=3, repairs=0)
    session = run(Opro, policy, task=task, transcript=path, sizes=sizes)
    initial = BUDGET // 4
    assert len(session.history) == initial + 2 and session.usage.duplicates == 0
    best = max(session.history[:initial], key=lambda e: e.score)
    distance = task.space.to_unit(session.history[initial].design) - task.space.to_unit(best.design)
    assert 0 < np.abs(distance).max() < 0.3
    assert f"design {initial + 1}" in policy.asked[1][-1]["content"]
    end = read_transcript(path)[-1]
    assert end.reason == "3 steps in a row had no usable answer; not the model's: designs 4, 5"


def test_one_useless_answer_does_not_end_opro(task):
    sizes = OproSizes(unusable_steps=2, repairs=0, designs_per_step=1)
    session = run(Opro, Script(task, ["?", None] * 20), task=task, sizes=sizes)
    assert len(session.history) == BUDGET


def test_opro_starts_from_the_initial_designs_of_the_optimisers(task):
    session = run(Opro, Script(task), task=task)
    count = BUDGET // 4
    assert (
        designs(session)[:count]
        == initial_designs(task.space, 50, split_seed(SEED).initial)[:count]
    )


def test_opro_shows_the_best_designs_in_ascending_order_of_score(task):
    policy = Script(task)
    session = run(Opro, policy, task=task, budget=16, sizes=OproSizes(shown=5))
    lines = [
        line for line in policy.asked[-1][1]["content"].splitlines() if line.startswith('{"par')
    ]
    shown = [json.loads(line) for line in lines]
    numbers = [row["design"] for row in shown]
    scores = [session.history[n - 1].score for n in numbers]
    assert len(numbers) == 5 and scores == sorted(scores)
    left = int(re.search(r"(\d+) simulations are left", policy.asked[-1][1]["content"])[1])
    best_five = sorted(e.score for e in session.history[: 16 - left])[-5:]
    assert scores == best_five and left > 0


def test_opro_shows_fewer_designs_to_a_small_context(task):
    policy = Script(task)
    session = run(Opro, policy, task=task, budget=16, context_tokens=3000)
    shown = policy.asked[-1][1]["content"].count('{"parameters"')
    assert 1 <= shown < 12 and len(session.history) == 16


def test_a_range_out_of_range_is_sent_back_with_the_range(task):
    policy = Script(task, ['{"w_pair": ["1u", "1"]}'])
    run(Ledro, policy, task=task)
    (said,) = policy.complaints
    assert "w_pair" in said and "500 nm to 100 um" in said


def test_ledro_searches_the_whole_space_when_no_range_is_usable(task):
    policy = Script(task, ["?"] * 500)
    session = run(Ledro, policy, task=task, budget=9)
    assert len(session.history) == 9
    # The same TuRBO as the calibration goes on.
    alone = run(Ledro, Script(task, ['{"m_tail": [1, 16]}'] * 9), task=task, budget=9)
    assert alone.history == session.history
    assert "ranges before it were kept" in policy.asked[-1][1]["content"]


def test_ledro_searches_inside_the_ranges_it_was_given(task):
    policy = Script(task, [None, '{"i_bias": ["1u", "5u"]}'])
    session = run(Ledro, policy, task=task)
    first = narrow(task.space, read_ranges(task, json.dumps(RANGES)).ranges)
    second = narrow(first, read_ranges(task, policy.answered[1]).ranges)
    third = BUDGET // 3
    calibration, one, two = (session.history[k : k + third] for k in range(0, BUDGET, third))
    assert all(inside(first, e) for e in one) and all(inside(second, e) for e in two)
    assert not all(inside(first, e) for e in calibration)
    shared = initial_designs(task.space, third // 2, split_seed(SEED).initial)
    assert designs(session)[: third // 2] == shared
    assert '"ranges":{"w_pair":["5 um","20 um"]' in policy.asked[1][1]["content"]


def test_ado_llm_gives_up_on_a_useless_model(task, tmp_path):
    path = tmp_path / "t.jsonl"
    sizes = AdoLlmSizes(unusable_steps=2, repairs=0, of_optimizer=2)
    session = run(AdoLlm, Script(task, ["?"] * 500), task=task, transcript=path, sizes=sizes)
    shared = initial_designs(task.space, BUDGET // 4, split_seed(SEED).initial)
    assert designs(session) == shared
    assert "not the model's: designs 1, 2, 3" in read_transcript(path)[-1].reason


def test_ado_llm_lets_the_model_and_the_optimiser_propose_in_turn(task):
    policy = Script(task)
    session = run(AdoLlm, policy, task=task, budget=16, sizes=AdoLlmSizes(of_optimizer=3))
    own = {task.space.key(d) for t in policy.answered for d in read_proposals(task, t, 99).designs}
    by_model = [task.space.key(e.design) in own for e in session.history]
    rounds = [True, False, False, False] * 3
    assert by_model == [True] * 4 + rounds
    # The model sees what the optimiser found, and the optimiser is told of the model's designs.
    shown = [set(re.findall(r'"design":(\d+)', m[1]["content"])) for m in policy.asked]
    assert not shown[0] and len(shown[1]) == 4
    found = {str(number) for number, model in enumerate(by_model, start=1) if not model}
    assert shown[3] & found


def test_ado_llm_takes_another_optimiser(task):
    sizes = AdoLlmSizes(method="random")
    session = run(AdoLlm, Script(task), task=task, sizes=sizes)
    assert len(session.history) == BUDGET
    with pytest.raises(KeyError, match="did you mean random"):
        AdoLlm(LlmConfig(model="m", base_url="http://x"), sizes=AdoLlmSizes(method="randm"))


def test_examples_are_good_and_differ(task):
    with task.session(30) as session:
        points = [np.full(len(task.space), u) for u in (0.5, 0.501, 0.502, 0.2, 0.8)]
        session.simulate([task.space.from_unit(p) for p in points])
    evaluations = session.history
    found = diverse_designs(task.space, evaluations, 3)
    best = max(e.score for e in evaluations)
    assert found[-1][1].score == best
    assert [e.score for _, e in found] == sorted(e.score for _, e in found)
    units = sorted(round(float(task.space.to_unit(e.design)[0]), 1) for _, e in found)
    assert units == [0.2, 0.5, 0.8]
    assert diverse_designs(task.space, [], 3) == []


def test_the_optimiser_of_ado_llm_is_told_of_every_design(task, monkeypatch):
    told = []

    class Listening(Sobol):
        def tell(self, evaluations):
            told.extend(evaluations)
            super().tell(evaluations)

    monkeypatch.setattr("baselines.sobol.Sobol", Listening)
    session = run(AdoLlm, Script(task), task=task, budget=14, sizes=AdoLlmSizes(method="sobol"))
    # 3 first designs, two rounds of 1 and 4, and a last design of the model's, told before the end.
    assert told == session.history
