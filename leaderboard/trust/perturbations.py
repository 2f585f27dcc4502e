"""Conditions and targets that an agent cannot have been tuned to, drawn from a secret.

Everything is drawn from HMAC-SHA256(salt, task id), so whoever has the salt draws the same, and who
has it not cannot guess it. A score carries the salt's sha256 alone; when the salt is replaced, the old
one is published and everything drawn from it can be checked. Without a salt a public one stands in,
and what it gives is labelled so.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from acs_gym.evaluation import Evaluation
from acs_gym.pdks.base import CORNERS
from acs_gym.simulation.deck import build_program
from acs_gym.simulation.engine import TEMPERATURE, Outcome
from acs_gym.simulation.pool import Job
from acs_gym.task import Task
from leaderboard.cells.environment import SALT_VARIABLE
from leaderboard.cells.records import Score
from leaderboard.cells.spec import HELD_OUT
from leaderboard.errors import LeaderboardError

PERTURBATIONS = 8
LOAD, SUPPLY, TEMPERATURES = (0.8, 1.25), (0.95, 1.05), (-20.0, 85.0)
_LEAST_SALT = 16
_STREAM_CONDITIONS, _STREAM_SPECS = 0, 1

Label = Literal["public", "hidden"]


@dataclass(frozen=True, slots=True)
class Salt:
    """What hidden draws are made from; its `repr` does not show it."""

    secret: bytes
    label: Label = "hidden"

    def __repr__(self) -> str:
        return f"Salt({self.label}, sha256 {self.sha256[:8]}...)"

    @property
    def sha256(self) -> str:
        """Names the salt without giving it away."""
        return hashlib.sha256(self.secret).hexdigest()

    def rng(self, task_id: str, *stream: int) -> np.random.Generator:
        digest = hmac.new(self.secret, task_id.encode(), hashlib.sha256).digest()
        return np.random.default_rng((int.from_bytes(digest, "big"), *stream))


PUBLIC = Salt(b"acs-gym public perturbations, version 1", "public")


class Perturbation(BaseModel):
    """Other circumstances than nominal, all at once.

    Attributes:
        load: factor on `c_load`, where the circuit has one.
        supply: factor on `vdd`, where the circuit has one.
        temperature: °C.
        corner: of the PDK's models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    load: float
    supply: float
    temperature: float
    corner: str

    def overrides(self, nominal: Mapping[str, float]) -> dict[str, float]:
        """What changes in the circuit's named conditions."""
        changed = {
            "c_load": nominal.get("c_load", 0.0) * self.load,
            "vdd": nominal.get("vdd", 0.0) * self.supply,
            TEMPERATURE: self.temperature,
        }
        return {name: value for name, value in changed.items() if name in nominal}


class RobustRecord(BaseModel):
    """`robust.json`, beside a cell's `result.json`.

    Attributes:
        key: of the cell.
        label: `public` when drawn from the salt that everybody knows.
        salt_hash: sha256 of the salt.
        robust_score: the mean of the scores; 0 where the cell's own score counts as 0.
        scores: of the winning design at each perturbation; none where there is no such design.
        perturbations: what they were.

    Both are given only where they are public: eight hidden scores of a known design say where the
    load and the temperature lay, to some per cent; their mean says next to nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    key: str
    label: Label
    salt_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    robust_score: Score
    scores: tuple[Score, ...] | None
    perturbations: tuple[Perturbation, ...] | None


def read_salt(path: Path | None, environ: Mapping[str, str] = os.environ) -> Salt:
    """The salt in a file, or in ACS_GYM_SALT, or else the public one; white space around it is cut off.

    Raises LeaderboardError for a file that cannot be read and for a salt short enough to be guessed.
    """
    where = f"--salt-file {path}" if path is not None else SALT_VARIABLE
    try:
        secret = (
            environ.get(SALT_VARIABLE, "").encode() if path is None else path.read_bytes()
        ).strip()
    except OSError as error:
        raise LeaderboardError(f"{where} cannot be read: {error.strerror}") from None
    if path is None and not secret:
        return PUBLIC
    if len(secret) < _LEAST_SALT:
        raise LeaderboardError(
            f"{where} holds {len(secret)} characters, which can be guessed; make a salt with: "
            "python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return Salt(secret)


def perturbations(task_id: str, salt: Salt) -> tuple[Perturbation, ...]:
    """The task's perturbations: 8, each drawn independently of the others.

    Load is log-uniform in 0.8 to 1.25 of nominal, supply uniform in 0.95 to 1.05 of nominal,
    temperature uniform in -20 to 85 °C, corner any of the five; rounded as a person would write them.
    """
    rng = salt.rng(task_id, _STREAM_CONDITIONS)
    low, high = map(math.log, LOAD)
    return tuple(
        Perturbation(
            load=round(math.exp(rng.uniform(low, high)), 3),
            supply=round(float(rng.uniform(*SUPPLY)), 4),
            temperature=round(float(rng.uniform(*TEMPERATURES)), 1),
            corner=CORNERS[int(rng.integers(len(CORNERS)))],
        )
        for _ in range(PERTURBATIONS)
    )


def held_out_specs(task: Task, salt: Salt, repetition: int) -> dict[str, float]:
    """Targets for `task.with_specs`, from the anchors that are held out of training.

    The same for everybody who has the salt, and others in every repetition. Raises TargetsNotFound
    where the task has no anchors.
    """
    return task.sample_specs(salt.rng(task.id, _STREAM_SPECS, repetition), "held-out")


def targets_of(salt: Salt) -> str:
    """What `CellSpec.targets` says of targets drawn from this salt."""
    return f"{HELD_OUT}:{salt.sha256}"


def jobs(task: Task, design: Mapping[str, float], chosen: Sequence[Perturbation]) -> list[Job]:
    """What to simulate for a canonical design at these perturbations, whatever the task's tier."""
    programs = {c: build_program(task.circuit, task.pdk, c) for c in {p.corner for p in chosen}}
    return [
        Job(programs[p.corner], dict(design), conditions=p.overrides(programs[p.corner].conditions))
        for p in chosen
    ]


def scores(task: Task, design: Mapping[str, float], outcomes: Sequence[Outcome]) -> list[float]:
    """The score that the task's specs give at each perturbation; 0 where the simulation failed."""
    nothing = dict.fromkeys(task.metric_units, math.nan)
    return [
        Evaluation.judged(design, o.status, o.metrics or nothing, task.specs).score
        for o in outcomes
    ]


def mean(values: Sequence[float]) -> float:
    """The robust score of these scores: their arithmetic mean, 0 for none."""
    return math.fsum(values) / len(values) if values else 0.0


def record(
    key: str, salt: Salt, chosen: Sequence[Perturbation], own: Sequence[float]
) -> RobustRecord:
    """What is written of a robust score. Hidden perturbations stay hidden."""
    return RobustRecord(
        key=key,
        label=salt.label,
        salt_hash=salt.sha256,
        robust_score=mean(own),
        scores=tuple(own) if salt.label == "public" else None,
        perturbations=tuple(chosen) if salt.label == "public" else None,
    )
