"""ADO-LLM: Bayesian optimisation and a language model propose in turn, each from what both found.

Yin, Wang, Xu and Li, "ADO-LLM: Analog Design Bayesian Optimization with In-Context Learning of Large
Language Models", ICCAD 2024, arXiv 2406.18770. The model writes the first designs from the task alone;
then every round it proposes from a few good designs, and a Gaussian process of all designs proposes
the rest. The numbers are those of the authors' published code: 5 first designs, 5 examples, and
1 design of the model to 4 of the optimiser in a round. Where this differs:

* the examples are not simply the best: of the 10 best, the best and those farthest from each other, since
  late in a run the best are all alike;
* the optimiser is `botorch-logei` of `baselines` (the paper: expected improvement and others), asked
  for as many designs at once as the session has workers, not for 4;
* the first designs are at most a quarter of the budget, and what the model leaves out of them comes
  from the initial designs that all optimisers share;
* a design outside its range is sent back to the model instead of being clipped;
* the model is told every metric, but not in which region each transistor works;
* a round without a usable answer simulates one random step from the best design instead; with the
  fifth such answer in a row the run ends, since it is Bayesian optimisation alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from agents.config import LlmConfig
from agents.loops.loop import LoopAgent, Sizes, Work
from agents.loops.messages import (
    Numbered,
    designs_format,
    diverse_designs,
    request_message,
    task_message,
)
from agents.loops.proposals import Proposals, read_proposals
from agents.model import ChatModel, Message
from baselines.initial import initial_designs
from baselines.protocol import Optimizer
from baselines.registry import get_method

_WORK = (
    "You propose designs in turn with Bayesian optimisation, which explores while you draw on what you "
    "know of circuits."
)
_TITLE = "Examples of designs simulated so far, in ascending order of score:"


@dataclass(frozen=True, slots=True)
class AdoLlmSizes(Sizes):
    """How much of everything.

    Attributes:
        initial: designs, at most, that the model is asked for before any simulation.
        examples: designs shown to the model.
        of_model, of_optimizer: designs of each in a round.
        unusable_steps: answers in a row with which the run ends.
        method: id of the optimiser in `baselines`.
    """

    initial: int = 5
    examples: int = 5
    of_model: int = 1
    of_optimizer: int = 4
    unusable_steps: int = 5
    method: str = "botorch-logei"


class AdoLlm(LoopAgent[AdoLlmSizes]):
    """The model and an optimiser in turn.

    Raises ModuleNotFoundError, saying what to install, without the optimiser's library.
    """

    id: ClassVar[str] = "ado-llm"
    default_sizes: ClassVar[AdoLlmSizes] = AdoLlmSizes()

    def __init__(
        self,
        config: LlmConfig | None = None,
        *,
        model: ChatModel | None = None,
        transcript: Path | None = None,
        sizes: AdoLlmSizes | None = None,
    ) -> None:
        super().__init__(config, model=model, transcript=transcript, sizes=sizes)
        self._method = get_method(self.sizes.method)
        self._method.require()

    def _work(self, work: Work) -> str:
        head = [task_message(work.task, _WORK)]
        self._begin(work, head)
        optimizer = self._method.for_task(work.task, seed=work.seeds.method, initial=[])
        told, note = 0, ""
        while not work.over:
            wanted = min(self.sizes.of_model, work.remaining)
            examples = diverse_designs(work.space, work.session.history, self.sizes.examples)
            answer = self._ask(work, head, wanted, examples, note)
            if work.unusable >= self.sizes.unusable_steps:
                return work.given_up
            note = work.carry_out(answer)
            optimizer.tell(work.session.history[told:])
            self._optimize(work, optimizer)
            told = len(work.session.history)
        return work.over

    def _begin(self, work: Work, head: Sequence[Message]) -> None:
        """The first designs: the model's, filled up with those that all optimisers share."""
        wanted = min(self.sizes.initial, max(1, work.remaining // 4))
        answer = self._ask(work, head, wanted, [], "")
        if answer.usable:
            work.simulate(answer.designs)
        missing = wanted - len(answer.designs)
        if missing:
            work.stand_in(initial_designs(work.space, wanted, work.seeds.initial)[:missing])

    def _ask(
        self,
        work: Work,
        head: Sequence[Message],
        wanted: int,
        examples: Sequence[Numbered],
        note: str,
    ) -> Proposals:
        how = designs_format(work.task)
        request = (
            f"{note}{work.remaining} simulations are left. Propose {wanted} new designs. {how}."
        )
        messages = request_message(
            work.task, self.settings.context_tokens, head,
            _TITLE if examples else "No design was simulated yet.", examples, request,
        )  # fmt: skip
        return work.ask(
            messages, partial(read_proposals, work.task, wanted=wanted, known=work.known), how
        )

    def _optimize(self, work: Work, optimizer: Optimizer) -> None:
        """The optimiser's part of a round; it is told of each batch before it is asked for the next."""
        left = self.sizes.of_optimizer
        while left and not work.over:
            batch = min(left, work.remaining, work.session.workers)
            optimizer.tell(work.simulate(optimizer.ask(batch)))
            left -= batch
