"""The methods that exist, what each needs, and the factories the leaderboard's entry points name.

Importing this module imports no optimisation library.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from dataclasses import dataclass

from baselines.agent import AskTellAgent
from baselines.protocol import Optimizer


@dataclass(frozen=True, slots=True)
class Method:
    """One method: where its class is, the library it needs, the extra that brings the library."""

    name: str
    location: str
    summary: str
    library: str | None = None
    extra: str | None = None

    @property
    def install(self) -> str:
        """What to type to make it available."""
        return f"pip install 'acs-gym[{self.extra}]'" if self.extra else "pip install acs-gym"

    @property
    def available(self) -> bool:
        return self.library is None or importlib.util.find_spec(self.library) is not None

    def load(self) -> type[Optimizer]:
        """The class. Raises ModuleNotFoundError with the line that installs what is missing."""
        if not self.available:
            raise ModuleNotFoundError(
                f"{self.name} needs {self.library}: {self.install}", name=self.library
            )
        module, _, attribute = self.location.partition(":")
        found: type[Optimizer] = getattr(importlib.import_module(module), attribute)
        return found


METHODS = (
    Method("random", "baselines.random_search:RandomSearch", "uniform in the unit cube"),
    Method("sobol", "baselines.sobol:Sobol", "scrambled Sobol sequence"),
    Method(
        "skopt-gp", "baselines.skopt_gp:SkoptGP", "Gaussian process, expected improvement",
        library="skopt", extra="skopt",
    ),
    Method("constant", "baselines.constant:Constant", "always the centre (harness check)"),
    Method("oracle", "baselines.oracle:Oracle", "the shipped reference (harness check)"),
)  # fmt: skip


def get_method(name: str) -> Method:
    """The method called `name`. Raises KeyError naming the close ones."""
    for method in METHODS:
        if method.name == name:
            return method
    names = [m.name for m in METHODS]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise KeyError(f"no method called {name!r}; {hint}methods: {', '.join(names)}")


def _agent(name: str) -> AskTellAgent:
    return AskTellAgent(get_method(name).load())


def random() -> AskTellAgent:
    """Uniform random search."""
    return _agent("random")


def sobol() -> AskTellAgent:
    """Scrambled Sobol sequence."""
    return _agent("sobol")


def skopt_gp() -> AskTellAgent:
    """Gaussian process with expected improvement (scikit-optimize)."""
    return _agent("skopt-gp")


def constant() -> AskTellAgent:
    """Always the centre of the design space; checks the harness."""
    return _agent("constant")


def oracle() -> AskTellAgent:
    """The task's shipped reference sizing; checks the harness."""
    return _agent("oracle")
