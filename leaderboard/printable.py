"""Text that a stranger wrote, for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with a mark for every character that steers a terminal or turns the line round."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
