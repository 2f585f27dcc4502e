"""OPRO on a circuit: the model is the optimiser, and all it sees are the best designs so far.

Yang, Wang, Lu, Liu, Le, Zhou and Chen, "Large Language Models as Optimizers", arXiv 2309.03409 (ICLR
2024). Every step shows the task and the 20 best designs in ascending order of score, as the paper does,
and what the model answers is simulated. Where this differs:

* the paper asks 8 times a step for one solution each; here one reply holds 4 designs, which costs
  one prompt instead of many. The sampling temperature is that of the configuration (the paper: 1);
* a design is shown with its metrics and the specs it misses, not with its score alone;
* the paper's experiments start from 5 random points; here they are the first of the initial designs
  that all optimisers share, at most a quarter of the budget;
* a step without a usable answer simulates one random step from the best design instead; after the
  fifth such step in a row the run ends, since it is the model's no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from agents.loops.loop import LoopAgent, Sizes, Work
from agents.loops.messages import best_designs, designs_format, request_message, task_message
from agents.loops.proposals import read_proposals
from baselines.initial import default_size, initial_designs

_WORK = (
    "You are the optimiser: you see the best designs so far and propose others that score higher."
)
_TITLE = "The best designs so far, in ascending order of score:"


@dataclass(frozen=True, slots=True)
class OproSizes(Sizes):
    """How much of everything.

    Attributes:
        designs_per_step: asked of the model at once.
        shown: the best designs, at most, in a prompt; fewer where they do not fit the context.
        initial: designs, at most, that are simulated before the model is asked.
        unusable_steps: in a row, with which the run ends.
    """

    designs_per_step: int = 4
    shown: int = 20
    initial: int = 5
    unusable_steps: int = 5


class Opro(LoopAgent[OproSizes]):
    """The model proposes every design but the first few."""

    id: ClassVar[str] = "opro"
    default_sizes: ClassVar[OproSizes] = OproSizes()

    def _work(self, work: Work) -> str:
        task, sizes = work.task, self.sizes
        count = min(sizes.initial, default_size(work.remaining, len(work.space)))
        work.simulate(initial_designs(work.space, count, work.seeds.initial))
        head = [task_message(task, _WORK)]
        how = designs_format(task)
        note = ""
        while not work.over:
            wanted = min(sizes.designs_per_step, work.remaining)
            request = (
                f"{note}{work.remaining} simulations are left. Propose {wanted} new designs that differ "
                f"from all above and score higher. {how}."
            )
            shown = best_designs(work.session.history, sizes.shown)
            limit = self.settings.context_tokens
            messages = request_message(task, limit, head, _TITLE, shown, request)
            read = partial(read_proposals, task, wanted=wanted, known=work.known)
            answer = work.ask(messages, read, how)
            if work.unusable >= sizes.unusable_steps:
                return work.given_up
            note = work.carry_out(answer)
        return work.over
