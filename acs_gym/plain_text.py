"""Output for a terminal or a pipe that cannot show every character.

Python ends with a traceback where a table's µ or ≤ meets a stream in ASCII or Latin-1. Programs call
`where_needed` first; nothing that imports this package has its streams changed.
"""

from __future__ import annotations

import codecs
import io
import sys

ERRORS = "acs_gym.plain"
_WORDS = {
    "µ": "u", "μ": "u", "Ω": "Ohm", "°": " deg", "²": "2", "±": "+/-", "−": "-", "–": "-", "—": "-",
    "≤": "<=", "≥": ">=", "·": "-", "×": "x", "→": "->", "∞": "inf", "…": "...", "√": "sqrt",
    "σ": "sigma", "∓": "-/+", "✓": "yes", "✗": "no",
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_WORDS.get(character, "?") for character in missing), error.end


codecs.register_error(ERRORS, _spell)


def where_needed() -> None:
    """Let standard output and error spell what they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=ERRORS)
