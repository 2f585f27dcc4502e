"""Targets that can be met together, because an actual design meets them.

A circuit folder may ship `targets.json`: per PDK a table of *anchors*, designs and the metrics they
were measured to have in tier `tt`. A draw takes an anchor and asks for a little less than it has of
everything, so the anchor itself is the proof that the targets are feasible. The table says which
anchors are held out, and no target drawn from those is met by a training anchor of the same table:
memory of the training designs does not answer them. `benchmarks/targets.py` makes the file; this
module reads it and draws. Knows no simulation.

A row of the file is one number in mixed radix, written in base 85: level 3 of the first column's
1,800, level 17 of the second's 40, and so on. That is close to the least that it can be, needs no
compression whose output depends on a library's version, and gives back every decimal exactly. A
checksum stands beside the rows, because nobody sees by eye that one of them is not what it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from acs_gym.design import Design, DesignSpace
from acs_gym.specs import InvalidSpec, Spec, SpecSheet

Split = Literal["train", "held-out"]
Numbers = tuple[float, ...]

# Margins that an anchor has to spare, at least and at most, in every spec drawn from it.
SLACK_LEAST, SLACK_MOST = 0.02, 0.5
# What rounding a target may cost, as a margin; part of SLACK_MOST.
ROUNDING = 0.01
# What writing a metric down may cost, as a margin: an anchor is that much better than it says.
FINENESS = 0.001
# Slacks of a held-out draw, as shares of the one drawn, until no training anchor meets the targets.
_SHARES = (1.0, 0.5, 0.25, 0.125, 0.0)
_MOST_LEVELS = 10**18


class TargetsNotFound(ValueError):
    """No sampled targets for this task; the message says where there are some, or what makes them."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A design and what it has of each spec'd metric (SI units), rounded to the worse side.

    Of a metric that is to be `within` a target, it is the magnitude.
    """

    design: Design
    metrics: dict[str, float]


class Column(BaseModel):
    """The numbers that one parameter or metric takes in a table, by their level.

    Attributes:
        name: of the parameter or metric.
        low: level 0.
        levels: how many there are.
        digits: levels count the positive decimals of so many significant digits, in order.
        exponent: instead of `digits`; levels count the multiples of ten to this power.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    low: Annotated[int, Field(ge=-_MOST_LEVELS, le=_MOST_LEVELS)]
    levels: Annotated[int, Field(ge=1, le=_MOST_LEVELS)]
    digits: Annotated[int, Field(ge=1, le=15)] | None = None
    exponent: Annotated[int, Field(ge=-400, le=400)] | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if (self.digits is None) == (self.exponent is None):
            raise ValueError(f"column {self.name}: give either digits or exponent")
        if not all(map(math.isfinite, (self.number(0), self.number(self.levels - 1)))):
            raise ValueError(f"column {self.name}: its numbers are too large")
        return self

    @classmethod
    def of(cls, name: str, numbers: Sequence[float]) -> Column:
        """The column that holds exactly these numbers in the fewest levels.

        Raises ValueError for numbers that no column holds: too far apart or of too many digits.
        """
        written = [_Decimal.of(number) for number in numbers]
        exponent = min((w.exponent for w in written if w.mantissa), default=0)
        columns: list[tuple[int, int, int | None, int | None]] = []
        counts = [w.count(exponent) for w in written]
        if _is_short(counts) and exponent >= -400:
            columns.append((min(counts), max(counts), None, exponent))
        digits = max(len(str(w.mantissa)) for w in written)
        if all(w.mantissa > 0 for w in written) and digits <= 15:
            ranks = [w.rank(digits) for w in written]
            columns.append((min(ranks), max(ranks), digits, None))
        if not columns:
            raise ValueError(f"{name}: numbers from {min(numbers):.3g} to {max(numbers):.3g} in "
                             f"{digits} digits do not fit into one column")  # fmt: skip
        low, high, chosen, chosen_exponent = min(columns, key=lambda c: c[1] - c[0])
        return cls(
            name=name, low=low, levels=high - low + 1, digits=chosen, exponent=chosen_exponent
        )

    def number(self, level: int) -> float:
        """The float that a person would have written for this level."""
        if self.digits is None:
            return float(f"{self.low + level}e{self.exponent}")
        least = 10 ** (self.digits - 1)
        exponent, above = divmod(self.low + level, 9 * least)
        return float(f"{least + above}e{exponent}")

    def level(self, number: float) -> int:
        """Its inverse, for a number that the column was made of."""
        written = _Decimal.of(number)
        if self.digits is None:
            assert self.exponent is not None
            return written.count(self.exponent) - self.low
        return written.rank(self.digits) - self.low


