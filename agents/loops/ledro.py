"""LEDRO: the model narrows the ranges of the parameters, a trust-region method searches within them.

Kochar, Wang, Chandrakasan and Zhang, "LEDRO: LLM-Enhanced Design Space Reduction and Optimization for
Analog Circuits", arXiv 2411.12930. TuRBO first gives calibration points in the whole space; then the
model sees the five best designs and answers with ranges, TuRBO searches there, and so on, as in the
paper. Where this differs, or the paper does not say:

* a search is 20 simulations or a third of the budget, whichever is less (the paper's run to hundreds
  and more), since a budget here is that of everybody;
* half of the calibration points are the initial designs that all optimisers share; TuRBO's own rules
  choose the rest;
* a search in new ranges is told of the designs that lie in them already, and a quarter of its
  simulations are fresh initial designs; while the ranges stay, the same TuRBO goes on;
* ranges may leave the earlier ones, so that a wrong cut can be taken back, and the model sees what
  came of each;
* an answer that cannot be used keeps the ranges as they are; the budget is used up all the same.

TuRBO is `baselines.turbo`, which needs `pip install 'acs-gym[botorch]'`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from acs_gym.design import Design, DesignSpace
from acs_gym.task import Task
from agents.config import LlmConfig
from agents.loops.loop import LoopAgent, Sizes, Work
from agents.loops.messages import best_designs, ranges_format, request_message, task_message
from agents.loops.ranges import inside, narrow, ranges_text, read_ranges
from agents.model import ChatModel
from baselines.initial import initial_designs
from baselines.protocol import Optimizer
from baselines.registry import get_method

_METHOD = "turbo"
_LEAST_SEARCHES = 3
_WORK = (
    "An optimiser simulates designs within ranges of the parameters, and you choose the ranges: narrow "
    "where you know what is good, wide where you do not."
)
_TITLE = "The best designs so far, in ascending order of score:"


@dataclass(frozen=True, slots=True)
class LedroSizes(Sizes):
    """How much of everything.

    Attributes:
        search: simulations between two answers of the model; at most a third of the budget.
        shown: best designs in a prompt.
        remembered: searches in a prompt, the latest.
    """

    search: int = 20
    shown: int = 5
    remembered: int = 5


@dataclass(frozen=True, slots=True)
class Search:
    """What came of one search.

    Attributes:
        space: where it looked.
        best: score among its designs.
    """

    space: DesignSpace
    best: float


class Ledro(LoopAgent[LedroSizes]):
    """The model chooses where TuRBO searches.

    Raises ModuleNotFoundError, saying what to install, without TuRBO's libraries.
    """

    id: ClassVar[str] = "ledro"
    default_sizes: ClassVar[LedroSizes] = LedroSizes()

    def __init__(
        self,
        config: LlmConfig | None = None,
        *,
        model: ChatModel | None = None,
        transcript: Path | None = None,
        sizes: LedroSizes | None = None,
    ) -> None:
        super().__init__(config, model=model, transcript=transcript, sizes=sizes)
        get_method(_METHOD).require()

    def _work(self, work: Work) -> str:
        length = min(self.sizes.search, max(1, work.remaining // _LEAST_SEARCHES))
        head = [task_message(work.task, _WORK)]
        how = ranges_format(work.task)
        space = work.space
        calibration = initial_designs(space, max(1, length // 2), work.seeds.initial)
        turbo = _turbo(space, work.seeds.method, calibration)
        searches = [_search(work, space, turbo, length)]
        note = ""
        while not work.over:
            shown = best_designs(work.session.history, self.sizes.shown)
            request = (
                f"{_searches_text(work.task, searches, self.sizes.remembered)}\n\n{note}"
                f"{work.remaining} simulations are left. Give the ranges for the next "
                f"{min(length, work.remaining)}. {how}."
            )
            limit = self.settings.context_tokens
            messages = request_message(work.task, limit, head, _TITLE, shown, request)
            answer = work.ask(messages, partial(read_ranges, work.task), how)
            note = ""
            if not answer.usable:
                note = (
                    f"Your last answer could not be used: {answer.complaint}. "
                    "The ranges before it were kept.\n"
                )
            elif (chosen := narrow(work.space, _ranges_of(space) | dict(answer.ranges))) != space:
                space = chosen
                # A seed of its own for every search, from the one seed of the method.
                sequence = np.random.SeedSequence((work.seeds.method, len(searches)))
                seed = int(sequence.generate_state(1)[0])
                turbo = _turbo(space, seed, initial_designs(space, max(1, length // 4), seed))
                turbo.tell([e for e in work.session.history if inside(space, e)])
            searches.append(_search(work, space, turbo, length))
        return work.over


def _turbo(space: DesignSpace, seed: int, initial: Sequence[Design]) -> Optimizer:
    return get_method(_METHOD).load()(space, seed=seed, initial=initial)


def _search(work: Work, space: DesignSpace, turbo: Optimizer, length: int) -> Search:
    """Ask, simulate and tell `length` designs, fewer when nothing more is to be done."""
    first = len(work.session.history)
    left = length
    while left and not work.over:
        batch = min(left, work.remaining, work.session.workers)
        turbo.tell(work.simulate(turbo.ask(batch)))
        left -= batch
    return Search(space, max((e.score for e in work.session.history[first:]), default=0.0))


def _ranges_of(space: DesignSpace) -> dict[str, tuple[float, float]]:
    return {p.name: (p.low, p.high) for p in space}


def _searches_text(task: Task, searches: Sequence[Search], count: int) -> str:
    """One line of JSON for each of the latest searches."""
    lines = [
        json.dumps(
            {"search": number, "ranges": ranges_text(task, s.space), "best_score": round(s.best, 4)},
            ensure_ascii=False, separators=(",", ":"),
        )
        for number, s in list(enumerate(searches, start=1))[-count:]
    ]  # fmt: skip
    return "The latest searches, the last one with the present ranges:\n" + "\n".join(lines)
