"""What a circuit must prove, as records; one module a circuit beside this one holds its own.

    MOVES    when one thing is changed, metrics move as theory says
    DEAD     a circuit that is dead in a known way scores nothing on what it lost
    HARMLESS shorts and removals that may leave every spec met, each with its reason

`test_proofs.py` runs them on every PDK the circuit supports.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import acs_gym
from acs_gym.circuit import load_circuit
from acs_gym.design import Design
from acs_gym.evaluation import Evaluation
from acs_gym.registry import BUNDLED
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.pool import Job, Simulator

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
        circuit = load_circuit(copy)
    program = build_program(circuit, task.pdk)
    return replace(task, circuit=circuit, programs={"tt": program})


def evaluate(simulator: Simulator, task: acs_gym.Task, *designs: Design) -> list[Evaluation]:
    """At the nominal condition, whatever the tier."""
    outcomes = simulator.run([Job(task.program, d) for d in designs])
    return [task.judge(d, o) for d, o in zip(designs, outcomes, strict=True)]