@dataclass(frozen=True, slots=True)
class _Decimal:
    """A float as the shortest decimal that reads as it: mantissa * 10**exponent, zero as 0 * 1."""

    mantissa: int
    exponent: int

    @classmethod
    def of(cls, number: float) -> _Decimal:
        sign, digits, exponent = Decimal(repr(float(number))).normalize().as_tuple()
        if not isinstance(exponent, int):
            raise ValueError(f"{number} is not a finite number")
        mantissa = int("".join(map(str, digits)))
        return cls(-mantissa if sign else mantissa, exponent if mantissa else 0)

    def count(self, exponent: int) -> int:
        """How many times ten to that power it is; `exponent` is not above its own."""
        return self.mantissa * int(10 ** (self.exponent - exponent)) if self.mantissa else 0

    def rank(self, digits: int) -> int:
        """Its place among the positive decimals of so many digits; that of 1.00 is one of many."""
        padding = digits - len(str(self.mantissa))
        least = int(10 ** (digits - 1))
        return (self.exponent - padding) * 9 * least + self.mantissa * int(10**padding) - least


def _is_short(counts: Sequence[int]) -> bool:
    return max(map(abs, counts)) < _MOST_LEVELS and max(counts) - min(counts) < _MOST_LEVELS


def pack(columns: Sequence[Column], numbers: Sequence[float]) -> str:
    """A row of numbers, one of each column, as text of `width(columns)` characters."""
    packed = 0
    for column, number in zip(columns, numbers, strict=True):
        packed = packed * column.levels + column.level(number)
    return base64.b85encode(packed.to_bytes(_bytes(columns))).decode("ascii")


def unpack(columns: Sequence[Column], row: str) -> Numbers:
    """Its inverse; raises ValueError for text that is no such row."""
    if len(row) != width(columns):
        raise ValueError(f"{len(row)} characters long, expected {width(columns)}")
    packed = int.from_bytes(base64.b85decode(row))
    numbers = []
    for column in reversed(columns):
        packed, level = divmod(packed, column.levels)
        numbers.append(column.number(level))
    if packed:
        raise ValueError("beyond the last level of its columns")
    return tuple(reversed(numbers))


def width(columns: Sequence[Column]) -> int:
    """Characters of a row."""
    fives, rest = divmod(_bytes(columns), 4)
    return 5 * fives + (rest + 1 if rest else 0)


def _bytes(columns: Sequence[Column]) -> int:
    return ((math.prod(c.levels for c in columns) - 1).bit_length() + 7) // 8


