"""What a transient starts from, and what is measured in it, on real ngspice."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest

from acs_gym.circuit_reading import load_circuit
from acs_gym.pdks import get_pdk
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.simulation.program import Program, initial_values, model_names, netlist, setting_values
from tests.conftest import needs_ngspice_program, needs_sky130

Metrics = dict[str, tuple[str, str, str]]


def program(
    folder: Path, dut: str, bench: str, analyses: list[str], metrics: Metrics, pdk: str = "generic"
) -> Program:
    """A circuit with one parameter `x` (0.1 to 10), `vdd` = 1.8, and metrics (signal, measure, options).

    A metric's analysis is the one that its name begins with.
    """
    toml = [
        'id = "Small-Circuit-v0"\ntitle = "small"\ndescription = "small"',
        "[conditions]\nvdd = 1.8\ntemperature = 27.0",
        '[[parameter]]\nname = "x"\nlow = 0.1\nhigh = 10\ndescription = "x"',
        '[[bench]]\nnetlist = "bench_a.spice"',
        *(
            f'[[bench.analysis]]\nname = "{command.split()[0]}"\ncommand = "{command}"'
            for command in analyses
        ),
        *(
            f'[[metric]]\nname = "{name}"\ndescription = "of the test"\n'
            f'analysis = "{name.partition("_")[0]}"\n'
            f'signal = "{signal}"\nmeasure = "{measure}"\noptions = {{ {options} }}'
            for name, (signal, measure, options) in metrics.items()
        ),
        f'[[spec]]\nmetric = "{next(iter(metrics))}"\ndirection = ">="\ntarget = 0\ntolerance = 1',
        f"[pdk.{pdk}]",
    ]
    (folder / "circuit.toml").write_text("\n".join(toml))
    (folder / "dut.spice").write_text(dut)
    (folder / "bench_a.spice").write_text(f"* bench\n{bench}")
    (folder / "reference.toml").write_text("")
    return build_program(load_circuit(folder), get_pdk(pdk))


def simulated(simulator: Simulator, job: Job) -> Outcome:
    outcome = simulator.run([job])[0]
    assert outcome.message == ""
    return outcome


# --- its steps ----------------------------------------------------------------------------------


def test_a_larger_trtol_leaves_the_steps_to_the_command_and_is_gone_after_it(
    tmp_path: Path, in_process: Simulator
) -> None:
    """A filtered sine, three times: by its error, at the longest step, and by its error again."""
    dut = ".subckt filter in out vss\nRa in out 1e3\nCa out vss {x*1e-10}\n.ends\n"
    bench = "vin in 0 dc 0.9 sin(0.9 0.5 1e6)\nXdut in out 0 filter\n"
    small = program(
        tmp_path, dut, bench, ["tran 100n 2u 0 100n"], {"tran_end": ("v(out)", "value", "")}
    )
    toml = tmp_path / "circuit.toml"
    text, analysis = toml.read_text(), "[[bench.analysis]]\n"
    again = text[text.index(analysis) : text.index("[[spec]]")].replace("tran", "again")
    again = again.replace("again 100n", "tran 100n")
    text = text.replace("[[metric]]", f"trtol = 100\n{again}[[metric]]", 1)
    toml.write_text(text)
    both = build_program(load_circuit(tmp_path), get_pdk("generic"))
    jobs = [Job(p, {"x": 1.0}, waveforms=True) for p in (small, both, small)]
    first, second, third = (simulated(in_process, job).waveforms for job in jobs)
    assert 2 * len(second["tran"]["sweep"]) < len(first["tran"]["sweep"])
    for waves in (second["again"], third["tran"]):
        assert list(waves["v(out)"]) == list(first["tran"]["v(out)"])


# --- what it starts from ------------------------------------------------------------------------

RC = """.subckt rc in vss
Rtop in mid 1e12
Rdown mid vss 1e3
Cmid mid vss 1e-9
.ends
"""


def test_a_sweep_does_not_see_the_transients_before_it(
    tmp_path: Path, in_process: Simulator
) -> None:
    """Neither that of the same bench, wherever it stands, nor that of an earlier simulation."""
    dut = ".subckt follower e vss\nXq vss vss e pnp\n.ends\n"
    bench = "ibias 0 e dc 5u pulse(0 5u 1n 1n 1n 1 2)\nvdd x 0 dc {vdd}\nXdut e 0 follower\n"
    metrics = {
        "op_emitter": ("v(e)", "value", ""),
        "tran_emitter": ("v(e)", "value", ""),
        "dc_emitter": ("v(e)", "value", ""),
    }
    analyses = ["op", "tran 10n 1u", "dc vdd 1.6 1.8 0.1"]
    job = Job(program(tmp_path, dut, bench, analyses, metrics), {"x": 1.0})
    for _ in range(2):
        found = simulated(in_process, job).metrics
        assert 0.6 < found["op_emitter"] < 0.8
        assert found["dc_emitter"] == pytest.approx(found["op_emitter"], abs=1e-6)


def test_a_capacitor_discharges_from_its_initial_condition(
    tmp_path: Path, in_process: Simulator
) -> None:
    """RC = 1 us: a tenth is left after ln 10; the operating point and a sweep never see it."""
    bench = "vdd in 0 dc {vdd} ac 0\nXdut in 0 rc\n.ic v(xdut.mid)={x*vdd}\n"
    metrics = {
        "tran_start": ("v(xdut.mid)", "at", "point = 0"),
        "tran_tenth": ("v(xdut.mid)", "crossing", 'level = "0.1*x*vdd", edge = "fall"'),
        "op_mid": ("v(xdut.mid)", "value", ""),
        "dc_mid": ("v(xdut.mid)", "maximum", ""),
    }
    analyses = ["op", "dc vdd 0 1.8 0.1", "tran 5n 5u"]
    small = program(tmp_path, RC, bench, analyses, metrics)
    # The condition and the design decide the voltage, in any order and again.
    for x, vdd in ((1.0, 1.8), (0.5, 1.8), (0.5, 1.6), (1.0, 1.8)):
        found = simulated(in_process, Job(small, {"x": x}, conditions={"vdd": vdd})).metrics
        assert found["tran_start"] == pytest.approx(x * vdd, rel=1e-6)
        assert found["tran_tenth"] == pytest.approx(1e-6 * math.log(10), rel=1e-3)
        assert found["op_mid"] == pytest.approx(vdd * 1e-9, rel=1e-3)
        assert found["dc_mid"] == pytest.approx(1.8e-9, rel=1e-3)


# Two cross-coupled inverters; either state is one, and so is the middle.
LATCH = """.subckt latch out vdd vss
Xn_1 a b vss vss nfet w=1e-6 l=0.15e-6
Xp_1 a b vdd vdd pfet w=2e-6 l=0.15e-6
Xn_2 b a vss vss nfet w=1e-6 l=0.15e-6
Xp_2 b a vdd vdd pfet w=2e-6 l=0.15e-6
Xn_o out a vss vss nfet w={x*1e-6} l=0.15e-6
Xp_o out a vdd vdd pfet w=2e-6 l=0.15e-6
.ends
"""


@pytest.mark.parametrize("state", [0, 1])
def test_a_latch_falls_to_the_side_of_its_initial_condition(
    tmp_path: Path, in_process: Simulator, state: int
) -> None:
    """40 mV off the middle on one side."""
    a, b = (0.92, 0.88) if state else (0.88, 0.92)
    bench = f"vdd vdd 0 dc {{vdd}}\nXdut out vdd 0 latch\n.ic v(xdut.a)={a} v(xdut.b)={b}\n"
    metrics = {
        "tran_start": ("v(xdut.a)-v(xdut.b)", "at", "point = 0"),
        "tran_a": ("v(xdut.a)", "value", ""),
        "tran_out": ("v(out)", "value", ""),
    }
    small = program(tmp_path, LATCH, bench, ["tran 10p 5n"], metrics)
    found = simulated(in_process, Job(small, {"x": 1.0})).metrics
    assert found["tran_start"] == pytest.approx(a - b, abs=1e-6)
    assert found["tran_a"] == pytest.approx(1.8 * state, abs=0.01)
    assert found["tran_out"] == pytest.approx(1.8 * (1 - state), abs=0.01)


@pytest.mark.parametrize("state", [0, 1])
def test_a_latch_is_found_in_the_state_that_the_nodeset_says(
    tmp_path: Path, in_process: Simulator, state: int
) -> None:
    a, b = ("{vdd}", "0") if state else ("0", "{vdd}")
    bench = f"vdd vdd 0 dc {{vdd}}\nXdut out vdd 0 latch\n.nodeset v(xdut.a)={a} v(xdut.b)={b}\n"
    small = program(tmp_path, LATCH, bench, ["op"], {"op_a": ("v(xdut.a)", "value", "")})
    found = simulated(in_process, Job(small, {"x": 1.0})).metrics
    assert found["op_a"] == pytest.approx(1.8 * state, abs=0.01)


# --- what is measured ---------------------------------------------------------------------------

# Half a contact strip a terminal, as SKY130's subcircuits assume on their own; its symbols say the
# whole strip, which is the default here and makes a ring of short devices 7 % slower.
SQUARES = [f"nrd={{0.14/({w}*x)}} nrs={{0.14/({w}*x)}}" for w in (1, 2)]
RING = """.subckt ring out vdd vss
{stages}
Xn_b out n5 vss vss nfet w={{x*1e-6}} l=0.15e-6 {n}
Xp_b out n5 vdd vdd pfet w={{2*x*1e-6}} l=0.15e-6 {p}
.ends
""".format(
    n=SQUARES[0],
    p=SQUARES[1],
    stages="\n".join(
        f"Xn_{k} n{k} n{k - 1 or 5} vss vss nfet w={{x*1e-6}} l=0.15e-6 {SQUARES[0]}\n"
        f"Xp_{k} n{k} n{k - 1 or 5} vdd vdd pfet w={{2*x*1e-6}} l=0.15e-6 {SQUARES[1]}"
        for k in range(1, 6)
    ),
)
KICK = "vdd vdd 0 dc {vdd}\nXdut out vdd 0 ring\n.ic v(xdut.n1)=0\n"
LEVEL = "level = 0.9, start = 4e-9"
RING_METRICS = {
    f"tran_{name}": ("v(out)", name, LEVEL) for name in ("frequency", "period", "duty")
} | {
    f"tran_{edge}_{k}": (
        f"v(xdut.n{k % 5 + 1})", "delay",
        f'{LEVEL}, edge = "{edge}", trigger = "v(xdut.n{k})", trigger_level = 0.9, '
        f'trigger_edge = "{other}"',
    )
    for k in range(1, 6)
    for edge, other in (("rise", "fall"), ("fall", "rise"))
}  # fmt: skip


@needs_sky130
def test_a_ring_oscillator_on_sky130_has_the_frequency_that_the_foundry_s_models_give(
    tmp_path: Path, in_process: Simulator
) -> None:
    """3.56 GHz: plain ngspice with the distributed library and `meas ... rise=10`, `rise=20`."""
    ring = program(tmp_path, RING, KICK, ["tran 2p 10n"], RING_METRICS, "sky130")
    found = simulated(in_process, Job(ring, {"x": 1.0})).metrics
    assert found["tran_frequency"] == pytest.approx(3.56e9, rel=0.01)


def test_the_delays_round_a_ring_are_its_period(tmp_path: Path, in_process: Simulator) -> None:
    """Each stage's fall and rise, once each: an edge goes round twice in one period."""
    ring = program(tmp_path, RING, KICK, ["tran 2p 10n"], RING_METRICS)
    found = simulated(in_process, Job(ring, {"x": 1.0})).metrics
    stages = [found[f"tran_{edge}_{k}"] for k in range(1, 6) for edge in ("rise", "fall")]
    assert min(stages) > 0
    assert sum(stages) == pytest.approx(found["tran_period"], rel=2e-3)
    assert found["tran_period"] * found["tran_frequency"] == pytest.approx(1.0, rel=1e-12)


