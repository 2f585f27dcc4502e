"""Banks, labels found in them in hindsight, and a warm start that plays in between."""

import json

import numpy as np
import pytest
import torch

import acs_gym
from acs_gym.simulation.pool import InProcessSimulator
from tests.tlgrpo.conftest import settings
from tlgrpo.aimed import fitted
from tlgrpo.bank import aimed, grown, simulated_again, trajectory
from tlgrpo.config import ConfigError, PolicyConfig
from tlgrpo.designs import (
    BankError,
    anchors,
    banks_of,
    empty,
    path_of,
    read_bank,
    write_bank,
)
from tlgrpo.domain import State
from tlgrpo.domains.conditions import OWN, Conditions
from tlgrpo.domains.sizing import (
    Sizing,
    grammar,
    told_of,
)
from tlgrpo.hindsight import Schedule, WarmStart
from tlgrpo.labels import Source, episode, judged, relabelled
from tlgrpo.memory import clustered_interval, lookup, nearest_goal, role_median
from tlgrpo.onpolicy import Recorded, extended, histories
from tlgrpo.policy import build_policy
from tlgrpo.samplers.hf import HfSampler
from tlgrpo.tokens import mask_of

OTA = acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
OPAMP = acs_gym.make_task("ACS-OpAmp-v0", pdk="generic")
TINY = PolicyConfig(layers=1, width=32, heads=2, kv_heads=1, codec="lines")
SLOWER = Conditions(load=2.0)


@pytest.fixture(scope="module")
def simulator():
    return InProcessSimulator()


@pytest.fixture(scope="module")
def policy():
    return build_policy(TINY, grammar(), 0)


@pytest.fixture(scope="module")
def source():
    return Source(OTA, OWN, anchors(OTA))


def domain_of(values="levels", **more):
    return Recorded(tasks=("ACS-OTA5T-v0",), pdks=("generic",), values=values, workers=1, **more)


def test_a_bank_grows_and_says_what_was_simulated_for_it(tmp_path, source, simulator):
    bank = grown(source, 3, simulator)
    bank = trajectory(Source(OTA, OWN, bank), "composite-ei", 6, simulator)
    write_bank(tmp_path, OTA, bank)
    kept = read_bank(tmp_path, OTA)
    assert np.array_equal(kept.metrics, bank.metrics, equal_nan=True)
    tried = kept.counts["optimiser"]
    assert kept.counts["random"] + kept.counts["varied"] == 3 and 1 <= tried <= 6
    assert (kept.run[-tried:] == 0).all() and (kept.run[:-tried] == -1).all()
    with np.load(path_of(tmp_path, OTA)) as data:
        header = json.loads(str(data["header"]))
    assert header["simulations"] == 3 + tried == kept.simulated
    assert header["designs"]["anchor"] == len(source.bank)
    with pytest.raises(BankError, match="no bank"):
        read_bank(tmp_path, OPAMP)
    with pytest.raises(BankError, match="no method called 'composit'"):
        trajectory(source, "composit", 6, simulator)


def test_a_surrogate_leads_to_what_is_asked_and_leaves_the_rest():
    """Two margins, each of one parameter of four; the targets are moved by a shift."""
    rng = np.random.default_rng(0)
    levels = rng.integers(64, size=(400, 4))
    margins = np.stack([(levels[:, 0] - 32) / 16, (32 - levels[:, 1]) / 16], axis=1)
    surrogate = fitted(levels, margins, seed=0)
    start = np.array([[10, 50, 20, 40], [10, 50, 20, 40]])
    shifts, asked = np.array([[0.0, 0.0], [-0.5, 9.0]]), np.array([[True, True], [True, False]])
    both, one = surrogate.towards(start, shifts, asked)
    assert 32 <= both[0] < 48 and 16 < both[1] <= 32
    assert 40 <= one[0] < 56 and abs(one[1] - 50) < 8, "what is not asked is left"
    assert (np.abs(np.stack([both, one])[:, 2:] - start[:, 2:]) < 8).all()
    again = fitted(levels, margins, seed=0).towards(start, shifts, asked)
    assert np.array_equal(again, [both, one])


def test_designs_aimed_by_a_surrogate_are_simulated_and_counted(source, simulator):
    bank = aimed(source, 3, simulator)
    assert bank.counts["aimed"] == bank.simulated == len(bank) - len(source.bank) > 0
    new = bank.levels[len(source.bank) :]
    assert ((new >= 0) & (new < 64)).all()
    assert np.isfinite(bank.metrics[len(source.bank) :]).all(1).any()


def test_a_bank_of_another_load_is_of_anchors_simulated_there(tmp_path, source, simulator):
    there = Source(OTA, SLOWER, empty(OTA))
    bank = simulated_again(source.bank, there, 2, simulator)
    more = simulated_again(source.bank, Source(OTA, SLOWER, bank), 1, simulator)
    assert more.counts["again"] == more.simulated == 3
    assert len({row.tobytes() for row in more.levels}) == 3
    write_bank(tmp_path, OTA, source.bank)
    write_bank(tmp_path, OTA, more, SLOWER)
    assert [(c, len(b)) for c, b in banks_of(tmp_path, OTA)] == [
        (OWN, len(source.bank)), (SLOWER, 3),
    ]  # fmt: skip


