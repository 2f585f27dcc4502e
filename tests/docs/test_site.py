"""The pages as a whole: every one is in the navigation, every link leads somewhere, code can be typed."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import typer

import acs_gym
import acs_gym.cli
import leaderboard
from docs.navigation import DOCS, entries, index_pages, pages

ROOT = DOCS.parent
MARKDOWN = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/circuits/*.md", "docs/api/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```", re.M | re.S)
# The commands of tlgrpo import torch, which takes longer than all the others together.
_PACKAGES = ("leaderboard", "agents")
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")


def prose(page: Path) -> str:
    """A page without its blocks and without code in a line, where brackets are not links."""
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a heading is called in an address: its letters, digits and hyphens, in small."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.*?) *$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """(place, text) of every block in one of these languages."""
    for page in MARKDOWN:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if block[1] in languages:
                line = text.count("\n", 0, block.start()) + 1
                yield f"{page.relative_to(ROOT)}:{line}", block[2]


def test_every_page_is_listed_once() -> None:
    there = {*DOCS.glob("*.md"), *DOCS.glob("circuits/*.md"), *DOCS.glob("api/*.*")}
    assert pages() == there
    listed = [page for index in index_pages() for page in entries(index)]
    assert len(listed) == len(set(listed))


def test_every_link_and_anchor_leads_somewhere() -> None:
    lost = []
    for page in MARKDOWN:
        for link in _LINK.findall(prose(page)):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert not lost


@pytest.mark.parametrize("package", [acs_gym, leaderboard], ids=lambda p: p.__name__)
def test_every_public_name_is_in_the_reference(package: object) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api/*.rst"))
    named = set(re.findall(r"^\.\. (?:auto|py:)\w+:: (?:\w+\.)*(\w+)$", text, re.M))
    assert set(package.__all__) <= named


def test_every_module_of_the_reference_is_there() -> None:
    for page in DOCS.glob("api/*.rst"):
        for module in re.findall(r"^\.\. automodule:: (\S+)$", page.read_text(), re.M):
            assert importlib.util.find_spec(module), f"{page.name}: {module}"


def test_every_python_block_compiles() -> None:
    for place, text in blocks("python"):
        compile(text, place, "exec")


def typed() -> Iterator[tuple[str, list[str]]]:
    """(place, words) of every line of the shell blocks that starts a command of ours."""
    for place, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"\w+=", words[0]):
                del words[0]
            words = words[1:] if words[:1] == ["python"] else words
            ours = words[:1] == ["acs-gym"] or (
                words[:1] == ["-m"] and words[1].split(".")[0] in _PACKAGES
            )
            if ours and "..." not in words:
                yield place, words


@cache
def parser(program: str, name: str) -> click.Command:
    """What reads the options of `acs-gym NAME` or of `python -m NAME`."""
    if program == "-m":
        package = importlib.util.find_spec(name).submodule_search_locations is not None
        main = importlib.import_module(f"{name}.__main__" if package else name).main
    elif point := acs_gym.cli.brought().get(name):
        main = point.load()
    else:
        return typer.main.get_command(acs_gym.cli.app).get_command(None, name)
    app = typer.Typer()
    app.command()(main)
    return typer.main.get_command(app)


def test_every_command_line_is_one_that_its_program_understands() -> None:
    wrong, read = [], 0
    for place, words in typed():
        try:
            parser(*words[:2]).make_context(words[1], words[2:])
            read += 1
        except click.UsageError as error:
            # The reader's files are not here; what is checked is that they may be given there.
            if type(error) is not click.BadParameter:
                wrong.append(f"{place}: {' '.join(words)}: {error.format_message()}")
    assert not wrong and read > 60
