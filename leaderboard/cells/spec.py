"""One cell: a task, an agent, a repetition. Its spec, its seed and the key its result is kept under.

The key covers everything that decides the result, so a stored result is reused only where running
the cell again would give the same one: the spec, the agent's configuration, the task's digest
(netlists, models, specs) and the simulator's version. Never a name alone.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Beyond what anybody runs, and within what arithmetic and ranges of them take no time for.
MOST_REPETITIONS, MOST_SIMULATIONS, MOST_SEED = 10**5, 10**9, 2**63 - 1
_LONGEST_NAME = 4096


def check_name(name: str) -> str:
    """A name that is one text to everybody who sees it. Raises ValueError for another."""
    if not name.isprintable() or unicodedata.normalize("NFC", name) != name:
        raise ValueError("has characters that are not seen, or not in their usual form (NFC)")
    return name


# Of the specs: those of the circuit, or drawn for every repetition from the salt of this sha256.
FIXED, HELD_OUT = "fixed", "held-out"
Targets = Annotated[str, Field(pattern=rf"^({FIXED}|{HELD_OUT}:[0-9a-f]{{64}})$")]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(check_name)]


class CellSpec(BaseModel):
    """What one cell is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: Name
    pdk: Name
    tier: Name
    agent: Name
    repetition: Annotated[int, Field(ge=0, lt=MOST_REPETITIONS)]
    budget: Annotated[int, Field(ge=1, le=MOST_SIMULATIONS)]
    suite_seed: Annotated[int, Field(ge=0, le=MOST_SEED)]
    targets: Targets = FIXED

    @property
    def held_out(self) -> bool:
        """Whether its targets are drawn, and known to nobody before."""
        return self.targets != FIXED

    @property
    def label(self) -> str:
        """For a person: `ACS-OpAmp-v0 · sobol · 2`."""
        return f"{self.task} · {self.agent} · {self.repetition}"


def canonical_json(data: Any) -> str:
    """The one text of a JSON value: sorted keys, no spaces, no NaN (ValueError)."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_key(
    spec: CellSpec, agent_config: Mapping[str, Any], task_digest: str, simulator: str
) -> str:
    """Sixteen hex digits that name the result of this cell, and only this result."""
    identity = {
        "spec": spec.model_dump(),
        "agent_config": hashlib.sha256(canonical_json(agent_config).encode()).hexdigest(),
        "task_digest": task_digest,
        "simulator": simulator,
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]


def session_seed(spec: CellSpec) -> int:
    """The seed of the cell's session: one per (suite seed, task, repetition), whoever the agent is.

    So that every agent can start from the same initial designs. A method's own stream and that of
    its initial designs are split from it (`baselines.initial.split_seed`) and are independent of
    `session.rng`. The simulator has no stream: a simulation is a pure function of the design.
    """
    entropy = (spec.suite_seed, zlib.crc32(spec.task.encode()), spec.repetition)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def grid(
    tasks: Sequence[str],
    agents: Sequence[str],
    *,
    repetitions: int,
    pdk: str,
    tier: str,
    budget: int,
    suite_seed: int,
    targets: str = FIXED,
) -> list[CellSpec]:
    """Every cell, repetitions outermost: an interrupted run has all agents at a few seeds.

    Then agents: a process that runs cells serves one of them, and loads its libraries once.
    """
    return [
        CellSpec(
            task=task, pdk=pdk, tier=tier, agent=agent, repetition=repetition,
            budget=budget, suite_seed=suite_seed, targets=targets,
        )
        for repetition in range(repetitions)
        for agent in agents
        for task in tasks
    ]  # fmt: skip