def test_a_held_out_circuit_has_no_bank():
    with pytest.raises(BankError, match="held out"):
        anchors(acs_gym.make_task("ACS-NMC-v0", pdk="generic"))


@pytest.mark.parametrize("values", ["levels", "moves"])
def test_a_label_is_a_design_of_the_bank_that_depends_on_the_history(policy, source, values):
    rng = np.random.default_rng(0)
    have = {row.tobytes() for row in source.bank.levels}
    different = 0
    for _ in range(4):
        made = episode(source, policy.codec, values, 4, rng)
        told, state = told_of(made.problem.key), State(made.problem)
        answers = [next(n for n in turn if n.advantage == 1.0) for turn in made.turns]
        assert sum(n.advantage for n in made.nodes) == len(made.turns)
        reached = []
        for answer, tried in zip(answers, made.main_line, strict=True):
            levels = told.read(answer.text, told.incumbent(state))
            row = np.empty(len(levels), dtype=np.int64)
            row[list(told.parameters)] = levels
            assert row.tobytes() in have
            reached.append(row.tobytes())
            state = state.after(tried.text, tried.reaction)
        different += len({*reached}) > 1
    assert different >= 1, "what was tried changes what is best to try"


def test_a_smaller_gain_takes_a_nearer_design_that_is_still_better(source):
    problem = domain_of().problem(3, "train")
    known = judged(source, told_of(problem.key))
    best = float(np.quantile(known.score, 0.2))
    at = known.levels[int(np.abs(known.score - best).argmin())]
    whole, half = (known.label(best, at, gain) for gain in (1.0, 0.3))
    away = np.abs(known.levels - at).sum(1)
    assert known.worst[whole] >= 0 and best < known.score[half]
    assert away[half] <= away[whole]


@pytest.mark.parametrize("values", ["levels", "moves"])
def test_the_policys_own_episodes_are_charged_kept_and_labelled(policy, source, values):
    domain, codec = domain_of(values), policy.codec
    sampler = HfSampler(
        policy.model, end=codec.end, pad=codec.pad, action_tokens=64,
        answer=mask_of(domain, codec),
    )  # fmt: skip
    made = histories([source], domain, codec, sampler, 2, 2, np.random.default_rng(0))
    assert len(domain.seen) == sum(e.simulations for e in made) == 4
    ((place, bank),) = extended([source], domain).items()
    assert place == ("ACS-OTA5T-v0", "generic", OWN)
    assert bank.counts["policy"] == len({(s.problem.key, t) for s, t, _ in domain.seen})
    for one in made:
        again = relabelled(Source(OTA, OWN, bank), one, codec, values)
        assert again.observations == one.observations
        for tried, turn in zip(one.main_line, again.turns, strict=True):
            kept, label = turn
            assert kept.ids == tried.ids and kept.advantage == 0 and label.advantage == 1


def test_a_warm_start_plays_and_goes_on_where_it_stopped(tmp_path, source):
    write_bank(tmp_path / "banks", OTA, source.bank)
    domain = {"tasks": ["ACS-OTA5T-v0"], "pdks": ["generic"], "values": "moves", "workers": 1}
    config = settings(
        domain={"name": "sizing", "arguments": domain}, policy=TINY.model_dump(), turns=2
    )
    for steps in (1, 3):
        plan = Schedule(steps=steps, batch=2, save_every=1, episodes=2, every=2)
        warm = WarmStart(config, tmp_path / "banks", tmp_path / "run", plan)
        assert warm.step == steps // 3
        warm.run()
    lines = (tmp_path / "run" / "warm" / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["step"] == 3 and 2 <= last["simulations"] <= 4 and last["round"] == 1
    bank = read_bank(tmp_path / "banks", OTA)
    assert bank.counts["policy"] == bank.simulated == last["designs"] - len(source.bank)
    begun = WarmStart(config, tmp_path / "banks", tmp_path / "next", plan, start=tmp_path / "run")
    assert begun.step == 0
    for name, weight in warm.policy.weights().items():
        assert torch.equal(begun.policy.weights()[name], weight)
    other = config.model_copy(update={"policy": TINY.model_copy(update={"width": 64})})
    with pytest.raises(ConfigError, match="run"):
        WarmStart(other, tmp_path / "banks", tmp_path / "last", plan, start=tmp_path / "run")


def test_a_lookup_needs_one_simulation_and_roles_need_no_bank_of_the_circuit():
    domain = Sizing(tasks=("ACS-OTA5T-v0",), pdks=("generic",), workers=1)
    known = [Source(t, OWN, anchors(t)) for t in (OTA, OPAMP)]
    problem = domain.problem(0, "train")
    told = domain.told(problem)
    found = lookup(known)(told)
    levels = [int(found[k]) for k in told.parameters]
    text = told.write(levels, "levels", told.start)
    (reaction,) = domain.evaluate([(State(problem), text)])
    assert reaction.score > 0.95
    for transfer in (role_median(known[1:]), nearest_goal(known[1:])):
        assert transfer(told).shape == found.shape
        assert not np.array_equal(transfer(told), found)


def test_problems_of_one_anchor_count_as_one_in_an_interval():
    values = [0.0] * 50 + [1.0] * 50
    few = clustered_interval(values, [("a", k // 50) for k in range(100)])
    many = clustered_interval(values, [("a", k) for k in range(100)])
    assert few[1] - few[0] > 3 * (many[1] - many[0])
