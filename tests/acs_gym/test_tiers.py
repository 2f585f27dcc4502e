"""Tiers: which conditions, what they cost, and how their results are combined."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import acs_gym
from acs_gym.evaluation import Evaluation, Spread, Status, worst_conditions, yield_bound
from acs_gym.pdks.base import split_corner
from acs_gym.session import BudgetExhausted, Call
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import InProcessSimulator, Job, Simulator
from acs_gym.specs import Spec, SpecSheet
from acs_gym.tiers import get_tier

SHEET = SpecSheet((Spec("gain", ">=", 40, tolerance=20), Spec("power", "<=", 1e-4)))


def outcome(gain: float, power: float, status: Status = Status.OK) -> Outcome:
    return Outcome(status, {"gain": gain, "power": power, "area": 1e-10}, "")


@pytest.mark.parametrize(("passives", "cost"), [((), 25), (("ll", "lh", "hl", "hh"), 73)])
def test_pvt_is_every_extreme_once_and_nominal(passives: tuple[str, ...], cost: int) -> None:
    tier = get_tier("pvt", passives)
    assert tier.cost == cost
    assert len({(c.corner, c.supply, c.temperature) for c in tier.conditions}) == cost
    assert {split_corner(c.corner)[1] for c in tier.conditions} == {"", *passives}
    nominal = tier.conditions[tier.nominal]
    assert (nominal.corner, nominal.supply, nominal.temperature) == ("tt", 1.0, 27.0)
    low = next(c for c in tier.conditions if c.supply == 0.9 and c.temperature == 125.0)
    assert low.overrides({"vdd": 1.8}) == {"vdd": pytest.approx(1.62), "temperature": 125.0}


def test_worst_case_is_taken_metric_by_metric_and_says_where() -> None:
    tier = get_tier("pvt")
    outcomes = [outcome(50, 5e-5) for _ in tier.conditions]
    outcomes[3], outcomes[7] = outcome(41, 5e-5), outcome(60, 9e-5)
    combined, spread = tier.combine(dict(enumerate(outcomes)), SHEET)
    assert combined.metrics["gain"] == 41 and combined.metrics["power"] == 9e-5
    assert spread.worst_at == {"gain": tier.conditions[3].name, "power": tier.conditions[7].name}
    assert combined.status is Status.OK


def test_a_metric_that_does_not_exist_somewhere_is_met_nowhere() -> None:
    tier = get_tier("pvt")
    outcomes = [outcome(50, 5e-5) for _ in tier.conditions]
    outcomes[9] = outcome(math.nan, 5e-5, Status.MEASURE_FAILED)
    combined, spread = tier.combine(dict(enumerate(outcomes)), SHEET)
    assert math.isnan(combined.metrics["gain"]) and combined.status is Status.MEASURE_FAILED
    assert spread.worst_at["gain"] == tier.conditions[9].name
    assert SHEET.judge(combined.metrics).satisfaction["gain"] == 0.0


def test_one_failed_condition_fails_the_design() -> None:
    tier = get_tier("mc4")
    outcomes = [outcome(50, 5e-5) for _ in tier.conditions]
    outcomes[2] = Outcome(Status.NONCONVERGED, {"gain": math.nan}, "no solution")
    combined, _ = tier.combine(dict(enumerate(outcomes)), SHEET)
    assert combined.status is Status.NONCONVERGED and combined.message == "draw 2: no solution"


def test_mismatch_statistics_are_the_textbook_s() -> None:
    tier = get_tier("mc4")
    gains, powers = [44.0, 46.0, 48.0, 39.0], [1e-5, 2e-5, 3e-5, 2e-5]
    outcomes = [outcome(g, p) for g, p in zip(gains, powers, strict=True)]
    combined, spread = tier.combine(dict(enumerate(outcomes)), SHEET)
    assert spread.mean["gain"] == pytest.approx(np.mean(gains))
    assert spread.sigma["gain"] == pytest.approx(np.std(gains, ddof=1))
    assert combined.metrics["gain"] == pytest.approx(np.mean(gains) - 3 * np.std(gains, ddof=1))
    assert combined.metrics["power"] == pytest.approx(np.mean(powers) + 3 * np.std(powers, ddof=1))
    assert spread.yield_fraction == 0.75


def test_three_sigma_of_an_offset_is_away_from_zero() -> None:
    tier = get_tier("mc4")
    sheet = SpecSheet((Spec("offset", "within", 1e-2),))
    offsets = [-1e-3, -3e-3, -2e-3, 1e-3]
    combined, _ = tier.combine(
        {k: Outcome(Status.OK, {"offset": o}) for k, o in enumerate(offsets)}, sheet
    )
    wanted = np.mean(offsets) - 3 * np.std(offsets, ddof=1)
    assert combined.metrics["offset"] == pytest.approx(wanted)


def test_draws_are_the_same_for_every_design_and_differ_between_devices() -> None:
    first, second = get_tier("mc8").conditions[:2]
    devices = ["m.xdut.mpair_p", "m.xdut.mpair_n"]
    assert first.mismatch(devices) == first.mismatch(list(reversed(devices)))
    assert first.mismatch(devices[:1])[devices[0]] == first.mismatch(devices)[devices[0]]
    assert len({*first.mismatch(devices).values(), *second.mismatch(devices).values()}) == 4


@pytest.mark.parametrize("name", ["mc1", "mc99999", "mcx", "TT", ""])
def test_other_tiers_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=r"tiers: tt, pvt, mc|mismatch draws are 2 to 10000"):
        get_tier(name)


def test_temperature_and_corner_need_no_reload_and_leave_no_trace(
    pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk, tier="pvt")
    nominal = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    reference = nominal.reference or {}
    before = repr(in_process.run([Job(nominal.program, reference)]))
    outcomes = in_process.run([task.job(reference, k) for k in range(task.cost)])
    assert repr(in_process.run([Job(nominal.program, reference)])) == before
    middle = outcomes[task.conditions.nominal]
    assert repr([middle]) == before, "the nominal condition is the tt tier"
    assert len({o.metrics["ugbw"] for o in outcomes}) == task.cost == 25
    again = in_process.run([task.job(reference, k) for k in reversed(range(task.cost))])
    assert [repr(o) for o in reversed(again)] == [repr(o) for o in outcomes]


def test_simulating_in_process_leaves_nothing_in_the_current_folder(
    pdk: str, in_process: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some corners of SKY130 have parameters that BSIM4 warns of, in a file."""
    monkeypatch.chdir(tmp_path)
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk, tier="pvt")
    design = task.space.from_unit([0.3] * len(task.space))
    in_process.run([task.job(design, k) for k in range(task.cost)])
    assert list(tmp_path.iterdir()) == []


