"""The methods that exist, what each needs, and the factories the leaderboard's entry points name.

Importing this module, or building an agent from it, imports no optimisation library: that happens
when the agent meets its first task.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from acs_gym.design import Design
from acs_gym.task import Task
from acs_gym.wording import did_you_mean
from baselines.agent import AskTellAgent
from baselines.corner_aware import CornerAwareAgent
from baselines.failures import Track
from baselines.protocol import Optimizer
from baselines.start import read_sizing


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    Attributes:
        name, track: as its class says.
        location: `module:class`.
        summary: one line for lists.
        libraries: modules it imports, all of which must be there.
        extras: of this package, which bring them.
    """

    name: str
    location: str
    summary: str
    track: Track = "score"
    libraries: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def install(self) -> str:
        """What to type to make it available."""
        return f"pip install 'acs-gym[{','.join(self.extras)}]'" if self.extras else ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of its libraries that are not installed; nothing is imported."""
        return tuple(m for m in self.libraries if importlib.util.find_spec(m) is None)

    def require(self) -> None:
        """Raises ModuleNotFoundError with the line that installs what is missing."""
        if missing := self.missing:
            needs = " and ".join(missing)
            raise ModuleNotFoundError(f"{self.name} needs {needs}: {self.install}", name=missing[0])

    def load(self) -> type[Optimizer]:
        """The class; its module is imported. Raises what `require` raises."""
        self.require()
        module, _, attribute = self.location.partition(":")
        found: type[Optimizer] = getattr(importlib.import_module(module), attribute)
        return found

    def check(self, task: Task) -> None:
        """See `Optimizer.check`. A method of an optional library has none, and the import is saved."""
        if not self.libraries:
            self.load().check(task)

    def initial(self, task: Task, size: int, seed: int) -> list[Design]:
        """See `Optimizer.initial`."""
        return self.load().initial(task, size, seed)

    def for_task(self, task: Task, *, seed: int, initial: Sequence[Design]) -> Optimizer:
        """The method at work on a task; see `Optimizer.for_task`."""
        return self.load().for_task(task, seed=seed, initial=initial)


class _Needs(TypedDict):
    libraries: tuple[str, ...]
    extras: tuple[str, ...]


_SKOPT: _Needs = {"libraries": ("skopt",), "extras": ("skopt",)}
_BOTORCH: _Needs = {"libraries": ("torch", "botorch"), "extras": ("botorch",)}

METHODS = (
    Method("random", "baselines.random_search:RandomSearch", "Uniform random search"),
    Method("sobol", "baselines.sobol:Sobol", "Scrambled Sobol sequence"),
    Method(
        "skopt-gp", "baselines.skopt_gp:SkoptGP",
        "Gaussian process, expected improvement (scikit-optimize)", **_SKOPT,
    ),
    Method(
        "skopt-gp-hedge", "baselines.skopt_gp_hedge:SkoptGPHedge",
        "Gaussian process, a portfolio of acquisition functions (scikit-optimize)", **_SKOPT,
    ),
    Method(
        "skopt-forest", "baselines.skopt_forest:SkoptForest",
        "Extra trees, expected improvement (scikit-optimize)", **_SKOPT,
    ),
    Method(
        "composite-ei", "baselines.composite_ei:CompositeEI",
        "One GP a spec, the score a known function of them (numpy and scipy)", track="metrics",
    ),
    Method(
        "transfer", "baselines.transfer:Transfer",
        "composite-ei that starts from the circuit's designs in another process (transfer:RUNS)",
        track="metrics",
    ),
    Method(
        "botorch-logei", "baselines.botorch_logei:BotorchLogEI",
        "Gaussian process, log expected improvement (BoTorch)", **_BOTORCH,
    ),
    Method(
        "botorch-cei", "baselines.botorch_cei:BotorchCEI",
        "Log expected improvement of the score under one GP a spec (BoTorch)",
        track="metrics", **_BOTORCH,
    ),
    Method(
        "botorch-composite", "baselines.botorch_composite:BotorchComposite",
        "One GP a spec, the score a known function of them (BoTorch)", track="metrics", **_BOTORCH,
    ),
    Method("turbo", "baselines.turbo:TuRBO", "Trust region, Thompson sampling (PyTorch)", **_BOTORCH),
    Method(
        "scbo", "baselines.scbo:SCBO", "Constrained trust region, one GP a spec (PyTorch)",
        track="metrics", **_BOTORCH,
    ),
    Method(
        "optuna-tpe", "baselines.optuna_tpe:OptunaTPE", "Parzen estimator with constraints (Optuna)",
        track="metrics", libraries=("optuna",), extras=("optuna",),
    ),
    Method(
        "optuna-gp", "baselines.optuna_gp:OptunaGP", "Gaussian processes with constraints (Optuna)",
        track="metrics", libraries=("optuna", "torch"), extras=("optuna", "botorch"),
    ),
    Method(
        "cma-es", "baselines.cma_es:CMAES", "Covariance matrix adaptation (pycma)",
        libraries=("cma",), extras=("evo",),
    ),
    Method("de", "baselines.de:DifferentialEvolution", "Differential evolution, best/1/bin"),
    Method("constant", "baselines.constant:Constant", "Always the centre; checks the harness"),
    Method("oracle", "baselines.oracle:Oracle", "The task's shipped sizing; checks the harness"),
)  # fmt: skip


def get_method(name: str) -> Method:
    """The method called `name`. Raises KeyError naming the close ones."""
    for method in METHODS:
        if method.name == name:
            return method
    names = [m.name for m in METHODS]
    hint = did_you_mean(name, names)
    raise KeyError(f"no method called {name!r}; {hint}methods: {', '.join(names)}")


def _factory(name: str) -> Callable[..., AskTellAgent]:
    """What an entry point names: makes a fresh agent, or says which library it lacks.

    `--agents scbo:my_sizing.toml` calls it with the file of a sizing to start from.
    """
    method = get_method(name)

    def build(start_from: str | None = None) -> AskTellAgent:
        method.require()
        sizing = None if start_from is None else read_sizing(Path(start_from))
        return AskTellAgent(method, start_from=sizing)

    build.__doc__ = method.summary
    return build


def __getattr__(name: str) -> Callable[..., AskTellAgent]:
    """The factory of a method, as `baselines.registry:skopt_gp` in an entry point names it."""
    for method in METHODS:
        if method.name.replace("-", "_") == name:
            return _factory(method.name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def transfer(start_from: str | None = None) -> AskTellAgent:
    """composite-ei that starts from the circuit's designs in another process (transfer:RUNS)"""
    if start_from is None or Path(start_from).suffix in (".toml", ".json"):
        return _factory("transfer")(start_from)
    from baselines.transfer import FromTraces

    return AskTellAgent(FromTraces(Path(start_from)))


def corner_aware(around: str | None = None) -> CornerAwareAgent:
    """Sign-off over many conditions: a method at the few that matter, then all (corner-aware:METHOD)"""
    name, _, start_from = (around or "composite-ei").partition(":")
    if name not in _FACTORIES:
        if not Path(around or "").exists():
            raise ValueError(
                f"{around} is neither a file nor a method; methods: {', '.join(_FACTORIES)}"
            )
        name, start_from = "composite-ei", around or ""
    inner = _FACTORIES[name](start_from or None)
    return CornerAwareAgent(inner.method, start_from=inner.start_from)


_FACTORIES = {m.name: _factory(m.name) for m in METHODS} | {"transfer": transfer}
