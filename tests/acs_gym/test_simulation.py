"""Simulation is a pure function of the design: tests of results, on real ngspice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import acs_gym
from acs_gym.evaluation import Status
from acs_gym.simulation.driver import NgSpice
from acs_gym.simulation.engine import CIRCUITS_KEPT, Engine, Outcome
from acs_gym.simulation.pool import InProcessSimulator, Job, Simulator, WorkerPool
from acs_gym.simulation.program import Analysis, Program
from tests.conftest import needs_sky130, tasks_on


def run(simulator: Simulator, task: acs_gym.Task, *designs: dict[str, float]) -> list[Outcome]:
    return simulator.run([Job(task.program, d) for d in designs])


@needs_sky130
def test_the_op_amp_reaches_what_it_promises_on_sky130(in_process: Simulator) -> None:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk="sky130")
    metrics = run(in_process, task, task.reference or {})[0].metrics
    assert metrics["gain"] >= 60 and metrics["ugbw"] >= 10e6
    assert metrics["pm"] >= 60 and metrics["power"] <= 250e-6


@needs_sky130  # Its transistors change their cards with their sizes.
@pytest.mark.parametrize("pdk", ["sky130"])
def test_results_are_bit_identical_in_any_order_and_any_process(
    task: acs_gym.Task, in_process: Simulator, pool: WorkerPool
) -> None:
    rng = np.random.default_rng(1)
    designs = [task.reference or {}, *(task.space.sample(rng) for _ in range(12))]
    first = [repr(o) for o in run(in_process, task, *designs)]
    order = rng.permutation(len(designs))
    shuffled = [repr(o) for o in run(in_process, task, *(designs[k] for k in order))]
    assert [first[k] for k in order] == shuffled
    assert [repr(o) for o in run(pool, task, *designs)] == first


def test_the_same_netlist_gives_the_same_whichever_task_ran_before(
    in_process: Simulator, pdk: str
) -> None:
    tasks = [acs_gym.make_task(name, pdk=pdk) for name in tasks_on(pdk)]
    alone = [repr(run(in_process, t, t.reference or {})) for t in tasks]
    for _ in range(3):
        assert [repr(run(in_process, t, t.reference or {})) for t in tasks] == alone


def test_every_bench_of_a_circuit_is_a_netlist_of_its_own() -> None:
    for name in acs_gym.task_ids():
        task = acs_gym.make_task(name, pdk="generic")
        decks = task.program.decks
        assert [d.name for d in decks] == [b.netlist for b in task.circuit.file.bench]


def test_an_evicted_netlist_comes_back_unchanged(
    pdk: str, in_process: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    before = repr(run(in_process, task, task.reference or {}))
    monkeypatch.setattr("acs_gym.simulation.engine.CIRCUITS_KEPT", 1)
    rng = np.random.default_rng(2)
    for _ in range(5):
        run(in_process, task, task.space.sample(rng))
        assert repr(run(in_process, task, task.reference or {})) == before


@needs_sky130  # Nearly every design of its wants another netlist, with other cards.
def test_simulators_of_one_process_keep_no_more_netlists_than_one_does() -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk="sky130")
    rng = np.random.default_rng(4)
    for _ in range(6):
        with InProcessSimulator() as simulator:
            designs = [task.space.sample(rng) for _ in range(30)]
            assert not {o.status for o in run(simulator, task, *designs)} & {Status.INFRA_ERROR}
        assert len(NgSpice.shared()._circuits) <= CIRCUITS_KEPT


def test_random_sizings_never_raise_and_never_claim_what_they_did_not_measure(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    rng = np.random.default_rng(3)
    corners = [task.space.from_unit(rng.integers(0, 2, len(task.space))) for _ in range(10)]
    designs = [task.space.sample(rng) for _ in range(20)] + corners
    for outcome in run(in_process, task, *designs):
        if outcome.status is Status.TIMEOUT:  # By its steps, which are counted, and not by a clock.
            assert "time steps" in outcome.message
        else:
            assert outcome.status in (Status.OK, Status.MEASURE_FAILED, Status.NONCONVERGED)
        finite = all(math.isfinite(v) for v in outcome.metrics.values())
        assert finite == (outcome.status is Status.OK)
        assert bool(outcome.message) == (outcome.status is not Status.OK)


def test_a_dead_circuit_is_told_alike_whether_or_not_the_rest_of_it_is_simulated(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    rng = np.random.default_rng(6)
    corners = [task.space.from_unit(rng.integers(0, 2, len(task.space))) for _ in range(8)]
    jobs = [Job(task.program, d, waveforms=True) for d in corners]
    whole, brief = in_process.run(jobs), run(in_process, task, *corners)
    told = [(repr(o.metrics), o.status, o.message) for o in brief]
    assert told == [(repr(o.metrics), o.status, o.message) for o in whole]


def test_a_dead_circuit_scores_nothing_for_being_small(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    rng = np.random.default_rng(7)
    designs = [task.space.from_unit(rng.random(len(task.space)) / 4) for _ in range(8)]
    for design, outcome in zip(designs, run(in_process, task, *designs), strict=True):
        if not any(math.isfinite(v) for n, v in outcome.metrics.items() if n != "area"):
            assert math.isnan(outcome.metrics["area"]) and task.judge(design, outcome).score == 0.0


def test_what_a_dead_circuit_would_do_next_is_not_simulated(
    pdk: str, in_process: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk=pdk)
    ran: list[str] = []
    analyse = Engine._run_analysis

    def noted(self: Engine, analysis: Analysis, vectors: tuple[str, ...]) -> object:
        ran.append(analysis.name)
        return analyse(self, analysis, vectors)

    monkeypatch.setattr(Engine, "_run_analysis", noted)
    dead = {**(task.reference or {}), "w_driver": 0.5e-6}
    [outcome] = run(in_process, task, dead)
    assert outcome.message.startswith("output does not follow the input at DC")
    assert task.judge(dead, outcome).score == 0.0
    assert ran == ["op"]


def edited(program: Program, key: str, **changes: str) -> Program:
    """The program with pieces of its netlist text replaced."""
    decks = []
    for deck in program.decks:
        text = "\n".join(deck.template)
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        decks.append(replace(deck, template=tuple(text.split("\n"))))
    return replace(program, decks=tuple(decks), key=key)


def test_a_netlist_ngspice_refuses_is_our_error_and_not_the_design_s(
    pdk: str, in_process: Simulator
) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    program = edited(
        task.program, f"{pdk} broken", **{"\ncl out 0": "\nqbroken out 0 nomodel\ncl out 0"}
    )
    outcome = in_process.run([Job(program, task.reference or {})])[0]
    assert outcome.status is Status.INFRA_ERROR and outcome.message
    assert run(in_process, task, task.reference or {})[0].status is Status.OK


def test_a_circuit_without_a_solution_is_nonconverged(pdk: str, in_process: Simulator) -> None:
    task = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    loop = "vloop1 vdd 0 dc 1\ncl out 0"  # Two sources disagree about one node.
    program = edited(task.program, f"{pdk} unsolvable", **{"\ncl out 0": f"\n{loop}"})
    before = repr(run(in_process, task, task.reference or {}))
    outcome = in_process.run([Job(program, task.reference or {})])[0]
    assert outcome.status is Status.NONCONVERGED
    assert all(math.isnan(v) for v in outcome.metrics.values())
    assert task.judge({}, outcome).score == 0.0
    assert repr(run(in_process, task, task.reference or {})) == before


def test_a_runaway_transient_is_stopped_by_counting_steps(
    pdk: str, in_process: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk=pdk)
    deck = task.program.decks[0]
    slow = tuple(
        replace(a, command="tran 1p 605n 0 2p", last=605e-9) if a.kind == "tran" else a
        for a in deck.analyses
    )
    program = replace(task.program, decks=(replace(deck, analyses=slow),), key=f"{pdk} runaway")
    outcome = in_process.run([Job(program, task.reference or {})])[0]
    assert outcome.status is Status.TIMEOUT
    assert "stopped after 20000 time steps" in outcome.message


def test_waveforms_come_back_when_asked_for_and_change_no_metric(
    task: acs_gym.Task, in_process: Simulator
) -> None:
    design = task.reference or {}
    plain, full = in_process.run([Job(task.program, design), Job(task.program, design, True)])
    assert plain.waveforms == {} and plain.metrics == full.metrics
    analyses = {a.name: a for deck in task.program.decks for a in deck.analyses}
    assert set(full.waveforms) == set(analyses)
    for name, waves in full.waveforms.items():
        assert set(waves) == {"sweep", *analyses[name].vectors}
        assert all(wave.shape == waves["sweep"].shape for wave in waves.values())
        small_signal = analyses[name].kind == "ac"
        assert all((wave.dtype == complex) == small_signal for wave in list(waves.values())[1:])