def test_physics_of_the_conditions(pdk: str, in_process: Simulator) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk, tier="pvt")
    reference = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk).reference or {}
    found = {}
    for k, condition in enumerate(task.conditions.conditions):
        if condition.corner == "ss":
            at = condition.supply, condition.temperature
            found[at] = in_process.run([task.job(reference, k)])[0].metrics
    assert found[1.1, 27.0]["power"] > 1.16 * found[0.9, 27.0]["power"]
    # gm of a pair at fixed current falls with temperature.
    assert found[1.1, 125.0]["ugbw"] < found[1.1, 27.0]["ugbw"] < found[1.1, -40.0]["ugbw"]


@pytest.mark.parametrize("name", ["ACS-OpAmp-v0", "ACS-OTA5T-v0"])
def test_only_a_circuit_with_passives_has_their_corners(pdk: str, name: str) -> None:
    task = acs_gym.make_task(name, pdk=pdk, tier="pvt")
    expected = ("ll", "lh", "hl", "hh") if name == "ACS-OpAmp-v0" else ()
    assert task.passive_corners == expected
    assert task.conditions == get_tier("pvt", expected) and task.cost == task.conditions.cost


def test_mismatch_follows_pelgrom(pdk: str, in_process: Simulator) -> None:
    """The input offset that a pair causes falls with its area as the PDK's own law says."""
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    reference = task.reference or {}
    pair = "m.xdut.mpair_p"

    def output(area: float, z: float) -> float:
        side = math.sqrt(area)
        sizes = {k: side * reference[k] for k in ("w_pair", "l_pair")}
        design = task.space.canonicalize({**reference, **sizes})
        job = Job(task.program, design, waveforms=True, mismatch={pair: z})
        return float(in_process.run([job])[0].waveforms["op"]["v(out)"][0])

    def threshold(area: float) -> float:
        law = task.pdk.devices("tt")["nfet"].parts[0].attributes["delvto"]
        side = math.sqrt(area)
        size = {"w": side * reference["w_pair"], "l": side * reference["l_pair"], "m": 1.0}
        return float(law({**size, "z": 1.0}) - law({**size, "z": 0.0}))

    small = output(0.5, 1.0) - output(0.5, 0.0)
    large = output(1.0, 1.0) - output(1.0, 0.0)
    assert abs(small) > 1e-4
    assert small / large == pytest.approx(threshold(0.5) / threshold(1.0), rel=0.1)
    # Two to one for four times the area, or somewhat more where the law has an effective length.
    assert 1.9 < threshold(0.25) / threshold(1.0) < 2.6


