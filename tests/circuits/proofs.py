"""What a circuit must prove, as records; one module a circuit beside this one holds its own.

    MOVES    when one thing is changed, metrics move as theory says
    DEAD     a circuit that is dead in a known way scores nothing on what it lost
    HARMLESS shorts and removals that may leave every spec met, each with its reason

`test_proofs.py` runs them on every PDK the circuit supports.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import acs_gym
from acs_gym.circuit_reading import load_circuit
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.registry import BUNDLED
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.netlist import read_dut
from acs_gym.simulation.pool import Job, Simulator

WINNERS = Path(__file__).with_name("winners.json")
CIRCUITS = tuple(sorted(p.parent.name for p in BUNDLED.glob("*/circuit.toml")))


@dataclass(frozen=True, slots=True)
class Move:
    """From the reference, multiply these parameters: `up` must rise and `down` fall.

    `least` is the smallest relative change that counts as one.
    """

    why: str
    change: Mapping[str, float]
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    least: float = 0.01


@dataclass(frozen=True, slots=True)
class Dead:
    """Edits of the folder's files (file -> text -> replacement), and the specs they must cost."""

    name: str
    edits: Mapping[str, Mapping[str, str]]
    kills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proofs:
    moves: tuple[Move, ...]
    dead: tuple[Dead, ...]
    harmless: Mapping[str, str] = field(default_factory=dict)


def proofs(circuit: str) -> Proofs:
    module: ModuleType = import_module(f"tests.circuits.{circuit}")
    return Proofs(module.MOVES, module.DEAD, getattr(module, "HARMLESS", {}))


def changed(task: acs_gym.Task, factors: Mapping[str, float]) -> Design:
    """The reference with some parameters multiplied, rounded to the grid."""
    reference = dict(task.reference or {})
    return task.space.canonicalize(
        {**reference, **{k: f * reference[k] for k, f in factors.items()}}
    )


def variant(task: acs_gym.Task, edits: Mapping[str, Mapping[str, str]]) -> acs_gym.Task:
    """The task on a copy of its folder with pieces of text replaced, each exactly once."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(task.circuit.folder, Path(folder) / task.circuit.name))
        for file, replacements in edits.items():
            text = (copy / file).read_text()
            for old, new in replacements.items():
                assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
                text = text.replace(old, new)
            (copy / file).write_text(text)
        _ask_saturation_of_what_is_there(copy)
        circuit = load_circuit(copy)
    program = build_program(circuit, task.pdk)
    return replace(task, circuit=circuit, programs={"tt": program})


def _ask_saturation_of_what_is_there(folder: Path) -> None:
    """A device that was taken out cannot be asked to saturate; the folder would be refused."""
    there = {p.name for p in read_dut(folder / "dut.spice").primitives}
    toml = folder / "circuit.toml"
    lists = re.compile(r"(?<=^saturated = \[)[^]]*", re.M)
    kept = lambda m: ", ".join(n for n in re.findall(r'"\w+"', m[0]) if n.strip('"') in there)  # noqa: E731
    toml.write_text(lists.sub(kept, toml.read_text()))


def evaluate(simulator: Simulator, task: acs_gym.Task, *designs: Design) -> list[Evaluation]:
    """At the nominal condition, whatever the tier."""
    outcomes = simulator.run([Job(task.program, d) for d in designs])
    return [task.judge(d, o) for d, o in zip(designs, outcomes, strict=True)]


def fails_at_rest(simulator: Simulator, task: acs_gym.Task, design: Design) -> bool:
    """Whether the operating points alone miss a spec, which takes a tenth of the time to see."""
    program = task.program
    decks = tuple(
        replace(deck, analyses=points)
        for deck in program.decks
        if (points := tuple(a for a in deck.analyses if a.kind == "op"))
    )
    there = {a.name for deck in decks for a in deck.analyses}
    at_rest = replace(
        program,
        decks=decks,
        metrics=tuple(m for m in program.metrics if m.analysis in there),
        gates=tuple(g for g in program.gates if g.analysis in there),
        key=f"{program.key} at rest",
    )
    found = simulator.run([Job(at_rest, design)])[0].metrics
    return any(s.satisfaction(found[s.metric]) < 1 for s in task.specs if s.metric in found)


def winners(task: acs_gym.Task) -> list[Design]:
    """What optimisers found on this circuit (`python benchmarks/winners.py` makes the file)."""
    found = json.loads(WINNERS.read_text()).get(task.id, {}).get(task.pdk_name, [])
    return [task.space.canonicalize(design) for design in found]
