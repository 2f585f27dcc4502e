"""Where an episode stands, as a value: branch from it, store it, send it elsewhere, go on from it.

Simulation is pure, so nothing of the simulator belongs into a state: the turns so far and the
targets are all there is. What a state must never carry is the budget; the meter stays in the
`Session`, and going back to a state gives nothing back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acs_gym.evaluation import Evaluation
from acs_gym.specs import Spec, SpecSheet

FORMAT = 1


class InvalidState(ValueError):
    """A state that cannot be read, or that belongs to another environment; the message says why."""


@dataclass(frozen=True, slots=True)
class EnvState:
    """One moment of an episode of `SizingEnv`. Frozen, picklable, JSON-able.

    The history is the state's own: changing an evaluation that the environment handed out
    changes no state. Two states are equal exactly when every continuation from them is.

    Attributes:
        task_id, pdk, tier: which task, for a person.
        digest: of the task with its fixed targets; what `restore` compares.
        specs: the sheet with this episode's targets.
        history: one evaluation per turn, oldest first; each holds its design (SI units).
        max_turns, stop_when_feasible: how the episode ends.
        terminated, truncated: whether it has.
        rng: state of the environment's `np_random`, as JSON text.
    """

    task_id: str
    pdk: str
    tier: str
    digest: str
    specs: SpecSheet
    history: tuple[Evaluation, ...]
    max_turns: int
    stop_when_feasible: bool
    terminated: bool
    truncated: bool
    rng: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as its JSON form, which makes the copy equal (see `own`)."""
        return EnvState.from_json, (self.to_json(),)

    @property
    def turn(self) -> int:
        """Turns taken so far."""
        return len(self.history)

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated

    @property
    def targets(self) -> dict[str, float]:
        """This episode's targets, in each metric's SI unit."""
        return self.specs.targets

    @property
    def best(self) -> Evaluation | None:
        """The first evaluation with the highest score; None before any turn."""
        return best_of(self.history)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; `from_json` gives an equal state back."""
        return {
            "format": FORMAT,
            "task_id": self.task_id,
            "pdk": self.pdk,
            "tier": self.tier,
            "digest": self.digest,
            "specs": [asdict(spec) for spec in self.specs],
            "history": [evaluation.to_json() for evaluation in self.history],
            "max_turns": self.max_turns,
            "stop_when_feasible": self.stop_when_feasible,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "rng": json.loads(self.rng),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EnvState:
        """Rebuild from `to_json`; margins and scores are judged anew, never believed.

        Raises InvalidState naming what is missing or malformed.
        """
        try:
            if data["format"] != FORMAT:
                raise InvalidState(
                    f"state has format {data['format']!r}, this version reads {FORMAT}"
                )
            specs = SpecSheet(tuple(Spec(**spec) for spec in data["specs"]))
            return cls(
                task_id=str(data["task_id"]),
                pdk=str(data["pdk"]),
                tier=str(data["tier"]),
                digest=str(data["digest"]),
                specs=specs,
                history=tuple(own(Evaluation.from_json(e, specs), specs) for e in data["history"]),
                max_turns=int(data["max_turns"]),
                stop_when_feasible=bool(data["stop_when_feasible"]),
                terminated=bool(data["terminated"]),
                truncated=bool(data["truncated"]),
                rng=json.dumps(data["rng"], sort_keys=True),
            )
        except KeyError as missing:
            raise InvalidState(f"state has no field {missing}") from None
        except InvalidState:
            raise
        except (TypeError, AttributeError, ValueError) as error:
            raise InvalidState(f"state is malformed: {error}") from None


def own(evaluation: Evaluation, specs: SpecSheet) -> Evaluation:
    """`evaluation` judged by `specs`, sharing nothing mutable with the one it was made from."""
    return evaluation.rejudged(specs)


def best_of(history: tuple[Evaluation, ...]) -> Evaluation | None:
    """The first evaluation with the highest score."""
    return max(history, key=lambda e: e.score, default=None)


def rng_to_text(rng: np.random.Generator) -> str:
    """The generator's state as JSON text. Raises InvalidState for one that is not a PCG64."""
    state = rng.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise InvalidState(
            f"np_random is a {state['bit_generator']}; a state stores PCG64, Gymnasium's own"
        )
    return json.dumps(state, sort_keys=True)


def rng_from_text(text: str) -> np.random.Generator:
    """The generator whose state `rng_to_text` wrote. Raises InvalidState."""
    bits = np.random.PCG64()
    try:
        bits.state = json.loads(text)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidState(f"state has no valid PCG64 generator: {error}") from None
    return np.random.Generator(bits)