SPLENDID = {
    **dict.fromkeys(acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").metric_units, 1.0),
    "gain": 60.0, "ugbw": 1e9, "pm": 70.0, "modulus_margin": 0.9, "cmrr": 90.0,
    "saturation": 2.0, "area": 1e-12, "power": 1e-6,
}  # fmt: skip


class Scripted(Simulator):
    """Every design passes its first `good` conditions and misses the rest."""

    def __init__(self, good: int) -> None:
        self.good, self.seen = good, 0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        results = []
        for _ in jobs:
            gain = 60.0 if self.seen < self.good else 1.0
            self.seen += 1
            results.append(Outcome(Status.OK, {**SPLENDID, "gain": gain}))
        return results


def test_a_design_costs_its_conditions_or_those_up_to_the_first_failing_one() -> None:
    reference = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").reference or {}
    full = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="pvt")
    simulator = Scripted(good=7)
    session = full.session(budget=100, simulator=simulator)
    assert session.remaining == 4
    evaluation = session.simulate(reference)
    assert evaluation.cost == 25 and session.meter.used == 25 and not evaluation.feasible
    early = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="pvt", stop_at_first_failure=True)
    assert early.digest != full.digest
    simulator = Scripted(good=7)
    session = early.session(budget=100, simulator=simulator)
    evaluation = session.simulate(reference)
    assert evaluation.cost == 8 and session.meter.used == 8 and simulator.seen == 8
    assert not evaluation.feasible
    assert session.simulate(reference).cost == 8, "a duplicate costs the same again"
    assert session.meter.used == 16


def test_a_tier_through_workers_equals_the_same_in_process(pdk: str) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk, tier="mc6")
    rng = np.random.default_rng(0)
    designs = [acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk).reference or {}, task.space.sample(rng)]
    pooled = task.session(workers=2).simulate(designs)
    direct = task.session(simulator=InProcessSimulator()).simulate(designs)
    assert pooled == direct
    assert pooled[0].spread.yield_fraction is not None


def test_the_spread_and_the_conditions_survive_json() -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier="mc4")
    nominal = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
    evaluation = task.session().simulate(nominal.reference or {})
    assert through_json(evaluation, task) == evaluation
    assert evaluation.spread != Spread() and len(evaluation.by_condition) == 4


# What lies behind the worst case, condition by condition


def through_json(evaluation: Evaluation, task: acs_gym.Task) -> Evaluation:
    data = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    return Evaluation.from_json(data, task.specs)


def ota(tier: str, **options: bool) -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic", tier=tier, **options)


def measured(gain: float, power: float = 1e-5) -> Outcome:
    metrics = dict.fromkeys(ota("tt").metric_units, 1.0)
    return Outcome(Status.OK, {**metrics, "gain": gain, "power": power})


def test_every_condition_is_judged_by_itself() -> None:
    task = ota("pvt")
    outcomes = [measured(50.0 - k, 1e-5 * (1 + k % 7)) for k in range(task.cost)]
    evaluation = task.judge(task.space.from_unit([0.5] * 8), *outcomes)
    assert list(evaluation.by_condition) == [c.name for c in task.conditions.conditions]
    for at, outcome in zip(evaluation.by_condition.values(), outcomes, strict=True):
        verdict = task.specs.judge(outcome.metrics)
        assert at.metrics == outcome.metrics and at.margins == verdict.margins
        assert (at.score, at.feasible) == (verdict.score, verdict.feasible)
    for metric, where in evaluation.spread.worst_at.items():
        assert evaluation.by_condition[where].metrics[metric] == evaluation.metrics[metric]
        assert evaluation.by_condition[where].margins[metric] == evaluation.margins[metric]
    assert worst_conditions(evaluation.by_condition) == evaluation.spread.worst_at


def test_the_worst_draw_of_a_spec_is_one_where_it_could_not_be_measured() -> None:
    task = ota("mc3")
    outcomes = [measured(50.0), measured(math.nan), measured(30.0, 1e-3)]
    worst = worst_conditions(task.judge({}, *outcomes).by_condition)
    assert (worst["gain"], worst["power"], worst["pm"]) == ("draw 1", "draw 2", "draw 0")


