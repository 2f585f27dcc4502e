"""TRL: problems as an environment of `GRPOTrainer(environment_factory=...)`
(`pip install 'acs-gym[trl,train]'`).

TRL samples whole conversations, carries out their tool calls on the environment, and compares what
`get_reward` says at the end of those that share a prompt. Credit for single turns is
`tlgrpo.engines.trl`, which needs no environment class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acs_gym.simulation.pool import Simulator
from acs_gym.tools.definitions import FINISH, GM_ID, HISTORY, OPERATING_POINT, SIMULATE
from acs_gym.tools.problem import Problem, Work

try:
    from datasets import Dataset
except ImportError as error:
    raise ImportError(f"{__name__} needs TRL; run: pip install 'acs-gym[trl,train]'") from error


def dataset(problems: Sequence[Problem]) -> Dataset:
    """Rows of `prompt`, the conversation so far, and `problem`, which `reset` reads."""
    return Dataset.from_list([{"prompt": p.messages(), "problem": p.to_json()} for p in problems])


class SizingEnvironment:
    """One conversation at a time; TRL makes as many of these as it samples at once.

    TRL takes every public method but `reset` and `get_reward` for a tool, and its type hints and
    docstring for what the model is told.

    Attributes:
        work: the attempt that was last begun; its session has the history.
    """

    simulator: Simulator | None = None

    def __init__(self) -> None:
        self.work: Work | None = None

    def reset(self, problem: str, **_: Any) -> None:
        """Begin the problem of a row of the data set. Raises InvalidProblem."""
        self.work = Work(Problem.from_json(problem), simulator=self.simulator)

    def get_reward(self) -> float:
        """The best score of the conversation, in [0, 1]; 0 where nothing was simulated."""
        return 0.0 if self.work is None else self.work.score

    def simulate(self, designs: list[dict[str, float | str]]) -> str:
        """
        Simulate one or several designs; each costs one of the budget. Answers with every metric, the
        score, and the specs that are missed.

        Args:
            designs: Designs, each an object with all parameters of the circuit and their values.
        """
        return self._call(SIMULATE, {"designs": designs})

    def operating_point(self, design: int | None = None) -> str:
        """
        DC operating point of every transistor of a design that was simulated: id, gm, gm/id, vgs, vds,
        vdsat, the margin to the triode region. Free.

        Args:
            design: Its number; null for the last one simulated.
        """
        return self._call(OPERATING_POINT, {"design": design})

    def gm_id(
        self,
        device: str,
        l: float | str,  # noqa: E741
        gm_id: float | None = None,
        vds: float | None = None,
        vsb: float | None = None,
        corner: str | None = None,
    ) -> str:
        """
        gm/Id table of a transistor of this process, of the models that are simulated: Id/W in uA/um,
        gm/gds, fT, vgs, vdsat, Cgg/W. W = Id / (Id/W). Voltages are magnitudes. Free.

        Args:
            device: nfet, pfet or a transistor of the process.
            l: Its length.
            gm_id: 1/V; null for a row for each of several.
            vds: Drain-source voltage; null for half the supply.
            vsb: Source-bulk voltage; null for 0.
            corner: Process corner; null for typical.
        """
        arguments = {"device": device, "l": l, "gm_id": gm_id, "vds": vds, "vsb": vsb}
        return self._call(GM_ID, {**arguments, "corner": corner})

    def history(self) -> str:
        """
        Every design simulated so far, with its score and metrics. Free.
        """
        return self._call(HISTORY, {})

    def finish(self, summary: str) -> str:
        """
        End the work. The best design simulated counts; what is left of the budget is lost.

        Args:
            summary: What was achieved, in a sentence.
        """
        return self._call(FINISH, {"summary": summary})

    def _call(self, name: str, arguments: dict[str, Any]) -> str:
        if self.work is None:
            raise RuntimeError("reset(problem=...) comes before the first call")
        return self.work.call(name, arguments).answer.text
