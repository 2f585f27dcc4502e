"""PySpice: both drivers give the same floats, and a circuit written with it is an ordinary task."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.evaluation import Status
from acs_gym.registry import BUNDLED
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import InProcessSimulator, Job, Simulator, WorkerPool
from tests.conftest import needs_sky130

needs_pyspice = pytest.mark.skipif(
    importlib.util.find_spec("PySpice") is None,
    reason="PySpice is not installed; run: pip install 'acs-gym[pyspice]'",
)
OTA = tomllib.loads((BUNDLED / "ota5t" / "circuit.toml").read_text())
BENCH = "bench_follower.spice"


@pytest.fixture(autouse=True)
def _registered_here_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is no task of the next one."""
    monkeypatch.setattr("acs_gym.registry._registered", {})
    before = set(gymnasium.registry)
    yield
    for name in set(gymnasium.registry) - before:
        del gymnasium.registry[name]


def designs_of(task: acs_gym.Task, count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(11)
    return [task.reference or {}, *(task.space.sample(rng) for _ in range(count))]


def run(simulator: Simulator, task: acs_gym.Task, designs: list[dict[str, float]]) -> list[Outcome]:
    return simulator.run([Job(task.program, d, True) for d in designs])


def run_python(code: str) -> str:
    # PySpice has escapes that Python 3.12 and later warn of.
    command = [sys.executable, "-W", "ignore::SyntaxWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


# --- the driver ---------------------------------------------------------------------------------


def test_an_unknown_driver_is_refused_with_the_two_there_are() -> None:
    with pytest.raises(ValueError, match="one of: ctypes, pyspice; got 'ngspyce'"):
        WorkerPool(driver="ngspyce")
    with pytest.raises(ValueError, match="one of: ctypes, pyspice"):
        InProcessSimulator(driver="ngspyce")


def test_without_pyspice_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for simulator in (WorkerPool, InProcessSimulator):
        with pytest.raises(acs_gym.SimulatorNotFound, match=r"pip install 'acs-gym\[pyspice\]'"):
            simulator(driver="pyspice")


# Between them every kind of analysis, sweeps of conditions and `.ic`.
@needs_pyspice
@needs_sky130
@pytest.mark.parametrize("pdk", ["sky130"])
@pytest.mark.parametrize("task_id", ["ACS-OpAmp-v0", "ACS-LDO-v0", "ACS-Comparator-v0"])
def test_both_drivers_give_the_same_bits(task: acs_gym.Task) -> None:
    """Metrics, messages and every waveform; each driver in a process of its own."""
    designs = designs_of(task, 20)
    with WorkerPool(1) as ours, WorkerPool(1, driver="pyspice") as theirs:
        pairs = list(zip(run(ours, task, designs), run(theirs, task, designs), strict=True))
    assert pairs[0][0].status is Status.OK
    for a, b in pairs:
        assert repr((a.status, a.metrics, a.message)) == repr((b.status, b.metrics, b.message))
        assert a.waveforms.keys() == b.waveforms.keys()
        for analysis, vectors in a.waveforms.items():
            for name, vector in vectors.items():
                assert vector.tobytes() == b.waveforms[analysis][name].tobytes(), (analysis, name)


@needs_pyspice
def test_the_driver_really_is_pyspice_and_notes_on_stderr_are_no_errors() -> None:
    said = run_python(
        "import logging, acs_gym; logging.basicConfig()\n"
        "from acs_gym.simulation.driver_choice import open_driver\n"
        "driver = open_driver('pyspice')\n"
        "from PySpice.Spice.NgSpice.Shared import NgSpiceShared\n"
        "print(isinstance(driver._pipe, NgSpiceShared), open_driver('pyspice') is driver)\n"
        "print(driver.command('stop after 5'), driver.command('no_such_command'))\n"
        "print(driver.said('no_such_command'), driver.version() != 'unknown')\n"
        "try: driver.load(['broken', 'q1 a b nomodel', '.end'])\n"
        "except ValueError as error: print('refused' in str(error))\n"
        "print(driver.vector('v(nowhere)'))\n"
        "acs_gym.InProcessSimulator(driver='ctypes')\n"
    )
    assert said.startswith("True True\n"), said
    assert "True True\nTrue\nNone\n" in said, said
    assert "RuntimeError: this process already runs libngspice through driver 'pyspice'" in said


@needs_pyspice
@pytest.mark.parametrize("driver", ["ctypes", "pyspice"])
def test_ngspice_started_by_pyspice_itself_is_not_started_again(driver: str) -> None:
    said = run_python(
        "import acs_gym\n"
        "from acs_gym.simulation.driver import find_library\n"
        "from PySpice.Spice.NgSpice.Shared import NgSpiceShared\n"
        "NgSpiceShared.LIBRARY_PATH = find_library()\n"
        "NgSpiceShared.new_instance()\n"
        f"acs_gym.InProcessSimulator(driver={driver!r})\n"
    )
    assert f"use WorkerPool(driver='{driver}')" in said, said


@needs_pyspice
def test_results_do_not_depend_on_what_ran_before_through_pyspice_either() -> None:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk="generic")
    designs = designs_of(task, 5)
    with WorkerPool(1, driver="pyspice") as pool:
        first = [repr(o.metrics) for o in run(pool, task, designs)]
        if sys.platform == "linux":  # The binding is PySpice's; its cffi is loaded.
            maps = Path(f"/proc/{pool.process_ids[0]}/maps").read_text()
            assert "_cffi_backend" in maps
        assert [repr(o.metrics) for o in run(pool, task, designs[::-1])] == first[::-1]


# --- circuits -----------------------------------------------------------------------------------


def ota(**change: Any) -> Any:
    """The bundled five-transistor OTA, in PySpice."""
    from PySpice.Spice.Netlist import SubCircuit

    bias = {"w": "{w_bias}", "l": "{l_bias}"} | change
    pair, load = {"w": "{w_pair}", "l": "{l_pair}"}, {"w": "{w_load}", "l": "{l_load}"}
    dut = SubCircuit("ota5t", "inp", "inn", "out", "vdd", "vss")
    dut.X("ib", "ibias", "vdd", "nb", i="{i_bias}")
    dut.X("bias", "nfet", "nb", "nb", "vss", "vss", **bias, m=1)
    dut.X("tail", "nfet", "tail", "nb", "vss", "vss", **bias, m="{m_tail}")
    dut.X("pair_p", "nfet", "n1", "inp", "tail", "vss", **pair)
    dut.X("pair_n", "nfet", "out", "inn", "tail", "vss", **pair)
    dut.X("load_p", "pfet", "n1", "n1", "vdd", "vdd", **load)
    dut.X("load_n", "pfet", "out", "n1", "vdd", "vdd", **load)
    return dut


def follower(dut: Any) -> Any:
    from PySpice.Spice.Netlist import Circuit

    bench = Circuit("OTA as a follower")
    bench.subcircuit(dut)
    bench.V("dd", "vdd", bench.gnd, "dc {vdd} ac 0")
    bench.V("in", "inp", bench.gnd, "dc {v_cm} ac 0")
    bench.V("fb", "inn", "out", "dc 0 ac 0")
    bench.C("l", "out", bench.gnd, "{c_load}")
    bench.X("dut", dut.name, "inp", "inn", "out", "vdd", bench.gnd)
    bench.raw_spice = ".nodeset v(out)={v_cm} v(inn)={v_cm}"
    return bench


def register(dut: Any, bench: Any, task_id: str, **options: Any) -> str:
    from acs_gym.pyspice import register_circuit

    return register_circuit(dut, toml={**OTA, "id": task_id}, benches={BENCH: bench}, **options)


@needs_pyspice
def test_the_example_of_the_documentation_runs_and_meets_its_specs() -> None:
    page = Path(__file__).parents[2] / "docs" / "pyspice.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    said = run_python("\n".join([*blocks, "print(len(session.history))"]))
    assert "feasible=True" in said and said.endswith("\n1\n"), said


@needs_pyspice
def test_an_ota_written_in_pyspice_is_the_bundled_one_bit_for_bit(pdk: str) -> None:
    dut = ota()
    reference = tomllib.loads((BUNDLED / "ota5t" / "reference.toml").read_text())
    name = register(dut, follower(dut), "PySpice-OTA-v0", reference=reference)
    bundled = acs_gym.make_task("ACS-OTA5T-v0", pdk=pdk)
    task = acs_gym.make_task(name, pdk=pdk)
    assert task.reference == bundled.reference
    assert task.space == bundled.space and task.specs == bundled.specs
    decks = zip(task.program.decks, bundled.program.decks, strict=True)
    assert all(a.template[1:] == b.template[1:] for a, b in decks)
    designs = designs_of(task, 20)
    with WorkerPool(1) as one, WorkerPool(1, driver="pyspice") as other:
        expected = [repr(o.metrics) for o in run(one, bundled, designs)]
        assert [repr(o.metrics) for o in run(one, task, designs)] == expected
        assert [repr(o.metrics) for o in run(other, task, designs)] == expected


@needs_pyspice
def test_it_is_an_environment_and_registering_it_again_is_no_error() -> None:
    dut = ota()
    names = {register(dut, follower(dut), "PySpice-Again-v0") for _ in range(2)}
    assert names == {"PySpice-Again-v0"}
    env = gymnasium.make("PySpice-Again-v0", pdk="generic")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    wider = ota(w="{2 * w_bias}")
    with pytest.raises(CircuitError, match="PySpice-Again-v0 is already registered"):
        register(wider, follower(wider), "PySpice-Again-v0")


@needs_pyspice
def test_the_folder_is_an_ordinary_one_and_is_never_overwritten(tmp_path: Path) -> None:
    from acs_gym.pyspice import write_circuit

    dut, wider, folder = ota(), ota(w=1e-6), tmp_path / "mine"
    toml = BUNDLED / "ota5t" / "circuit.toml"
    for _ in range(2):
        write_circuit(dut, folder, toml=toml, benches={BENCH: follower(dut)})
    assert load_circuit(folder).id == "ACS-OTA5T-v0"
    assert (folder / "circuit.toml").read_bytes() == toml.read_bytes()
    with pytest.raises(CircuitError, match=r"holds something else \(dut.spice differs\)"):
        write_circuit(wider, folder, toml=toml, benches={BENCH: follower(wider)})


@needs_pyspice
def test_a_dict_and_the_file_it_came_from_say_the_same(tmp_path: Path) -> None:
    from acs_gym.pyspice import write_circuit

    given = OTA | {"title": 'µ "quoted" \\ two\nlines\x7f'}
    dut = ota()
    folder = write_circuit(dut, tmp_path / "dict", toml=given, benches={BENCH: follower(dut)})
    assert tomllib.loads((folder / "circuit.toml").read_text()) == given


@needs_pyspice
def test_units_become_the_numbers_they_mean(tmp_path: Path) -> None:
    from PySpice.Unit import u_kΩ, u_MΩ, u_ns, u_pF, u_uA, u_um, u_V

    from acs_gym.pyspice import write_circuit

    dut = ota(w=u_um(2), l=u_um(0.35))
    dut.X("c", "cap", "nb", "vss", c=u_pF(1.5))
    dut.R("leak", "nb", "vss", u_MΩ(10))
    dut.I("x", "nb", "vss", u_uA(0))
    bench = follower(dut)
    bench.R("1", "out", "1k", u_kΩ(4.7))  # A node may be called 1k.
    bench.PulseVoltageSource(
        "p", "1k", bench.gnd, initial_value=u_V(0), pulsed_value=u_V(1.8),
        delay_time=u_ns(1), rise_time=1e-10, fall_time=1e-10, pulse_width=u_ns(5), period=1,
    )  # fmt: skip
    folder = write_circuit(dut, tmp_path / "units", toml=OTA, benches={BENCH: bench})
    circuit = load_circuit(folder)
    sizes = {p.name: {k: e.text for k, e in p.parameters.items()} for p in circuit.dut.primitives}
    assert sizes["bias"] == {"l": "3.5e-07", "m": "1.0", "w": "2e-06"}
    assert sizes["c"] == {"c": "1.5e-12"}
    assert [e.value for e in circuit.dut.elements] == ["10000000.0", "0.0"]
    values = {e.name: (e.nodes, e.value) for e in circuit.benches[0].elements}
    assert values["r1"] == (("out", "1k"), "4700.0")
    assert values["vp"][1] == "DC 0.0 PULSE(0.0 1.8 1e-09 1e-10 1e-10 5e-09 1.0)"


def without(dut: Any, name: str) -> None:
    dut.element(name).detach()


PROBLEMS = {
    "model": (
        lambda dut, bench: dut.model("nch", "NMOS", level=1),
        r"SubCircuit 'ota5t': '\.model nch NMOS.* the primitives nfet, pfet",
    ),
    "include": (
        lambda dut, bench: bench.include("models.lib"),
        r"Circuit for bench_follower\.spice: '\.include .* a circuit brings no files",
    ),
    "library": (lambda dut, bench: bench.lib("models.lib", "tt"), r"'\.lib .* brings no files"),
    "parameter": (lambda dut, bench: bench.parameter("w", 1), r"'\.param w=1'.*\[conditions\]"),
    "raw directive": (
        lambda dut, bench: setattr(bench, "raw_spice", ".control\nshell ls\n.endc"),
        r"'\.control' cannot be part of a task: the only directives are \.nodeset",
    ),
    "raw directive of the DUT": (
        lambda dut, bench: setattr(dut, "raw_spice", ".ic v(out)=0"),
        r"SubCircuit 'ota5t': '\.ic v\(out\)=0' cannot be part",
    ),
    "raw directive on an element": (
        lambda dut, bench: setattr(bench.Cl, "raw_spice", "\n.include /etc/passwd"),
        r"'\.include /etc/passwd' cannot be part",
    ),
    "nested subcircuit": (
        lambda dut, bench: dut.subcircuit(ota()),
        r"SubCircuit 'ota5t': '\.subckt .* only the DUT is a subcircuit",
    ),
    "transistor with a model": (
        lambda dut, bench: dut.MOSFET(1, "out", "inp", "vss", "vss", model="nch"),
        r"SubCircuit 'ota5t', M1: 'M1' is not allowed here",
    ),
    "foundry device": (
        lambda dut, bench: dut.X("m", "nfet_of_another_foundry", "a", "b", "c", "d"),
        r"SubCircuit 'ota5t', Xm: 'nfet_of_another_foundry' is no device that any PDK has",
    ),
    "unknown name": (
        lambda dut, bench: dut.X("r", "res", "nb", "vss", r="{r_bias}"),
        r"SubCircuit 'ota5t', Xr: 'r_bias' is neither a parameter nor a condition",
    ),
    "diode in the bench": (
        lambda dut, bench: bench.D(1, "out", 0, model="d"),
        r"Circuit for bench_follower\.spice, D1: 'D1' is not allowed here",
    ),
    "no instance": (lambda dut, bench: without(bench, "Xdut"), "no instance of the DUT"),
    "ambiguous mega": (
        lambda dut, bench: bench.R(1, "out", 0, "1M"),
        r"Circuit for bench_follower\.spice, R1: cannot tell which number '1M' is",
    ),
    "ambiguous farad": (lambda dut, bench: bench.C(1, "out", 0, "1F"), "C1: cannot tell .* '1F'"),
}  # fmt: skip


@needs_pyspice
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_cannot_be_expressed_is_named(problem: str) -> None:
    spoil, message = PROBLEMS[problem]
    dut = ota()
    bench = follower(dut)
    spoil(dut, bench)
    with pytest.raises(CircuitError, match=message):
        register(dut, bench, "PySpice-Wrong-v0")
    assert "PySpice-Wrong-v0" not in acs_gym.task_ids()


@needs_pyspice
def test_a_subcircuit_with_parameters_of_its_own_is_refused() -> None:
    from PySpice.Spice.Netlist import SubCircuit

    dut = SubCircuit("ota5t", "inp", "inn", "out", "vdd", "vss", w=1e-6)
    with pytest.raises(CircuitError, match=r"has parameters of its own .*w=1e-06"):
        register(dut, follower(ota()), "PySpice-Wrong-v0")


@needs_pyspice
def test_what_is_no_pyspice_object_or_no_bench_is_refused() -> None:
    from acs_gym.pyspice import register_circuit

    dut = ota()
    with pytest.raises(TypeError, match="SubCircuit"):
        register_circuit(".subckt x", toml=OTA, benches={})
    with pytest.raises(TypeError, match="PySpice Circuit"):
        register_circuit(dut, toml=OTA, benches={BENCH: "vdd vdd 0 1"})
    with pytest.raises(CircuitError, match=r"'\.\./x' is no file name"):
        register_circuit(dut, toml=OTA, benches={"../x": follower(dut)})
    with pytest.raises(CircuitError, match=r"no \[\[bench\]\] names bench_other.spice"):
        register_circuit(
            dut, toml=OTA, benches={BENCH: follower(dut), "bench_other.spice": follower(dut)}
        )
    with pytest.raises(CircuitError, match="not the DUT's"):
        register_circuit(dut, toml=OTA, benches={BENCH: follower(ota(w=1e-6))})


def test_without_pyspice_registering_gives_the_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from acs_gym.pyspice import register_circuit

    monkeypatch.setitem(sys.modules, "PySpice.Spice.Netlist", None)
    with pytest.raises(ImportError, match=r"pip install 'acs-gym\[pyspice\]'"):
        register_circuit(None, toml={}, benches={})
