"""What a circuit must prove, as records; one module a circuit beside this one holds its own.

    MOVES    when one thing is changed, metrics move as theory says
    DEAD     a circuit that is dead in a known way scores nothing on what it lost
    HARMLESS shorts and removals that may leave every spec met, each with its reason
    ALIKE    groups of nets, or devices, that a symmetry puts in each other's places, in order

`test_proofs.py` runs them on every PDK the circuit supports.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from acs_gym.simulation.program import Program

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
    alike: Sequence[Sequence[str]] = ()

    def stands_for_all(self, names: Sequence[str]) -> bool:
        """Whether no symmetry puts them in the places of names that come later."""
        place = {name: (group, k) for group in self.alike for k, name in enumerate(group)}
        turns = len(self.alike[0]) if self.alike else 1
        turned = [
            sorted(
                group[(k + turn) % turns] if name in place else name
                for name in names
                for group, k in [place.get(name, ((), 0))]
            )
            for turn in range(turns)
        ]
        return turned[0] == max(turned)


def proofs(circuit: str) -> Proofs:
    module: ModuleType = import_module(f"tests.circuits.{circuit}")
    return Proofs(
        module.MOVES, module.DEAD, getattr(module, "HARMLESS", {}), getattr(module, "ALIKE", ())
    )


def changed(task: acs_gym.Task, factors: Mapping[str, float]) -> Design:
    """The reference with some parameters multiplied, rounded to the grid."""
    reference = dict(task.reference or {})
    return task.space.canonicalize(
        {**reference, **{k: f * reference[k] for k, f in factors.items()}}
    )


def variant(task: acs_gym.Task, edits: Mapping[str, Mapping[str, str]]) -> acs_gym.Task:
    """The task on a copy of its folder with pieces of text replaced, each exactly once."""

    def edit(copy: Path) -> None:
        for file, replacements in edits.items():
            text = (copy / file).read_text()
            for old, new in replacements.items():
                assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
                text = text.replace(old, new)
            (copy / file).write_text(text)
        _ask_saturation_of_what_is_there(copy)

    return _rebuilt(task, edit)


def shortable(task: acs_gym.Task, pairs: Sequence[tuple[str, str]]) -> acs_gym.Task:
    """The task with a parameter more: `short` = k puts 1 ohm across the k-th pair of nets, 0 across none.

    One netlist that is altered, since reading it takes longer than simulating it. The resistors of the
    other pairs have 1e13 ohm or more.
    """

    def edit(copy: Path) -> None:
        dut, toml, references = (copy / f for f in ("dut.spice", "circuit.toml", "reference.toml"))
        resistors = "\n".join(
            f"rshort{k} {a} {b} {{1+1e13*(short-{k})**2}}" for k, (a, b) in enumerate(pairs, 1)
        )
        dut.write_text(re.sub(r"(?im)^\.ends", resistors + "\n.ends", dut.read_text()))
        short = (
            f'name = "short"\nlow = 0\nhigh = {len(pairs)}\ninteger = true\ndescription = "pair"'
        )
        first = "[[parameter]]"
        toml.write_text(toml.read_text().replace(first, f"{first}\n{short}\n\n{first}", 1))
        references.write_text(re.sub(r"(?m)^(\[.*\])$", r"\1\nshort = 0", references.read_text()))

    return _rebuilt(task, edit)


def _rebuilt(task: acs_gym.Task, edit: Callable[[Path], None]) -> acs_gym.Task:
    """The task on a copy of its folder after `edit`, without what was measured of the original.

    The testbenches of its kit are there as files, so that they can be edited as its own can.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = shutil.ignore_patterns("targets.json", "difficulty.json")
        target = Path(folder) / task.circuit.name
        copy = Path(shutil.copytree(task.circuit.folder, target, ignore=measured))
        for name, text in task.circuit.netlists.items():
            (copy / name).write_text(text)
        edit(copy)
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


# A broken circuit's sweeps and transients take a second where a sound one's take 10 ms.
_AT_ONE_POINT = ("op", "ac", "noise")


def misses(simulator: Simulator, task: acs_gym.Task, design: Design) -> bool:
    """Whether a spec is missed: first by what small signals tell, a bench at a time, then by all."""
    for program in (*_at_one_point(task.program), task.program):
        [outcome] = simulator.run([Job(program, design)])
        told = [s for s in task.specs if s.metric in outcome.metrics]
        if not all(s.margin(outcome.metrics[s.metric]) >= 0.0 for s in told):
            return True
    return False


def _at_one_point(program: Program) -> Iterator[Program]:
    """For each bench the program of it alone, without sweeps, transients and what is read off them."""
    for deck in program.decks:
        analyses = tuple(a for a in deck.analyses if a.kind in _AT_ONE_POINT)
        there = {a.name for a in analyses}
        metrics = tuple(m for m in program.metrics if m.analysis in there)
        names = {m.name for m in metrics}
        gates = tuple(
            replace(g, kills=tuple(k for k in g.kills if k in names))
            for g in program.gates
            if g.analysis in there
        )
        alone = replace(deck, analyses=analyses)
        key = f"{program.key} {deck.name} at one point"
        yield replace(program, decks=(alone,), metrics=metrics, gates=gates, key=key)


def winners(task: acs_gym.Task) -> list[Design]:
    """What optimisers found on this circuit (`python benchmarks/winners.py` makes the file)."""
    found = json.loads(WINNERS.read_text()).get(task.id, {}).get(task.pdk_name, [])
    return [task.space.canonicalize(design) for design in found]
