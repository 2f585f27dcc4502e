"""Targets that can be met together, because an actual design meets them.

A circuit folder may ship `targets.json`: per PDK a table of *anchors*, designs and the metrics they
were measured to have in tier `tt`. A draw takes an anchor and asks for a little less than it has of
everything, so the anchor itself is the proof that the targets are feasible. `benchmarks/targets.py`
makes the file; this module reads it and draws. Knows no simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from acs_gym.design import Design, DesignSpace, InvalidDesign
from acs_gym.specs import InvalidSpec, Spec, SpecSheet

Split = Literal["train", "held-out"]

# Margins that an anchor has to spare, at least and at most, in every spec drawn from it.
SLACK_LEAST, SLACK_MOST = 0.02, 0.5
# What rounding a target may cost, as a margin; part of SLACK_MOST.
ROUNDING = 0.01
# Anchors are stored farthest first, so every fourth one is as spread out as the rest.
HELD_OUT_EVERY = 4


class TargetsNotFound(ValueError):
    """No sampled targets for this task; the message says where there are some, or what makes them."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A design and what it has of each spec'd metric (SI units), rounded to the worse side."""

    design: Design
    metrics: dict[str, float]


class AnchorTable(BaseModel):
    """The anchors of a circuit on one PDK; `targets.json` maps PDKs to such tables.

    Attributes:
        command: what made the table.
        program: key of the program that they were measured with; another one measures other
            metrics, and the table is of no use to it.
        parameters, metrics: what the two halves of a row are of.
        anchors: one row each, a design and its metrics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: str
    program: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    anchors: Annotated[
        tuple[tuple[tuple[FiniteFloat, ...], tuple[FiniteFloat, ...]], ...],
        Field(min_length=HELD_OUT_EVERY),
    ]

    def check(self, space: DesignSpace, sheet: SpecSheet) -> None:
        """Raises ValueError, naming the field, where the table does not fit the circuit."""
        for field, given, wanted in (
            ("parameters", self.parameters, space.names),
            ("metrics", self.metrics, sheet.metrics),
        ):
            if given != wanted:
                raise ValueError(
                    f"{field}: the table is of {', '.join(given)}, the circuit has "
                    f"{', '.join(wanted)}; delete the file and make it anew"
                )
        for k, row in enumerate(self.anchors):
            for which, values, names in zip(
                ("design", "metrics"), row, (self.parameters, self.metrics), strict=True
            ):
                if len(values) != len(names):
                    raise ValueError(
                        f"anchors.{k}: {which} has {len(values)} numbers, expected {len(names)}"
                    )
            try:
                space.canonicalize(self[k].design)
                sheet.with_targets({s.metric: ease(s, self[k], SLACK_LEAST) for s in sheet})
            except (InvalidDesign, InvalidSpec) as error:
                raise ValueError(f"anchors.{k}: {error}") from None

    def __getitem__(self, k: int) -> Anchor:
        design, metrics = self.anchors[k]
        return Anchor(
            dict(zip(self.parameters, design, strict=True)),
            dict(zip(self.metrics, metrics, strict=True)),
        )

    def rows(self, split: Split | None = None) -> list[int]:
        """Numbers of the anchors of a split, or of all; the two splits share none."""
        if split is not None and split not in get_args(Split):
            raise ValueError(f"split is one of {', '.join(get_args(Split))}; got {split!r}")
        return [
            k
            for k in range(len(self.anchors))
            if split is None or (split == "held-out") == (k % HELD_OUT_EVERY == HELD_OUT_EVERY - 1)
        ]

    def draw(self, sheet: SpecSheet, rng: np.random.Generator, split: Split) -> dict[str, float]:
        """Targets that an anchor of the split meets; see `Task.sample_specs`."""
        rows = self.rows(split)
        anchor = self[rows[int(rng.integers(len(rows)))]]
        # One number for the whole sheet, so that some draws are tight everywhere and some are easy;
        # independent slacks alone would make every draw equally hard on average.
        widest = SLACK_LEAST + (SLACK_MOST - ROUNDING - SLACK_LEAST) * rng.random()
        return {
            s.metric: ease(s, anchor, SLACK_LEAST + (widest - SLACK_LEAST) * rng.random())
            for s in sheet
        }


def ease(spec: Spec, anchor: Anchor, slack: float) -> float:
    """The target that `anchor` meets with a margin of `slack`, rounded to the easy side.

    Rounding, to three digits of a ratio or of the tolerance, adds at most `ROUNDING` to the margin.
    """
    value = anchor.metrics[spec.metric]
    if spec.direction == "within":
        value = abs(value)
    sign = -1.0 if spec.direction == ">=" else 1.0
    if spec.tolerance is None:
        target = value * math.exp(sign * slack)
    else:
        target = value + sign * slack * spec.tolerance
    return round_towards(target, sign, resolution(spec, target, digits=3))


def resolution(spec: Spec, value: float, digits: int) -> float:
    """The decimal step that keeps so many digits of `value`, or of the spec's tolerance."""
    scale = abs(value) if spec.tolerance is None else spec.tolerance
    return 10.0 ** (math.floor(math.log10(scale)) - digits + 1) if scale > 0 else 1.0


def round_towards(value: float, sign: float, step: float) -> float:
    """The multiple of `step` next to `value`, above it for a positive sign, below for a negative."""
    multiple = math.ceil(value / step) if sign > 0 else math.floor(value / step)
    # Through decimal text, so that the float is the one that a person would write.
    return float(f"{multiple * step:.12g}")


def parse_split(specs: str) -> Split:
    """The split that `sampled`, `sampled:train` or `sampled:held-out` asks for; else InvalidSpec."""
    kind, colon, split = specs.partition(":")
    for known in get_args(Split):
        if kind == "sampled" and (split == known or (not colon and known == "train")):
            return known  # type: ignore[no-any-return]
    raise InvalidSpec(
        f"specs is a mapping of metrics to targets, 'sampled' or 'sampled:held-out'; got {specs!r}"
    )
