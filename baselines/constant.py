"""Always the centre of the design space: a check of the harness, and a floor below the floor."""

from __future__ import annotations

from typing import ClassVar

from acs_gym.design import Design
from baselines.protocol import Optimizer


class Constant(Optimizer):
    """The centre of the unit cube, whatever it is told; it ignores the initial designs."""

    name: ClassVar[str] = "constant"

    def ask(self, n: int = 1) -> list[Design]:
        self._initial.clear()
        return super().ask(n)

    def _propose(self, n: int) -> list[Design]:
        return [self.space.from_unit([0.5] * len(self.space)) for _ in range(n)]
