"""What `make` installs: the versions of constraints.txt, each file held to a hash, torch apart."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
WRITE_ANEW = "run: bash scripts/lock.sh"
EXTRA = {"setup": "skopt", "develop": "dev", "docs": "docs"}
# torch's builds differ by machine, and pip is there before anything is installed.
APART = {"torch", "pip"}


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Version by normalised name; every line must be NAME==VERSION, with or without a marker."""
    read = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in read}


def entries(name: str) -> dict[str, list[str]]:
    """The hashes of every requirement of a file of requirements/, by the requirement."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text().replace("\\\n", "")
    lines = [line.split("--hash=") for line in text.splitlines() if not line.startswith("#")]
    return {first.strip(): [h.strip() for h in hashes] for first, *hashes in lines}


def asked(extra: str, project: dict[str, dict[str, list[str]]]) -> Iterator[Requirement]:
    """What an extra requires by name, through the extras that it names in turn."""
    for requirement in map(Requirement, project["optional-dependencies"][extra]):
        if requirement.name == "acs-gym":
            for other in sorted(requirement.extras):
                yield from asked(other, project)
        else:
            yield requirement


@pytest.mark.parametrize("name", EXTRA)
def test_every_requirement_is_held_to_hashes_and_no_line_says_where_to_fetch_it(name: str) -> None:
    for requirement, hashes in entries(name).items():
        assert re.match(r"[a-z0-9.-]+==\S+", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), requirement
    assert "://" not in (REPOSITORY / "requirements" / f"{name}.txt").read_text()


def test_the_versions_are_those_of_the_constraints() -> None:
    constraints = pins((REPOSITORY / "constraints.txt").read_text().splitlines())
    installed = pins(entries("develop")) | pins(entries("docs"))
    assert installed | {"torch": constraints["torch"]} == constraints, WRITE_ANEW
    for name in EXTRA:
        assert pins(entries(name)).items() <= installed.items(), WRITE_ANEW


@pytest.mark.parametrize("name", EXTRA)
def test_what_the_project_asks_for_is_there_and_fits(name: str) -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    project = declared["project"]
    built_with = map(Requirement, declared["build-system"]["requires"])
    base = map(Requirement, project["dependencies"])
    pinned = pins(entries(name))
    for requirement in [*built_with, *base, *asked(EXTRA[name], project)]:
        if requirement.name not in APART:
            version = pinned.get(canonicalize_name(requirement.name))
            assert version, f"{requirement} is not in requirements/{name}.txt; {WRITE_ANEW}"
            assert requirement.specifier.contains(version, prereleases=True), requirement


def test_every_extra_is_developed_with() -> None:
    """Or tested in an environment of its own, where it clashes with the rest."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    apart = REPOSITORY / "tests" / "frameworks" / "requirements"
    known = pins(entries("develop")) | pins(entries("docs"))
    for path in apart.iterdir():
        known |= pins(line for line in path.read_text().splitlines() if "==" in line)
    named = {r.name for extra in extras["optional-dependencies"] for r in asked(extra, extras)}
    assert {canonicalize_name(n) for n in named} - {"torch"} <= set(known)


def test_make_installs_by_hash_and_never_from_two_indexes_at_once() -> None:
    for name in EXTRA:
        assert f"$(HASHED) requirements/{name}.txt" in MAKEFILE
    assert re.search(r"^HASHED := .*--require-hashes.*--no-deps", MAKEFILE, re.MULTILINE)
    assert "--extra-index-url" not in MAKEFILE
    # What is not held to hashes: the project itself, and torch, whose builds differ by machine.
    installs = [line for line in MAKEFILE.splitlines() if "$(PIP) install" in line]
    assert sum("$(HASHED)" not in line for line in installs) == 2
