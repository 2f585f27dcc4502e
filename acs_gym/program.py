"""How the programs of this project start: what Ctrl-C does while they import, and what they write.

Nothing here acts on a program that only imports these packages.
"""

from __future__ import annotations

import codecs
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import PurePath

OURS = ("acs_gym", "agents", "leaderboard", "tlgrpo")
ERRORS = "acs_gym.plain"
_WORDS = {
    "µ": "u", "μ": "u", "Ω": "Ohm", "°": " deg", "²": "2", "±": "+/-", "−": "-", "–": "-", "—": "-",
    "≤": "<=", "≥": ">=", "·": "-", "×": "x", "→": "->", "∞": "inf", "…": "...", "√": "sqrt",
    "σ": "sigma", "∓": "-/+", "✓": "yes", "✗": "no",
}  # fmt: skip


def end_at_once_while_importing() -> None:
    """Let Ctrl-C end a program of ours without a traceback until it has called `start`."""
    name = started(sys.orig_argv[1:])
    ours = name == "acs-gym" or name.split(".")[0] in OURS
    # A process that was told to ignore Ctrl-C, by its parent's choice, keeps ignoring it.
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(words: Sequence[str]) -> str:
    """The module after `-m`, or the script's file name; nothing of a script's own options.

    `words` are those after the interpreter's name, as in `sys.orig_argv`.
    """
    rest = iter(words)
    for word in rest:
        if word == "-m":
            return next(rest, "")
        if word in ("-W", "-X"):
            next(rest, None)
        elif word == "-c":
            return ""
        elif not word.startswith("-"):
            return PurePath(word).name
    return ""


def start() -> None:
    """Ctrl-C is an exception again, and what a stream cannot encode is spelled out."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=ERRORS)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_WORDS.get(character, "?") for character in missing), error.end


codecs.register_error(ERRORS, _spell)
