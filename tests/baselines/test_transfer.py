"""Knowledge of another process saves simulations, and knowledge of nothing costs few."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Evaluation, Status
from acs_gym.specs import Spec, SpecSheet
from baselines.agent import AskTellAgent
from baselines.composite_ei import Effort
from baselines.initial import initial_designs
from baselines.registry import get_method, transfer
from baselines.testing import MIXED, ConformanceTests, bowl
from baselines.transfer import (
    FromTraces,
    NothingKnown,
    Transfer,
    _gain,
    _Prior,
    _Shifted,
    clipped,
    starts,
)
from leaderboard.agents.registry import build
from leaderboard.errors import LeaderboardError

SMALL = Effort(samples=16, raw=64, starts=2, iterations=15)
SHEET = SpecSheet((Spec("gain", ">=", 1.19), Spec("power", "<=", 1.55)))


def judged(design, at, gain=1.0):
    """Two metrics about a place in the unit cube."""
    unit = MIXED.to_unit(design)
    metrics = {
        "gain": gain * 1.2 * math.exp(-float(np.sum((unit - at) ** 2))),
        "power": 0.8 + float(np.mean(unit)),
    }
    return Evaluation.judged(design, Status.OK, metrics, SHEET)


def known_about(place, n=80):
    return [judged(d, place) for d in initial_designs(MIXED, n, seed=11)]


class TestWithKnowledge(ConformanceTests):
    @pytest.fixture
    def method(self):
        known = [bowl(MIXED, d, 0) for d in initial_designs(MIXED, 40, seed=5)]

        def build(space, *, seed, initial):
            # Of one space alone something is known; in the others the method starts cold.
            return Transfer(
                space, seed=seed, initial=initial, effort=SMALL, known=known if space is MIXED else ()
            )  # fmt: skip

        return build


def simulations_to_spec(known, *, at=0.62, limit=40):
    initial = starts(MIXED, known) or initial_designs(MIXED, 8, seed=7)
    optimizer = Transfer(MIXED, seed=3, initial=initial, known=known, effort=SMALL)
    for number in range(1, limit + 1):
        [design] = optimizer.ask(1)
        evaluation = judged(design, at, gain=0.998)
        if evaluation.feasible:
            return number
        optimizer.tell([evaluation])
    return limit + 1


def test_a_process_whose_optimum_lies_near_by_saves_most_simulations():
    assert simulations_to_spec(known_about(0.6)) * 2 < simulations_to_spec([])


def test_knowledge_of_something_else_does_not_keep_it_from_the_specs():
    """Its optimum is in the opposite corner, so what is known is worse than nothing at first."""
    assert simulations_to_spec(known_about(0.1), limit=60) <= 60


def test_the_best_known_designs_are_simulated_first():
    known = known_about(0.6)
    first, second = starts(MIXED, known)
    assert first == max(known, key=lambda e: e.score).design
    assert abs(MIXED.to_unit(first) - MIXED.to_unit(second)).max() > 0.1


def test_gains_follow_what_is_measured_and_start_at_one():
    expected = np.linspace(-1, 1, 20)
    assert _gain(2.0 * expected, expected) == pytest.approx(2.0, abs=0.2)
    assert _gain(np.array([0.3]), np.array([0.1])) == pytest.approx(1.0)
    noise = np.random.default_rng(0).standard_normal(400)
    assert abs(_gain(noise, np.random.default_rng(1).standard_normal(400))) < 0.15


def shifted():
    rng = np.random.default_rng(4)
    known = [bowl(MIXED, d, 0) for d in initial_designs(MIXED, 30, seed=5)]
    observations = Transfer(MIXED, seed=0, initial=[], known=known)._prior
    assert isinstance(observations, _Prior)
    x = rng.random((9, len(MIXED)))
    values = np.vstack([np.cos(x.sum(1)), x[:, 0] ** 2, np.ones(9)])
    values[1, 3] = np.nan
    return _Shifted.fitted(observations, x, values, ("power", "gain"))


def test_slopes_are_those_of_mean_and_deviation():
    models, point, step = shifted(), np.full(len(MIXED), 0.4), 1e-6
    mean, deviation, mean_slope, deviation_slope = models.slopes(point)
    at = models.at(point[None])
    assert mean == pytest.approx(at[0][:, 0]) and deviation == pytest.approx(at[1][:, 0])
    for k in range(len(MIXED)):
        aside = np.eye(len(MIXED))[k] * step
        high, low = models.at((point + aside)[None]), models.at((point - aside)[None])
        for slope, h, l_ in zip((mean_slope, deviation_slope), high, low, strict=True):
            assert slope[:, k] == pytest.approx((h - l_)[:, 0] / (2 * step), abs=1e-4)


def test_a_column_that_nobody_knows_is_modelled_all_the_same():
    models = shifted()
    assert models.gains[2] == 0.0 and models.gains[0] != 0.0
    known = Transfer(MIXED, seed=0, initial=[], known=known_about(0.5))._prior
    x = np.random.default_rng(0).random((5, len(MIXED)))
    strange = _Shifted.fitted(known, x, x[:, :1].T, ("noise",))
    assert strange.gains.tolist() == [0.0]


def test_designs_of_another_process_come_into_range():
    generic, sky130 = (acs_gym.make_task("ACS-OTA5T-v0", pdk=p) for p in ("generic", "sky130"))
    for anchor in generic.anchors("train")[:20]:
        design = clipped(sky130.space, anchor.design)
        assert design == sky130.space.canonicalize(design)


@pytest.mark.parametrize("pdk", ["sky130", "generic", "gf180mcu"])
@pytest.mark.parametrize("name", ["ACS-OTA5T-v0", "ACS-CommonSource-v0"])
def test_it_meets_every_spec_within_a_few_simulations_of_a_real_circuit(name, pdk):
    task = acs_gym.make_task(name, pdk=pdk)
    with task.session(40, seed=1) as session:
        AskTellAgent(get_method("transfer")).run(session)
        met = next((k for k, e in enumerate(session.history) if e.feasible), None)
    assert met is not None and met < 30


def trace(path, evaluations):
    lines = [json.dumps({"index": k, "evaluation": e.to_json()}) for k, e in enumerate(evaluations)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run_of_generic(tmp_path):
    """A folder as leaderboard.run leaves it: a cell with a trace."""
    generic = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    found = [
        Evaluation.judged(a.design, Status.OK, a.metrics, generic.specs)
        for a in generic.anchors("train")[:30]
    ]
    trace(tmp_path / "run" / "cell" / "trace.jsonl", found)
    return tmp_path / "run"


def test_the_traces_of_a_run_are_knowledge_judged_by_the_specs_of_now(run_of_generic):
    task = acs_gym.make_task("ACS-OTA5T-v0")
    method = FromTraces(run_of_generic)
    known = method._known(task)
    assert len(known) == 30
    easy = task.with_specs({"gain": 1.0})
    assert all(e.margins["gain"] > 0 for e in method._known(easy))
    assert method.initial(task, 5, seed=1)[0] == max(known, key=lambda e: e.score).design


def test_what_was_known_is_part_of_the_identity(run_of_generic):
    before = build(f"transfer:{run_of_generic}").config
    assert before["known"] != build("transfer").config.get("known")
    with next(run_of_generic.rglob("trace.jsonl")).open("a") as file:
        file.write("\n")
    assert build(f"transfer:{run_of_generic}").config != before


def test_failures_partial_designs_and_a_cut_last_line_are_left_out(tmp_path):
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    good = Evaluation.judged(
        task.reference, Status.OK, dict.fromkeys(task.specs.metrics, 1.0), task.specs
    )
    lost = task.refuse(task.reference, "lost")
    path = trace(tmp_path / "trace.jsonl", [good, lost])
    path.write_text(path.read_text() + '{"evaluation": {"desi')
    assert [e.metrics for e in FromTraces(path)._known(task)] == [good.metrics]


def test_a_damaged_line_is_named(run_of_generic):
    file = next(run_of_generic.rglob("trace.jsonl"))
    lines = file.read_text().splitlines()
    lines[2] = '{"evaluation": 7}'
    file.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"trace\.jsonl, line 3: no evaluation"):
        FromTraces(run_of_generic).check(acs_gym.make_task("ACS-OTA5T-v0"))


@pytest.mark.parametrize(("name", "reason"), [("", "no trace.jsonl in it"), ("x", "no such file")])
def test_a_folder_without_a_run_is_refused(tmp_path, name, reason):
    with pytest.raises(LeaderboardError, match=f"{reason}; give a folder of leaderboard.run"):
        build(f"transfer:{tmp_path / name}")


def test_a_run_of_another_circuit_is_refused(run_of_generic):
    agent = build(f"transfer:{run_of_generic}")
    with pytest.raises(NothingKnown, match="its parameters are others"):
        agent.check(acs_gym.make_task("ACS-OpAmp-v0"))


def test_a_circuit_of_one_process_says_what_to_give():
    task = acs_gym.make_task("ACS-OTA5T-v0")
    alone = task.circuit.model_copy(update={"anchors": {"sky130": task.circuit.anchors["sky130"]}})
    with pytest.raises(NothingKnown, match="give some: transfer:FOLDER"):
        transfer().check(acs_gym.task.task_of(alone))
