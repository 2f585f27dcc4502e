"""What is read from a circuit folder, and how a person is told what is wrong.

A folder may come from a stranger. Nothing but its own small text files is read: no links to elsewhere,
no devices, nothing huge. What is wrong is a `Problem`, with file, line and field, so that all of a
folder's problems can be listed at once instead of one a run. Knows nothing of circuits.
"""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

LONGEST_FILE = 200_000
DEEPEST = 16
Location = tuple[str | int, ...]
Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a folder, or worth a look.

    Attributes:
        where: the file, with the line where there is one: `circuit.toml:12`.
        message: what was found, and what is allowed or usual.
        field: of the file, e.g. `parameter.0.low`; may be empty.
        level: an `error` makes the folder unusable.
    """

    where: str
    message: str
    field: str = ""
    level: Level = "error"

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.field, self.message) if part)


class Unreadable(ValueError):
    """A file that is not read; the message says why, without the file's name."""


def read_text(path: Path, longest: int = LONGEST_FILE) -> str:
    """The text of a file of the folder `path.parent`. Raises Unreadable."""
    try:
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise Unreadable(
                "a link to a place outside the folder; refused, a circuit reads only its own files"
            )
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        if status.st_size > longest:
            raise Unreadable(f"{status.st_size} bytes long; at most {longest} are read")
        return path.read_text(encoding="utf-8-sig")  # Some editors begin a file with a mark.
    except FileNotFoundError:
        raise Unreadable("no such file; a circuit folder needs it") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 text (byte {error.start})") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13.
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


# Strings and comments of a TOML text, whether or not they end, so that each character is read once.
_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.?)*?(?:"{3,5}|\Z)|"(?:[^"\\\n]|\\.)*+"?'
    r"|'''.*?(?:'{3,5}|\Z)|'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
_DEEP_KEY = re.compile(rf'(?<![\w"-])(?:[\w"-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}')


def parse_toml(text: str) -> dict[str, Any]:
    """The data of a TOML text that may come from anybody. Raises Unreadable.

    Keys and brackets go at most `DEEPEST` deep. That is seen to first: for what is deeper, reading it
    and finding its lines take time with the square of the depth, and a parser runs out of stack.
    """
    bare = _TEXTS.sub(_without_text, text)
    if key := _DEEP_KEY.search(bare):
        raise _too_deep(f"a key has more than {DEEPEST} parts", bare, key.start())
    depth = 0
    for bracket in re.finditer(r"[\[{\]}]", bare):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST:
            raise _too_deep(f"brackets more than {DEEPEST} deep", bare, bracket.start())
    try:
        return tomllib.loads(text)
    except ValueError as error:  # A number of thousands of digits is no TOMLDecodeError.
        raise Unreadable(f"not TOML: {error}") from None


def _without_text(match: re.Match[str]) -> str:
    """A string without what it says, or nothing for a comment; lines stay lines."""
    return ('""' if match[0][0] in "\"'" else "") + "\n" * match[0].count("\n")


def _too_deep(what: str, bare: str, position: int) -> Unreadable:
    return Unreadable(
        f"{what} (at line {bare.count(chr(10), 0, position) + 1}); none needs so many"
    )


@dataclass(frozen=True)
class TomlFile:
    """A TOML file that was read: its data, and where in its text a field stands.

    `notes` name what else a field comes from, behind its line.
    """

    name: str
    data: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)
    notes: dict[Location, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> TomlFile:
        """Raises Unreadable; for a syntax error its message ends in the line, as tomllib gives it."""
        text = read_text(path)
        return cls(path.name, parse_toml(text), locate(text))

    def where(self, *location: str | int) -> str:
        """`circuit.toml:12`: the line of a field, or of the nearest table that it belongs to."""
        for end in range(len(location), 0, -1):
            if (line := self.lines.get(location[:end])) is not None:
                note = self.note(*location)
                return f"{self.name}:{line}{f' ({note})' if note else ''}"
        return self.name

    def note(self, *location: str | int) -> str:
        """What else than this file a field comes from; empty where it is the file alone."""
        ends = range(len(location), 0, -1)
        return next((self.notes[location[:e]] for e in ends if location[:e] in self.notes), "")

    def problem(self, *location: str | int, message: str, level: Level = "error") -> Problem:
        return Problem(self.where(*location), message, ".".join(map(str, location)), level)


def unreadable(name: str, error: Unreadable) -> Problem:
    """The problem that a file cannot be read, with the line where its message names one."""
    line = re.search(r"at line (\d+)", str(error))
    return Problem(f"{name}:{line[1]}" if line else name, str(error))


_HEAD = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')


def locate(text: str) -> dict[Location, int]:
    """Line number of every table and key of a valid TOML text; `("metric", 2, "unit")` -> 57.

    Keys within inline tables have none of their own: theirs is the line where the value begins.
    """
    lines: dict[Location, int] = {}
    count: dict[Location, int] = {}  # Tables so far in each array of tables.
    table: Location = ()
    closing, depth = "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw
        if closing:  # Within a string of several lines.
            _, found, line = line.partition(closing)
            closing = "" if found else closing
            if not found:
                continue
        elif not depth and (head := _HEAD.match(line)):
            table = _table(_parts(head[2]), count, array=head[1] == "[[")
            lines.setdefault(table, number)
            continue
        elif not depth and (key := _ASSIGNMENT.match(line)):
            parts = _parts(key[1])
            for end in range(1, len(parts) + 1):
                lines.setdefault((*table, *parts[:end]), number)
            line = line[key.end() :]
        line, closing = _without_strings(line)
        depth += sum(map(line.count, "[{")) - sum(map(line.count, "]}"))
    return lines


def _parts(dotted: str) -> Location:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))


def _table(parts: Location, count: dict[Location, int], *, array: bool) -> Location:
    """The full location of a table's head, with the numbers of the arrays that it is in."""
    path: Location = ()
    for part in parts[:-1] if array else parts:
        path = (*path, part)
        if path in count:
            path = (*path, count[path] - 1)
    if array:
        path = (*path, parts[-1])
        count[path] = count.get(path, 0) + 1
        path = (*path, count[path] - 1)
    return path


def _without_strings(line: str) -> tuple[str, str]:
    """The line without strings and comments, and the quotes of a string it leaves open."""
    for quotes in ('"""', "'''"):
        before, opened, rest = line.partition(quotes)
        if opened and not re.search(r"#|[\"']", before):
            _, closed, after = rest.partition(quotes)
            if not closed:
                return before, quotes
            line = before + after
    return _STRING_OR_COMMENT.sub("", line), ""
