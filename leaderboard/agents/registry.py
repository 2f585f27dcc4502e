"""Agent names to agents.

    sobol                     an id from the `leaderboard.agents` entry points: its factory is called
    llm:my_model.toml         an id and an argument: its factory is called with that text
    stdio:python mine.py      a command, in any language, that speaks docs/wire-protocol.md
    mcp:python mine.py        a command that is an MCP client, on the same page
    enough:ID                 an agent by any of these names, stopped soon after every spec is met
    container:stdio:COMMAND   either of them in the level of isolation `container`
    package.module:factory    anything that can be imported: called without arguments

A factory returns an agent. Third parties register theirs in their own package's metadata; nobody
changes this repository to be listed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from acs_gym.import_names import shared_names
from acs_gym.wording import did_you_mean
from leaderboard.agents.enough import NAME as ENOUGH
from leaderboard.agents.enough import Enough
from leaderboard.contract import Agent
from leaderboard.errors import LeaderboardError, unknown
from leaderboard.wire.isolation.levels import Container

GROUP = "leaderboard.agents"
DISTRIBUTION = "acs-gym"
# How an agent is reached, rather than which it is.
_TRANSPORTS = {
    "stdio": "leaderboard.wire.stdio:StdioAgent",
    "mcp": "leaderboard.wire.mcp:McpAgent",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One registered agent as `--list-agents` shows it; `problem` is empty when it can run."""

    id: str
    location: str
    summary: str
    problem: str


def registered() -> dict[str, importlib.metadata.EntryPoint]:
    """Id -> entry point of every registered agent; nothing is imported."""
    return {p.name: p for p in importlib.metadata.entry_points(group=GROUP)}


def build(spec: str) -> Agent:
    """A fresh agent of this name. Raises LeaderboardError saying what is wrong with the name.

    An exception of the factory itself becomes a LeaderboardError too, in the factory's words.
    """
    name, _, inner = spec.partition(":")
    if name == ENOUGH:
        return _stopped(spec, inner)
    factory, argument = _factory(spec)
    return _build(spec, factory, argument)


def origin(spec: str) -> str | None:
    """The distribution that registered this agent, as `acs-gym 0.1.0`; None where none did."""
    point = registered().get(spec.partition(":")[0])
    distribution = None if point is None else point.dist
    return None if distribution is None else f"{distribution.name} {distribution.version}"


def is_ours(spec: str) -> bool:
    """Whether an agent of this name is one that comes with this package."""
    return (origin(spec) or "").startswith(f"{DISTRIBUTION} ")


def listings() -> list[Listing]:
    """Every registered agent, by id, with what is missing where it cannot run."""
    found = []
    for name, point in sorted(registered().items()):
        summary, problem = "", ""
        try:
            factory, _ = _factory(name)
            summary = (inspect.getdoc(factory) or "").partition("\n")[0]
            _build(name, factory, None)
        except LeaderboardError as error:
            problem = str(error).removeprefix(f"agent {name}: ")
        found.append(Listing(name, point.value, summary, problem))
    return found


def _factory(spec: str) -> tuple[Callable[..., Any], str | None]:
    """The factory that a name means, and the argument that the name gives it."""
    points = registered()
    name, colon, argument = spec.partition(":")
    if name == Container.name:
        return _in_container(spec, argument)
    if name in _TRANSPORTS:
        return _import(spec, _TRANSPORTS[name]), argument
    if name in points:
        return _import(spec, points[name].value), argument if colon else None
    if not colon:
        error = unknown("agent", spec, points)
        raise LeaderboardError(f"{error}; or package.module:factory for one of your own")
    return _import(spec, spec), None


def _stopped(spec: str, inner: str) -> Agent:
    if not inner:
        raise LeaderboardError(f"agent {spec}: name who searches, e.g. {ENOUGH}:composite-ei")
    return Enough(build(inner))


def _in_container(spec: str, inner: str) -> tuple[Callable[..., Any], str]:
    transport, _, command = inner.partition(":")
    if transport not in _TRANSPORTS:
        forms = " or ".join(f"{Container.name}:{t}:COMMAND" for t in _TRANSPORTS)
        raise LeaderboardError(f"agent {spec}: only a command runs in a container; write {forms}")
    factory = _import(spec, _TRANSPORTS[transport])
    return functools.partial(factory, isolation=Container()), command


def _import(spec: str, location: str) -> Callable[..., Any]:
    module_name, _, attribute = location.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise LeaderboardError(
            f"agent {spec}: cannot import {module_name}: {_words(error)}{_names_shared()}"
        ) from error
    target: Any = module
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            hint = did_you_mean(part, dir(target), "; did you mean {}?")
            raise LeaderboardError(
                f"agent {spec}: {module_name} has no {attribute!r}{hint}{_names_shared()}"
            ) from None
    if not callable(target):
        raise LeaderboardError(
            f"agent {spec}: {attribute} is not callable; name a class or a function"
        )
    return target  # type: ignore[no-any-return]


def _names_shared() -> str:
    """A likely reason why something of ours cannot be imported; empty where it is none."""
    return "".join(f"; {sentence}" for sentence in shared_names())


def _build(spec: str, factory: Callable[..., Any], argument: str | None) -> Agent:
    if argument is not None and not inspect.signature(factory).parameters:
        name = spec.partition(":")[0]
        raise LeaderboardError(f"agent {spec}: {name} takes nothing after its name; write {name}")
    try:
        agent = factory() if argument is None else factory(argument)
    except (Exception, SystemExit) as error:
        raise LeaderboardError(f"agent {spec}: {_words(error)}") from error
    if not callable(getattr(agent, "run", None)):
        raise LeaderboardError(
            f"agent {spec}: {type(agent).__name__} has no run(session) method; see leaderboard.contract"
        )
    return agent  # type: ignore[no-any-return]


def _words(error: BaseException) -> str:
    """An exception on one line: the message alone where it speaks for itself."""
    text = " ".join(str(error).split())
    # A ValueError of a factory's is about what was given to it, and says so itself.
    speaks = isinstance(error, (ImportError, ValueError)) and text
    return text if speaks else f"{type(error).__name__}: {text}"
