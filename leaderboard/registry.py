"""Agent names to agents: an id from the `leaderboard.agents` entry points, or `package.module:factory`.

A factory is called with no arguments and returns an agent. Third parties register theirs in their
own package's metadata; nobody changes this repository to be listed.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leaderboard.contract import Agent
from leaderboard.errors import LeaderboardError, unknown

GROUP = "leaderboard.agents"


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
    return _build(spec, _factory(spec))


def listings() -> list[Listing]:
    """Every registered agent, by id, with what is missing where it cannot run."""
    found = []
    for name, point in sorted(registered().items()):
        summary, problem = "", ""
        try:
            factory = _factory(name)
            summary = (inspect.getdoc(factory) or "").partition("\n")[0]
            _build(name, factory)
        except LeaderboardError as error:
            problem = str(error).removeprefix(f"agent {name}: ")
        found.append(Listing(name, point.value, summary, problem))
    return found


def _factory(spec: str) -> Callable[[], Any]:
    if ":" not in spec:
        points = registered()
        if spec not in points:
            error = unknown("agent", spec, points)
            raise LeaderboardError(f"{error}; or package.module:factory for one of your own")
        location = points[spec].value
    else:
        location = spec
    module_name, _, attribute = location.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise LeaderboardError(
            f"agent {spec}: cannot import {module_name}: {_words(error)}"
        ) from error
    target: Any = module
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(target), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise LeaderboardError(
                f"agent {spec}: {module_name} has no {attribute!r}{hint}"
            ) from None
    if not callable(target):
        raise LeaderboardError(
            f"agent {spec}: {attribute} is not callable; name a class or a function"
        )
    return target  # type: ignore[no-any-return]


def _build(spec: str, factory: Callable[[], Any]) -> Agent:
    try:
        agent = factory()
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
    return text if isinstance(error, ImportError) and text else f"{type(error).__name__}: {text}"
