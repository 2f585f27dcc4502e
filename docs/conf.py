"""How Sphinx makes a site of these pages: `make docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Number, Text

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import acs_gym  # noqa: E402
from docs.navigation import entries, index_pages  # noqa: E402

project = "ACS-Gym"
author = "The ACS-Gym developers"
project_copyright = author
release = acs_gym.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["circuit_pages", "_build"]

# The anchors that code hosts give to headings.
myst_heading_anchors = 4

# A name in single backticks leads to its entry, where there is one; otherwise it is code.
default_role = "py:obj"
add_module_names = False
python_maximum_signature_line_length = 72
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = "ACS-Gym"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "header_links_before_dropdown": 11,
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}


class SpiceLexer(RegexLexer):
    """Enough of SPICE for a page: comments, directives, numbers."""

    name = "SPICE"
    aliases = ("spice",)
    flags = re.MULTILINE | re.IGNORECASE
    tokens = {  # noqa: RUF012
        "root": [
            (r"^\s*\*.*$", Comment),
            (r"[;$] .*$", Comment),
            (r"^\s*\.\w+", Keyword),
            (r"(?<![\w.])[+-]?\d+(\.\d*)?(e[+-]?\d+)?[a-z]*", Number),
            (r"\w+|\s+|.", Text),
        ]
    }


_OUTSIDE = re.compile(r"\[([^\]\n]+)\]\((\.\./[^)#:\s]+)\)")


def _read(app: Any, docname: str, source: list[str]) -> None:
    """An index page's list is its navigation, and what is no page of the site is no link."""
    page = Path(app.env.doc2path(docname))

    def only_within(link: re.Match[str]) -> str:
        target = (page.parent / link[2]).resolve()
        kept = target.is_relative_to(DOCS) or (target.is_file() and target.suffix != ".md")
        return link[0] if kept else link[1]

    text = _OUTSIDE.sub(only_within, source[0])
    if page in index_pages():
        listed = "\n".join(
            f"{title} </{path.relative_to(DOCS).with_suffix('')}>"
            for path, title in entries(page).items()
        )
        text += f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    source[0] = text


def _as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """An indented paragraph of a docstring is code or a table, and stays as it was typed."""
    before = ""
    for number, line in reversed(list(enumerate(lines))):
        before = next((text for text in reversed(lines[:number]) if text), "")
        blank = number > 0 and not lines[number - 1]
        if blank and line.startswith("  ") and before and not before.startswith(" "):
            table = any(re.search(r"\S  +\S", text) for text in lines[number:])
            lines[number:number] = [".. code-block:: text" if table else "::", ""]


def _mark_wide(app: Any, doctree: Any) -> None:
    """Tables of many columns are laid out for scrolling (static/site.css)."""
    for table in doctree.findall(nodes.table):
        if len(list(table.findall(nodes.colspec))) > 6:
            table["classes"].append("wide")


def setup(app: Any) -> None:
    app.add_lexer("spice", SpiceLexer)
    app.connect("source-read", _read)
    app.connect("doctree-read", _mark_wide)
    # Before napoleon, which reads the same lines.
    app.connect("autodoc-process-docstring", _as_written, priority=400)
