"""A task: a circuit on a PDK in a tier with a spec sheet; the thing that is sized and scored."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

import numpy as np

from acs_gym.circuit import Circuit, CircuitError, CircuitSplit
from acs_gym.circuit_reading import load_circuit
from acs_gym.design import Design, DesignSpace
from acs_gym.evaluation import AtCondition, Evaluation, Status
from acs_gym.pdks import Pdk, get_pdk
from acs_gym.registry import circuit_folders, circuit_splits, folder_state
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.operating_point import (
    OperatingPoint,
    operating_point_program,
    read_operating_points,
)
from acs_gym.simulation.pool import Job
from acs_gym.simulation.program import Program
from acs_gym.specs import InvalidSpec, SpecSheet
from acs_gym.targets import Anchor, AnchorTable, Split, TargetsNotFound
from acs_gym.tiers import TIERS, Tier, get_tier
from acs_gym.wording import closest

if TYPE_CHECKING:
    from acs_gym.session import Call, Session
    from acs_gym.simulation.pool import Simulator

DEFAULT_PDK = "sky130"
__all__ = ["DEFAULT_PDK", "TIERS", "Task", "TaskNotFound", "make_task", "task_ids", "task_of"]


class TaskNotFound(KeyError):
    """No task of that name; the message lists the close ones."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Task:
    """What is sized, with what, and against which specs. Frozen and picklable.

    Attributes:
        id: e.g. `ACS-OpAmp-v0`.
        circuit: the validated circuit folder.
        pdk_name: a PDK of `pdk_names()`.
        tier: the conditions a design is simulated at; see `acs_gym.tiers`.
        stop_at_first_failure: simulate a design's conditions in turn and stop at the first that
            misses a spec; only those simulated are charged.
        space: the design space on this PDK.
        specs: the spec sheet; its targets may have been set by hand.
        passive_corners: the PDK's corners of resistors and capacitors, where the circuit has any.
    """

    id: str
    circuit: Circuit
    pdk_name: str
    tier: str
    space: DesignSpace
    specs: SpecSheet
    programs: Mapping[str, Program] = field(repr=False)
    passive_corners: tuple[str, ...] = ()
    stop_at_first_failure: bool = False

    @property
    def program(self) -> Program:
        """What a worker runs at the nominal corner."""
        return self.programs["tt"]

    @property
    def pdk(self) -> Pdk:
        return get_pdk(self.pdk_name)

    @property
    def title(self) -> str:
        return self.circuit.file.title

    @property
    def description(self) -> str:
        return self.circuit.file.description.strip()

    @property
    def metric_units(self) -> dict[str, str]:
        """Every metric of the circuit with its SI unit, in order; `area` last."""
        return {m.name: m.unit for m in self.circuit.file.metric} | {"area": "m^2"}

    @property
    def reference(self) -> Design | None:
        """A sizing that meets every fixed spec in this tier, or None when none is shipped."""
        design = self.circuit.reference(self.pdk_name, self.conditions.kind)
        return None if design is None else self.space.canonicalize(design)

    @property
    def conditions(self) -> Tier:
        """The conditions a design is simulated at, and how they combine."""
        return get_tier(self.tier, self.passive_corners)

    @property
    def cost(self) -> int:
        """Simulations a design may cost: the number of conditions of the tier."""
        return self.conditions.cost

    @property
    def digest(self) -> str:
        """sha256 over what decides a result: netlists, measures, models, ranges, specs, tier."""
        sheet = [[s.metric, s.direction, s.target, s.tolerance, s.weight] for s in self.specs]
        keys = [self.programs[c].key for c in sorted(self.programs)]
        parts = [
            self.id,
            self.tier,
            self.stop_at_first_failure,
            keys,
            [[p.name, p.low, p.high, p.scale, p.grid] for p in self.space],
            self.pdk.digest(),
            sheet,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def with_specs(self, targets: Mapping[str, float]) -> Task:
        """The same task with some targets replaced. Raises InvalidSpec on an unknown metric."""
        return replace(self, specs=self.specs.with_targets(targets))

    def sample_specs(self, rng: np.random.Generator, split: Split = "train") -> dict[str, float]:
        """Targets for every spec that some actual design meets together; for `with_specs`.

        An anchor of the split is chosen uniformly. One number `w`, uniform in [0.02, 0.49], says
        how easy the draw is as a whole; then each target is set so that the anchor meets it with a
        margin uniform in [0.02, w], and rounded to the easy side, which adds at most 0.01. So the
        anchor has between 0.02 and 0.5 of margin to spare in every spec, in the spec's own scale:
        2 % to 65 % of a ratio, 1/50 to 1/2 of a tolerance. A fixed spec keeps its target.

        No target set drawn from a held-out anchor is met by a training anchor: where one would meet
        it, what each margin has beyond 0.02 is halved, up to three times, and then left out.

        Args:
            rng: decides the draw, together with the split.
            split: `train` or `held-out`; the two draw from different anchors.

        Raises TargetsNotFound where there are no anchors, CircuitError where the anchors are not
        what `targets.json` may hold, ValueError for an unknown split.
        """
        return self._anchors.draw(self.specs, rng, split)

    def sampled_anchor(self, rng: np.random.Generator, split: Split = "train") -> int:
        """The number in `anchors(split)` of the one that `sample_specs` draws from with an equal `rng`.

        Draws from one anchor are no independent samples. Raises what `sample_specs` raises.
        """
        return self._anchors.chosen(rng, split)

    def anchors(self, split: Split | None = None) -> tuple[Anchor, ...]:
        """The designs behind `sample_specs`, of one split or all; raises what that raises."""
        return self._anchors.anchors(split)

    @property
    def _anchors(self) -> AnchorTable:
        tables = self.circuit.anchors
        if self.tier != "tt":
            raise TargetsNotFound(
                f"sampled targets were measured in tier tt, this task's tier is {self.tier}; "
                "give targets of your own as specs={metric: target}"
            )
        command = f"python benchmarks/targets.py {self.id} --pdk {self.pdk_name}"
        if (table := tables.get(self.pdk_name)) is None:
            raise TargetsNotFound(
                f"{self.id} has no sampled targets on {self.pdk_name}; it has some on: "
                f"{', '.join(tables) or 'no PDK'}. `{command}` makes them"
            )
        if table.program != self.program.key:
            raise TargetsNotFound(
                f"{self.circuit.folder / 'targets.json'} was measured with another version of "
                f"{self.id} or of {self.pdk_name}; `{command} --remeasure` measures it anew"
            )
        try:
            table.check_once(self.space, self.specs)
        except ValueError as error:
            path = self.circuit.folder / "targets.json"
            raise CircuitError(f"{path}: {self.pdk_name}.{error}") from None
        return table

    def session(
        self,
        budget: int | None = None,
        *,
        seed: int = 0,
        workers: int = 1,
        simulator: Simulator | None = None,
        on_call: Callable[[Call], None] | None = None,
    ) -> Session:
        """The metered door to the simulator; see `Session`."""
        from acs_gym.session import Session

        return Session(
            self, budget, seed=seed, workers=workers, simulator=simulator, on_call=on_call
        )

    def job(self, design: Design, condition: int = 0, *, waveforms: bool = False) -> Job:
        """What to simulate for the tier's condition of that number; `design` must be canonical."""
        chosen = self.conditions.conditions[condition]
        program = self.programs[chosen.corner]
        return Job(
            program,
            design,
            waveforms,
            chosen.overrides(program.conditions),
            chosen.mismatch([d.key for d in program.decks[0].draws]),
        )

    def operating_point_job(self, design: Design) -> Job:
        """What to simulate for the nominal operating point; `design` must be canonical."""
        return Job(operating_point_program(self.program), design, waveforms=True)

    def operating_points(self, outcome: Outcome) -> tuple[OperatingPoint, ...]:
        """The transistors of an `operating_point_job`; empty where it found no solution."""
        if outcome.status is not Status.OK:
            return ()
        kinds = {p.name.lower(): p.kind for p in self.circuit.dut.primitives}
        program = operating_point_program(self.program)
        return read_operating_points(program, outcome.waveforms, kinds)

    def judge(self, design: Design, *outcomes: Outcome) -> Evaluation:
        """What the specs make of the outcomes of the tier's first conditions, in order."""
        return self.judge_at(design, dict(enumerate(outcomes)))

    def judge_at(
        self, design: Design, outcomes: Mapping[int, Outcome], cost: int | None = None
    ) -> Evaluation:
        """What the specs make of the outcomes of some of the tier's conditions, by their numbers.

        `cost`: simulations that it is charged; by default one for each.
        """
        outcome, spread = self.conditions.combine(outcomes, self.specs)
        metrics = outcome.metrics or dict.fromkeys(self.metric_units, float("nan"))
        return Evaluation.judged(
            design,
            outcome.status,
            metrics,
            self.specs,
            cost=len(outcomes) if cost is None else cost,
            message=outcome.message,
            spread=spread,
            by_condition=self._by_condition(outcomes) if self.cost > 1 else None,
            unknown=self.cost - len(outcomes),
        )

    def _by_condition(self, outcomes: Mapping[int, Outcome]) -> dict[str, AtCondition]:
        """Each condition's outcome judged by itself; all have every metric, NaN where there is none."""
        names = self.metric_units
        return {
            self.conditions.conditions[k].name: AtCondition.judged(
                outcome.status,
                {name: outcome.metrics.get(name, math.nan) for name in names},
                self.specs,
                outcome.message,
            )
            for k, outcome in sorted(outcomes.items())
        }

    def known_outcomes(self, evaluation: Evaluation) -> dict[int, Outcome]:
        """What `judge_at` was given for this evaluation of a task of several conditions."""
        unmeasured = dict.fromkeys(self.metric_units, math.nan)
        numbers = {c.name: k for k, c in enumerate(self.conditions.conditions)}
        return {
            numbers[name]: Outcome(at.status, {**unmeasured, **at.metrics}, at.message)
            for name, at in evaluation.by_condition.items()
        }

    def passes(self, outcome: Outcome) -> bool:
        """Whether one condition's outcome meets every spec."""
        return outcome.status is Status.OK and self.specs.judge(outcome.metrics).feasible

    def refuse(self, design: object, reason: str, cost: int | None = None) -> Evaluation:
        """The evaluation of a design that is not one: charged, scored 0, never simulated.

        `cost`: simulations that it is charged; by default as any other design.
        """
        items = design.items() if isinstance(design, Mapping) else ()
        readable = {_name(k): v for k, value in items if math.isfinite(v := _number(value))}
        nothing = dict.fromkeys(self.metric_units, float("nan"))
        return Evaluation.judged(
            readable, Status.INVALID_DESIGN, nothing, self.specs,
            cost=self.cost if cost is None else cost, message=reason,
        )  # fmt: skip


def _name(key: object) -> str:
    """`key` as text that any file can hold; half a surrogate pair is written as its escape."""
    return str(key).encode("utf-8", "backslashreplace").decode()


def _number(value: object) -> float:
    """`value` as a float, NaN when it is none."""
    try:
        return float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return math.nan


def task_ids(split: CircuitSplit | None = None) -> tuple[str, ...]:
    """Every known task id, sorted.

    Args:
        split: only those to learn from (`training`), those to ask what was learnt (`held-out`), or those
            whose folder names neither (`custom`).

    Raises ValueError for an unknown split.
    """
    if split is None:
        return tuple(sorted(circuit_folders()))
    if split not in get_args(CircuitSplit):
        raise ValueError(f"split is one of {', '.join(get_args(CircuitSplit))}; got {split!r}")
    return tuple(sorted(i for i, of in circuit_splits().items() if of == split))


def make_task(
    name: str,
    *,
    pdk: str = DEFAULT_PDK,
    tier: str = "tt",
    specs: Mapping[str, float] | None = None,
    stop_at_first_failure: bool = False,
) -> Task:
    """The task called `name` (an id such as `ACS-OpAmp-v0`, or a circuit folder's name `opamp`).

    Args:
        pdk: `sky130`, `gf180mcu` (both fetched by `acs-gym pdk install`), `generic` (bundled), or
            one of an installed package.
        tier: `tt`, `pvt`, `mc` or `mcN` for N mismatch draws.
        specs: targets to replace, by metric.
        stop_at_first_failure: with `pvt` or `mc`, stop a design at its first failing condition and
            charge only the conditions simulated.

    Raises TaskNotFound, PdkNotFound, CircuitError, InvalidSpec, ValueError for an unknown tier;
    each message says what is allowed.
    """
    get_tier(tier)
    task_id = _resolve(name)
    task = _fixed_task(task_id, pdk, tier, folder_state(circuit_folders()[task_id]))
    if stop_at_first_failure:
        task = replace(task, stop_at_first_failure=True)
    if isinstance(specs, str):
        raise InvalidSpec(
            f"a task has fixed targets, got specs={specs!r}; draw them with task.sample_specs(rng), "
            "or make an environment with specs='sampled'"
        )
    return task if specs is None else task.with_specs(specs)


def _resolve(name: str) -> str:
    folders = dict(circuit_folders())
    if name in folders:
        return name
    # A folder's name is short for its id; a bundled circuit keeps its short name.
    by_folder = {folder.name: task_id for task_id, folder in reversed(folders.items())}
    if name in by_folder:
        return by_folder[name]
    known: Sequence[str] = sorted(folders)
    close = closest(name, [*known, *by_folder])
    hint = f"did you mean {by_folder.get(close, close)}? " if close else ""
    raise TaskNotFound(f"no task called {name!r}; {hint}Tasks: {', '.join(known)}")


def passive_corners(circuit: Circuit, pdk: Pdk) -> tuple[str, ...]:
    """The PDK's corners of resistors and capacitors that change any device of the circuit."""
    kinds = {p.kind for p in circuit.dut.primitives} - {"ibias"}
    typical = pdk.devices("tt")
    return tuple(
        corner
        for corner in pdk.passive_corners
        if any(pdk.devices(corner)[kind] != typical[kind] for kind in kinds if kind in typical)
    )


def task_of(circuit: Circuit, pdk: str = DEFAULT_PDK, tier: str = "tt") -> Task:
    """The task that a circuit is, known by name or not. Raises what `make_task` raises."""
    models = get_pdk(pdk)
    passives = passive_corners(circuit, models)
    conditions = get_tier(tier, passives)
    corners = {"tt", *(c.corner for c in conditions.conditions)}
    return Task(
        id=circuit.id,
        circuit=circuit,
        pdk_name=pdk,
        tier=tier,
        space=circuit.space(pdk),
        specs=circuit.specs(pdk, conditions.kind),
        programs={c: build_program(circuit, models, c) for c in sorted(corners)},
        passive_corners=passives,
    )


# Every circuit on three PDKs in two tiers, which takes 150 MB, with room.
@lru_cache(maxsize=128)
def _fixed_task(task_id: str, pdk_name: str, tier_name: str, _state: object) -> Task:
    circuit = load_circuit(circuit_folders()[task_id])
    if circuit.id != task_id:
        raise CircuitError(f"{circuit.folder}: id is {circuit.id}, expected {task_id}")
    return task_of(circuit, pdk_name, tier_name)
