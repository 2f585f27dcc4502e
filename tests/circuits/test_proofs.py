"""Every circuit proves what it claims, on every PDK and in every tier it supports."""

from __future__ import annotations

import itertools
import math

import pytest

import acs_gym
from acs_gym.circuit_reading import load_circuit
from acs_gym.evaluation import Status
from acs_gym.registry import BUNDLED
from acs_gym.simulation.pool import Simulator
from tests.circuits.proofs import (
    CIRCUITS,
    Dead,
    Move,
    changed,
    evaluate,
    misses,
    proofs,
    shortable,
    variant,
)

LOADED = {name: load_circuit(BUNDLED / name) for name in CIRCUITS}


def needs(pdk: str) -> list[pytest.MarkDecorator]:
    available = acs_gym.get_pdk(pdk).available()
    return [] if available else [pytest.mark.skip(reason=f"the models of {pdk} are not here")]


ON_PDKS = [
    pytest.param(name, pdk, id=f"{name}-{pdk}", marks=needs(pdk))
    for name, circuit in LOADED.items()
    for pdk in circuit.file.pdk
]
# What is broken is the netlist, which all PDKs share: one of them shows it.
ON_SKY130 = [pytest.param(n, "sky130", id=n, marks=needs("sky130")) for n in LOADED]
IN_TIERS = [
    pytest.param(name, pdk, tier, id=f"{name}-{pdk}-{tier}", marks=needs(pdk))
    for name, circuit in LOADED.items()
    for pdk in circuit.file.pdk
    for tier in circuit.tiers
    if circuit.reference(pdk, tier)
]


PAIRS_AT_ONCE = 16


def headroom(value: float, spec: acs_gym.Spec) -> float:
    """Distance to the target as a share of it, positive when met."""
    match spec.direction:
        case ">=":
            return (value - spec.target) / abs(spec.target)
        case "<=":
            return (spec.target - value) / abs(spec.target)
        case _:
            return (spec.target - abs(value)) / spec.target


@pytest.mark.parametrize("circuit", LOADED.values(), ids=CIRCUITS)
def test_every_tier_and_pdk_has_a_reference(circuit: acs_gym.circuit.Circuit) -> None:
    """GF180 is proved at nominal; the PDKs that everybody has, in every tier."""
    for pdk in circuit.file.pdk:
        wanted = ("tt",) if pdk == "gf180mcu" else circuit.tiers
        assert set(wanted) <= set(circuit.references[pdk])


@pytest.mark.parametrize(("name", "pdk", "tier"), IN_TIERS)
def test_the_reference_meets_every_spec_with_two_percent_to_spare(
    name: str, pdk: str, tier: str
) -> None:
    task = acs_gym.make_task(name, pdk=pdk, tier=tier)
    assert task.reference is not None
    evaluation = task.session(workers=1).simulate(task.reference)
    assert evaluation.status is Status.OK, evaluation.message
    assert all(math.isfinite(v) for v in evaluation.metrics.values())
    short = {
        s.metric: f"{evaluation.metrics[s.metric]:.4g} for {s.direction} {s.target:.4g}"
        for s in task.specs
        if headroom(evaluation.metrics[s.metric], s) < 0.02
    }
    assert not short
    assert evaluation.feasible and evaluation.score == 1.0


@pytest.mark.parametrize(("name", "pdk"), ON_PDKS)
def test_metrics_move_as_theory_says(name: str, pdk: str, in_process: Simulator) -> None:
    task = acs_gym.make_task(name, pdk=pdk)
    moves: tuple[Move, ...] = proofs(name).moves
    assert len(moves) >= 3
    designs = [changed(task, move.change) for move in moves]
    base, *moved = evaluate(in_process, task, changed(task, {}), *designs)
    wrong = []
    for move, evaluation in zip(moves, moved, strict=True):
        assert move.up or move.down
        for sign, metrics in ((1, move.up), (-1, move.down)):
            for metric in metrics:
                before, after = base.metrics[metric], evaluation.metrics[metric]
                if not sign * (after - before) > move.least * abs(before):
                    wrong.append(f"{move.why}: {metric} went from {before:.4g} to {after:.4g}")
    assert not wrong


@pytest.mark.parametrize(("name", "pdk"), ON_SKY130)
def test_a_dead_circuit_scores_nothing_on_what_it_lost(
    name: str, pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task(name, pdk=pdk)
    reference = changed(task, {})
    dead: tuple[Dead, ...] = proofs(name).dead
    assert len(dead) >= 3
    wrong = []
    for case in dead:
        [evaluation] = evaluate(in_process, variant(task, case.edits), reference)
        assert case.kills and not evaluation.feasible and evaluation.score < 1.0
        for metric in case.kills:
            value = evaluation.metrics[metric]
            if not (math.isnan(value) or evaluation.satisfaction[metric] == 0.0):
                wrong.append(f"{case.name}: {metric} is {value:.4g}")
    assert not wrong


@pytest.mark.parametrize(("name", "pdk"), ON_SKY130)
def test_no_circuit_with_a_device_missing_or_two_nets_shorted_meets_every_spec(
    name: str, pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task(name, pdk=pdk)
    dut, reference, proof = LOADED[name].dut, changed(task, {}), proofs(name)
    text = (LOADED[name].folder / "dut.spice").read_text()
    nets = sorted({n for p in dut.primitives for n in p.nodes})
    pairs = list(filter(proof.stands_for_all, itertools.combinations(nets, 2)))
    unhurt = []
    for device in dut.primitives:
        if not proof.stands_for_all([device.name]):
            continue
        line = next(k for k in text.splitlines() if k.lower().split()[:1] == [f"x{device.name}"])
        without = variant(task, {"dut.spice": {line: f"* {line}"}})
        if not misses(in_process, without, reference):
            unhurt.append(f"without {device.name}")
    # A simulation sets the resistors of all pairs; to read a netlist takes longer than to simulate it.
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        block = pairs[start : start + PAIRS_AT_ONCE]
        shorts, sound = shortable(task, block), {**reference, "short": 0}
        if start == 0:
            assert not misses(in_process, shorts, sound), "resistors of 1e13 ohm cost nothing"
        for k, (a, b) in enumerate(block, 1):
            if not misses(in_process, shorts, {**sound, "short": k}):
                unhurt.append(f"{a} shorted to {b}")
    assert sorted(unhurt) == sorted(proof.harmless), "every survivor needs its reason in HARMLESS"