def test_a_failed_condition_is_there_with_its_reason_and_without_numbers() -> None:
    task = ota("mc3")
    lost = Outcome(Status.NONCONVERGED, {}, "no solution")
    evaluation = task.judge({}, measured(50.0), lost, measured(30.0))
    assert evaluation.status is Status.NONCONVERGED and len(evaluation.by_condition) == 3
    failed = evaluation.by_condition["draw 1"]
    assert (failed.status, failed.message) == (Status.NONCONVERGED, "no solution")
    assert (failed.score, failed.feasible) == (0.0, False)
    assert list(failed.metrics) == list(task.metric_units)
    assert all(map(math.isnan, failed.metrics.values()))
    assert evaluation.by_condition["draw 0"].metrics["gain"] == 50.0, "the others are kept"
    assert through_json(evaluation, task) == evaluation


def test_one_condition_is_the_evaluation_itself_and_a_refused_design_has_none() -> None:
    assert ota("tt").judge({}, measured(50.0)).by_condition == {}
    assert "by_condition" not in ota("tt").judge({}, measured(50.0)).to_json()
    assert ota("pvt").refuse({"w_pair": 1.0}, "no design").by_condition == {}


def test_conditions_that_were_not_simulated_are_not_there() -> None:
    early = ota("pvt", stop_at_first_failure=True)
    session = early.session(budget=100, simulator=Scripted(good=7))
    evaluation = session.simulate(ota("tt").reference or {})
    assert len(evaluation.by_condition) == evaluation.cost == 8
    assert [at.feasible for at in evaluation.by_condition.values()] == [True] * 7 + [False]


# Some conditions now, others later


def names(task: acs_gym.Task, *numbers: int) -> list[str]:
    return [task.conditions.conditions[k].name for k in numbers]


def test_some_conditions_are_charged_and_judged_and_the_rest_may_follow() -> None:
    task, simulator = ota("pvt"), Scripted(good=100)
    session = task.session(budget=60, simulator=simulator)
    reference = ota("tt").reference or {}
    part = session.simulate(reference, conditions=names(task, 24, 3))
    assert part.cost == 2 == session.meter.used == simulator.seen
    assert list(part.by_condition) == names(task, 3, 24), "in the tier's order"
    assert not part.complete and part.unknown == 23 and not part.feasible
    assert part.score == 2 / 25, "what is not simulated is not met"
    rest = [c.name for c in task.conditions.conditions if c.name not in part.by_condition]
    whole = session.simulate(reference, conditions=rest)
    assert whole.cost == 23 and session.meter.used == 25 == simulator.seen
    assert whole.complete and whole.feasible and whole.score == 1.0
    at_once = task.session(simulator=Scripted(good=100)).simulate(reference)
    assert replace(whole, cost=25) == at_once, "and the same as in one call"


def test_what_is_known_is_charged_again_and_not_simulated_again() -> None:
    task, simulator = ota("pvt"), Scripted(good=100)
    calls: list[Call] = []
    session = task.session(budget=60, simulator=simulator, on_call=calls.append)
    reference = ota("tt").reference or {}
    first = session.simulate(reference, conditions=names(task, 0, 1))
    again = session.simulate(reference, conditions=names(task, 1))
    more = session.simulate([reference, reference], conditions=names(task, 1, 2))
    assert simulator.seen == 3 and session.meter.used == 2 + 1 + 4
    assert again == replace(first, cost=1), "all that is known of it"
    assert more[0] == more[1] and list(more[0].by_condition) == names(task, 0, 1, 2)
    assert [c.duplicate for c in calls] == [False, True, False, True]
    assert calls[1].conditions == tuple(names(task, 1))
    assert session.simulate(reference).cost == 25 and calls[-1].conditions is None


def test_the_incumbent_is_one_that_was_simulated_everywhere() -> None:
    task = ota("pvt")
    session = task.session(simulator=Scripted(good=25))
    part = session.simulate(ota("tt").reference or {}, conditions=names(task, *range(24)))
    assert part.score == 24 / 25 and session.best is part
    whole = session.simulate(task.space.from_unit([0.5] * 8))
    assert whole.score < part.score and session.best is whole


@given(st.lists(st.booleans(), min_size=25, max_size=25), st.data())
def test_a_design_that_passed_more_never_looks_worse(passes: list[bool], data: Any) -> None:
    """Whichever conditions they are, and however nearly the failing ones pass."""
    task = ota("pvt")
    reference = ota("tt").reference or {}
    met = Outcome(Status.OK, SPLENDID)
    order = data.draw(st.permutations(range(25)))
    count = data.draw(st.integers(1, 24))
    gain = data.draw(st.floats(1.0, 20.0))

    def outcomes(numbers: Sequence[int], good: Sequence[bool]) -> dict[int, Outcome]:
        bad = Outcome(Status.OK, {**SPLENDID, "gain": gain})
        return {k: met if ok else bad for k, ok in zip(numbers, good, strict=False)}

    less = task.judge_at(reference, outcomes(order[:count], passes))
    passed = sum(at.feasible for at in less.by_condition.values())
    more = task.judge_at(reference, outcomes(order[: passed + 1], [True] * (passed + 1)))
    assert more.score >= less.score and 0 <= less.score < 1
    assert through_json(less, task) == less == less.rejudged(task.specs)