class AnchorTable(BaseModel):
    """The anchors of a circuit on one PDK; `targets.json` maps PDKs to such tables.

    Attributes:
        command: what made the table.
        program: key of the program that they were measured with; another one measures other
            metrics, and the table is of no use to it.
        parameters, metrics: the columns of a row, its design and what that has.
        train, held_out: one row an anchor, see `pack`.
        checksum: of columns and rows, see `checksum_of`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: str
    program: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    checksum: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    parameters: Annotated[tuple[Column, ...], Field(min_length=1)]
    metrics: Annotated[tuple[Column, ...], Field(min_length=1)]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    held_out: Annotated[tuple[str, ...], Field(min_length=1)]

    @classmethod
    def of(
        cls, command: str, program: str, train: Sequence[Anchor], held_out: Sequence[Anchor]
    ) -> AnchorTable:
        """The table of these anchors, all with the same parameters and metrics in the same order.

        Raises ValueError where there are none, or for numbers that no column holds.
        """
        anchors = [*train, *held_out]
        if not train or not held_out:
            raise ValueError("a table has anchors to train on and some that are held out")
        designs, metrics = ([a.design for a in anchors], [a.metrics for a in anchors])
        halves = []
        for records in (designs, metrics):
            names = list(records[0])
            halves.append(tuple(Column.of(n, [record[n] for record in records]) for n in names))
        columns = halves[0] + halves[1]
        rows = [
            pack(columns, (*design.values(), *has.values()))
            for design, has in zip(designs, metrics, strict=True)
        ]
        return cls(
            command=command,
            program=program,
            checksum=checksum_of(columns, rows),
            parameters=halves[0],
            metrics=halves[1],
            train=tuple(rows[: len(train)]),
            held_out=tuple(rows[len(train) :]),
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.parameters + self.metrics

    def rows(self, split: Split | None = None) -> tuple[str, ...]:
        """The rows of a split, or of all. Raises ValueError for an unknown split."""
        if split is None:
            return self.train + self.held_out
        if split not in get_args(Split):
            raise ValueError(f"split is one of {', '.join(get_args(Split))}; got {split!r}")
        return self.train if split == "train" else self.held_out

    def anchors(self, split: Split | None = None) -> tuple[Anchor, ...]:
        """The anchors of a split, or of all; raises what `rows` and `unpack` raise."""
        return tuple(self._anchor(row) for row in self.rows(split))

    def _anchor(self, row: str) -> Anchor:
        numbers = unpack(self.columns, row)
        names, split = [c.name for c in self.columns], len(self.parameters)
        return Anchor(
            dict(zip(names[:split], numbers[:split], strict=True)),
            dict(zip(names[split:], numbers[split:], strict=True)),
        )

    def check_form(self, space: DesignSpace, sheet: SpecSheet) -> None:
        """What is looked at whenever a circuit is read: whose the table is, and whether it is whole.

        Raises ValueError, naming the field. Decodes nothing, so it costs no more than reading the
        file; `check` looks at every anchor.
        """
        for field, columns, wanted in (
            ("parameters", self.parameters, space.names),
            ("metrics", self.metrics, sheet.metrics),
        ):
            given = tuple(c.name for c in columns)
            if given != wanted:
                raise ValueError(
                    f"{field}: the table is of {', '.join(given)}, the circuit has "
                    f"{', '.join(wanted)}; delete the file and make it anew"
                )
        if self.checksum != checksum_of(self.columns, self.rows()):
            raise ValueError(
                "checksum: the rows are not those that were written; take the file from where it "
                "came, or delete it and make it anew"
            )

    def check_once(self, space: DesignSpace, sheet: SpecSheet) -> None:
        """`check`, remembered for as long as nothing that it depends on is another."""
        # The targets of this sheet may have been drawn themselves, and are no part of the question.
        asked = tuple(s if s.fixed else replace(s, target=1.0) for s in sheet)
        _check_once(self, space, SpecSheet(asked))

    def check(self, space: DesignSpace, sheet: SpecSheet) -> None:
        """Raises ValueError, naming the field, where the table does not fit the circuit.

        Every anchor is a design of `space`, targets can be drawn from it, and it meets the fixed
        specs; no training anchor meets the hardest targets that a held-out one may be asked for.
        """
        self.check_form(space, sheet)
        for field, rows in (("train", self.train), ("held_out", self.held_out)):
            for k, row in enumerate(rows):
                try:
                    _check(self._anchor(row), space, sheet)
                except ValueError as error:
                    raise ValueError(f"{field}.{k}: {error}") from None
        if given_away := self.given_away(sheet):
            k, by = next(iter(given_away.items()))
            raise ValueError(
                f"held_out.{k}: train.{by} meets every target that can be drawn from it"
                + (f"; so it is with {len(given_away) - 1} more" if len(given_away) > 1 else "")
            )

    def given_away(self, sheet: SpecSheet) -> dict[int, int]:
        """Held-out rows whose hardest targets a training row meets: their numbers, and its."""
        found = {}
        for k, anchor in enumerate(self.anchors("held-out")):
            met = self.met_in_training(sheet, targets_of(sheet, anchor, [SLACK_LEAST] * len(sheet)))
            if len(met):
                found[k] = int(met[0])
        return found

    def draw(self, sheet: SpecSheet, rng: np.random.Generator, split: Split) -> dict[str, float]:
        """Targets that an anchor of the split meets; see `Task.sample_specs`."""
        anchor, slacks = self.draw_freely(sheet, rng, split)
        for share in _SHARES:
            closer = [SLACK_LEAST + share * (slack - SLACK_LEAST) for slack in slacks]
            targets = targets_of(sheet, anchor, closer)
            if split == "train" or not len(self.met_in_training(sheet, targets)):
                break
        return targets

    def draw_freely(
        self, sheet: SpecSheet, rng: np.random.Generator, split: Split
    ) -> tuple[Anchor, list[float]]:
        """An anchor of the split, and a slack for every spec, whatever a training anchor meets."""
        anchor = self._anchor(self.rows(split)[self.chosen(rng, split)])
        # One number for the whole sheet, so that some draws are tight everywhere and some are easy;
        # independent slacks alone would make every draw equally hard on average.
        widest = SLACK_LEAST + (SLACK_MOST - ROUNDING - SLACK_LEAST) * rng.random()
        return anchor, [SLACK_LEAST + (widest - SLACK_LEAST) * rng.random() for _ in sheet]

    def chosen(self, rng: np.random.Generator, split: Split) -> int:
        """The number of the row that a draw with that generator is made from; its first use of it."""
        return int(rng.integers(len(self.rows(split))))

    def met_in_training(self, sheet: SpecSheet, targets: Mapping[str, float]) -> NDArray[np.intp]:
        """Numbers of the training rows that meet the targets, or may for all that is written."""
        asked = np.array([rating(s, targets[s.metric]) for s in sheet])
        has = _ratings(self, tuple(replace(s, target=1.0) for s in sheet))
        return np.flatnonzero((has + FINENESS + 1e-9 >= asked).all(axis=1))


@lru_cache(maxsize=64)
def _check_once(table: AnchorTable, space: DesignSpace, sheet: SpecSheet) -> None:
    table.check(space, sheet)


@lru_cache(maxsize=64)
def _ratings(table: AnchorTable, specs: tuple[Spec, ...]) -> NDArray[np.float64]:
    """What the training anchors have, shape (rows, specs); kept, for every held-out draw asks."""
    return np.array(
        [[rating(s, a.metrics[s.metric]) for s in specs] for a in table.anchors("train")]
    )


def checksum_of(columns: Sequence[Column], rows: Sequence[str]) -> str:
    """sha256 of what a table's rows are and how they are to be read."""
    read_as = [[c.name, c.low, c.levels, c.digits, c.exponent] for c in columns]
    return hashlib.sha256(json.dumps([read_as, list(rows)]).encode()).hexdigest()