@needs_ngspice_program
def test_frequency_duty_and_delay_are_those_that_ngspice_itself_measures(
    tmp_path: Path, in_process: Simulator
) -> None:
    ring = program(tmp_path, RING, KICK, ["tran 2p 10n"], RING_METRICS)
    found = simulated(in_process, Job(ring, {"x": 1.0})).metrics
    deck = ring.decks[0]
    scope = {**ring.conditions, "x": 1.0, **{d.name: 0.0 for d in deck.draws}}
    lines = netlist(deck, model_names(deck, scope), initial_values(deck, scope))
    values = zip(deck.settings, setting_values(deck, scope), strict=True)
    sizes = "\n".join(f"{s.command} @{s.target} = [ {value!r} ]" for s, value in values)
    commands = f""".control
{sizes}
option reltol=1e-4
tran 2p 10n
meas tran first when v(out)=0.9 rise=10
meas tran last when v(out)=0.9 rise=30
meas tran up when v(out)=0.9 rise=20
meas tran down when v(out)=0.9 fall=20
meas tran edge when v(xdut.n1)=0.9 rise=1 td=4n
meas tran answer trig v(xdut.n1) val=0.9 rise=1 td=4n targ v(xdut.n2) val=0.9 fall=1 td=edge
quit
.endc"""
    (tmp_path / "plain.cir").write_text("\n".join([*lines[:-1], commands, ".end"]))
    done = subprocess.run(
        ["ngspice", "-b", "plain.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    said = dict(re.findall(r"^(\w+) +=\s+(\S+)", done.stdout, re.M))
    first, last = float(said["first"]), float(said["last"])
    assert found["tran_frequency"] == pytest.approx(20 / (last - first), rel=1e-3)
    high = (float(said["down"]) - float(said["up"])) % (1 / found["tran_frequency"])
    assert found["tran_duty"] == pytest.approx(high * found["tran_frequency"], abs=2e-3)
    assert found["tran_fall_1"] == pytest.approx(float(said["answer"]), rel=0.02)


def test_a_filtered_sine_is_not_distorted(tmp_path: Path, in_process: Simulator) -> None:
    """A linear circuit makes no harmonics: what is left is the floor of a transient."""
    bench = "vin in 0 dc 0.9 ac 0 sin(0.9 0.5 1e6)\nXdut in out 0 filter\n"
    dut = ".subckt filter in out vss\nRa in out 1e3\nCa out vss {x*1e-10}\n.ends\n"
    window = "frequency = 1e6, start = 4e-6"
    metrics = {f"tran_{m}": ("v(out)", m, window) for m in ("thd_db", "sndr_db")}
    small = program(tmp_path, dut, bench, ["tran 10n 8u"], metrics)
    found = simulated(in_process, Job(small, {"x": 1.0})).metrics
    assert found["tran_thd_db"] < -70 and found["tran_sndr_db"] > 70


def test_a_sine_follows_the_design_and_the_conditions(
    tmp_path: Path, in_process: Simulator
) -> None:
    """One netlist, two designs, two supplies: each run has a sine of its own."""
    bench = "vin in 0 dc {0.5*vdd} sin({0.5*vdd} {x*(vdd-1.0)} 1e6)\nXdut in out 0 filter\n"
    dut = ".subckt filter in out vss\nRa in out 1e3\nCa out vss {x*1e-15}\n.ends\n"
    metrics = {m: ("v(out)", m[5:], "") for m in ("tran_maximum", "tran_minimum")}
    small = program(tmp_path, dut, bench, ["tran 10n 2u 0 10n"], metrics)
    for x, vdd in ((0.5, 1.8), (0.25, 1.8), (0.5, 1.6)):
        found = simulated(in_process, Job(small, {"x": x}, conditions={"vdd": vdd})).metrics
        assert found["tran_maximum"] == pytest.approx(0.5 * vdd + x * (vdd - 1.0), abs=2e-4)
        assert found["tran_minimum"] == pytest.approx(0.5 * vdd - x * (vdd - 1.0), abs=2e-4)