def test_stopping_early_ranks_by_how_far_a_design_came() -> None:
    early = ota("pvt", stop_at_first_failure=True)
    scores = [
        early.session(simulator=Scripted(good=k)).simulate(ota("tt").reference or {}).score
        for k in (0, 3, 7, 24, 25)
    ]
    assert scores == sorted(scores) and scores[-1] == 1.0 and len(set(scores)) == 5


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([], "a list of names"),
        ("ss/-10%/-40C", "a list of names"),
        (["ss/-10%/-41C"], "did you mean 'ss/-10%/-40C'"),
        (["ss/-10%/-40C"] * 2, "named twice"),
    ],
)
def test_conditions_that_the_tier_has_not_are_named(conditions: Any, why: str) -> None:
    session = ota("pvt").session(budget=50, simulator=Scripted(good=9))
    with pytest.raises(ValueError, match=re.escape(why)):
        session.simulate(ota("tt").reference or {}, conditions=conditions)
    assert session.meter.used == 0 and not session.history


@given(st.integers(1, 200), st.data())
def test_the_bound_of_a_yield_is_clopper_and_pearson_s(draws: int, data: Any) -> None:
    passed = data.draw(st.integers(0, draws))
    interval = binomtest(passed, draws, alternative="greater").proportion_ci(0.95, method="exact")
    assert yield_bound(passed, draws) == pytest.approx(interval.low, abs=1e-9)
    assert yield_bound(passed, draws) <= passed / draws


@pytest.mark.parametrize(("passed", "draws"), [(3, 2), (-1, 2), (0, 0)])
def test_no_yield_of_draws_that_were_not_drawn(passed: int, draws: int) -> None:
    with pytest.raises(ValueError, match="cannot pass"):
        yield_bound(passed, draws)


def test_part_of_a_batch_that_does_not_fit_is_charged_nothing() -> None:
    task = ota("pvt")
    session = task.session(budget=5, simulator=Scripted(good=9))
    with pytest.raises(BudgetExhausted):
        session.simulate([ota("tt").reference or {}] * 2, conditions=names(task, 0, 1, 2))
    assert session.simulate({"w_pair": 1.0}, conditions=names(task, 0, 1)).cost == 2
    assert session.meter.used == 2


ENDS = st.sampled_from(Status)
NUMBERS = st.floats(-1e30, 1e30) | st.just(math.nan)


@given(st.lists(st.tuples(ENDS, NUMBERS, NUMBERS, st.text(max_size=9)), min_size=3, max_size=3))
def test_conditions_are_lossless_in_json_and_equal_when_judged_again(ends: list[Any]) -> None:
    task = ota("mc3")
    outcomes = [
        Outcome(status, measured(gain, power).metrics, message if status != "ok" else "")
        for status, gain, power, message in ends
    ]
    evaluation = task.judge({"w_pair": 1e-6}, *outcomes)
    assert through_json(evaluation, task) == evaluation == evaluation.rejudged(task.specs)
    assert evaluation == task.judge({"w_pair": 1e-6}, *outcomes), "equal, and never by identity"
    easier = task.specs.with_targets({"gain": 1.0})
    for at in evaluation.rejudged(easier).by_condition.values():
        assert at.margins == easier.judge(at.metrics).margins


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"conditions": ["a", "a"]}, "names a condition twice"),
        ({"conditions": ["a"]}, "2 values of gain for 1 conditions"),
        ({"metrics": {"gain": 3}}, "malformed"),
        ({"not_ok": {"c": {"status": "timeout", "message": ""}}}, "no condition 'c'"),
        ({"not_ok": {"a": {"status": "splendid", "message": ""}}}, "splendid"),
        ({"not_ok": {"a": {}}}, "no field 'status'"),
    ],
)
def test_conditions_that_make_no_sense_are_named(change: dict[str, Any], why: str) -> None:
    task = ota("mc2")
    data = task.judge({}, measured(50.0), measured(40.0)).to_json()
    sound = {"conditions": ["a", "b"], "metrics": {"gain": [1.0, None]}, "not_ok": {}}
    Evaluation.from_json({**data, "by_condition": sound}, task.specs)
    with pytest.raises(ValueError, match=why):
        Evaluation.from_json({**data, "by_condition": {**sound, **change}}, task.specs)