def _check(anchor: Anchor, space: DesignSpace, sheet: SpecSheet) -> None:
    """Raises ValueError for an anchor that is no design, or that has no targets to give."""
    if space.canonicalize(anchor.design) != anchor.design:
        raise ValueError("its design is off the grid of the parameters")
    sheet.with_targets(targets_of(sheet, anchor, [SLACK_LEAST] * len(sheet)))
    for spec in sheet:
        if spec.fixed and not spec.margin(anchor.metrics[spec.metric]) >= 0:
            raise ValueError(
                f"{spec.metric} = {anchor.metrics[spec.metric]:.6g} misses the fixed spec "
                f"{spec.text()}"
            )


def targets_of(sheet: SpecSheet, anchor: Anchor, slacks: Sequence[float]) -> dict[str, float]:
    """The targets that `anchor` meets with so much margin each; fixed specs keep their own."""
    return {
        s.metric: s.target if s.fixed else ease(s, anchor, slack)
        for s, slack in zip(sheet, slacks, strict=True)
    }


def rating(spec: Spec, value: float) -> float:
    """How good a value is, in units of the spec's margin, counted from one that depends on nothing.

    So a metric meets a target where it is rated as high, and by the difference.
    """
    sign = 1.0 if spec.direction == ">=" else -1.0
    if spec.direction == "within":
        value = abs(value)
    if spec.tolerance is not None:
        return sign * value / spec.tolerance
    return sign * math.log(value) if value > 0 else -sign * math.inf


def ease(spec: Spec, anchor: Anchor, slack: float) -> float:
    """The target that `anchor` meets with a margin of `slack`, rounded to the easy side.

    Rounding, to three digits of a ratio or of the tolerance, adds at most `ROUNDING` to the margin.
    """
    value = anchor.metrics[spec.metric]
    sign = -1.0 if spec.direction == ">=" else 1.0
    if spec.tolerance is None:
        target = value * math.exp(sign * slack)
    else:
        target = value + sign * slack * spec.tolerance
    return round_towards(target, sign, resolution(spec, target, digits=3))


def written(spec: Spec, value: float) -> float:
    """A metric as an anchor has it: a four-digit decimal, on the worse side of what was measured.

    Four digits of a ratio or of the tolerance, which costs at most `FINENESS` of margin.
    """
    if spec.direction == "within":
        value = abs(value)
    sign = -1.0 if spec.direction == ">=" else 1.0
    return round_towards(value, sign, resolution(spec, value, digits=4))


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
