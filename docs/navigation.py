"""The order of the pages, read from the lists that a reader sees.

`index.md` lists the sections, and each section's page lists its pages: a line of a list, or a row of a
table, that begins with a link is an entry. So the pages stay plain Markdown, and what a code host shows
and what the site's navigation shows cannot differ.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent
FRONT = DOCS / "index.md"
_ENTRY = re.compile(r"^(?:- |\| )\[([^\]]+)\]\(([^)#:]+\.(?:md|rst))\)", re.MULTILINE)


def entries(page: Path) -> dict[Path, str]:
    """The pages that an index page lists, in order, with the words of their links."""
    found = _ENTRY.findall(page.read_text(encoding="utf-8"))
    return {(page.parent / target).resolve(): title for title, target in found}


def index_pages() -> tuple[Path, ...]:
    """The front page and the page of each section."""
    return (FRONT, *entries(FRONT))


def pages() -> set[Path]:
    """Every page that can be reached from the front page through the lists."""
    return {FRONT}.union(*(entries(page) for page in index_pages()))
