"""A designer's netlist as cards: words with the place of each in the text, so that it can be put back.

Reads any SPICE text in one pass: continuations, comments, titles, line ends, upper case. Knows words and
assignments, not what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from acs_gym.circuit import CircuitError

# Extraction writes tens of megabytes; what is longer than this is no netlist that anybody sizes.
LONGEST = 200_000_000
_WORD = re.compile(r"'[^']*'?|\"[^\"]*\"?|\{[^{}]*\}?|=|[^\s=,{}'\"]+")
# `;` anywhere, `$` and `//` behind a blank; what stands in quotes holds neither.
_COMMENT = re.compile(r";|(?:(?<=\s)|^)(?:\$(?=\s|$)|//)")
_XSCHEM = re.compile(r"\*+\s*(\.subckt|\.ends)\b", re.I)
_MARK = re.compile(r"\*\s*@\s*(.*)")
_EXTRACTED = re.compile(r"\*.*(created from .*\.ext\b|ext2spice|\bextracted\b|\bpex\b)", re.I)
_DIRECTIVES = (
    ".subckt", ".param", ".func", ".include", ".inc", ".lib", ".global", ".option", ".options", ".model",
    ".title",
)  # fmt: skip
# Of the directives those whose assignments are looked at.
_READ = (".subckt", ".ends", ".param", ".params", ".parameter", ".option", ".options")


@dataclass(frozen=True, slots=True)
class Field:
    """A word of the text: what it says, and where; several pieces where a line's end divides it.

    A piece is (line, first column, column behind the last), lines counted from 0.
    """

    text: str
    pieces: tuple[tuple[int, int, int], ...]

    @property
    def bare(self) -> str:
        """Without its quotes or braces, and without quotes right inside, which some tools write."""
        text = self.text
        if len(text) > 1 and text[0] in "'\"{":
            text = text[1:-1].strip()
        while len(text) > 1 and text[0] in "'\"" and text.find(text[0], 1) == len(text) - 1:
            text = text[1:-1].strip()
        return text


@dataclass(frozen=True, slots=True)
class Card:
    """One line with its continuations.

    Attributes:
        words: those before the first assignment and between them, e.g. name, nodes, device.
        values: of the assignments, by name in lower case.
        line: its first line's number in the file, counted from 1.
        stray: whether it is an assignment alone, which is no line of a netlist.
    """

    words: tuple[Field, ...]
    values: dict[str, Field]
    line: int
    text: str
    stray: bool = False

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def letter(self) -> str:
        return self.words[0].text[0].lower()


@dataclass(frozen=True, slots=True)
class Mark:
    """What a comment `*@ size M1.w 1u..50u` or `*@ fixed M3` says, as words."""

    words: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Text:
    """A netlist file, read.

    Attributes:
        lines: as they stand in the file, with their ends.
        title: its first line where SPICE takes that for a title; empty where it is a line of its own.
        extracted: whether a layout tool wrote it.
    """

    name: str
    lines: tuple[str, ...]
    cards: tuple[Card, ...]
    marks: tuple[Mark, ...]
    title: str
    extracted: bool

    def where(self, line: int) -> str:
        return f"{self.name}:{line}"


def refused(where: str, message: str) -> CircuitError:
    return CircuitError(f"{where}: {message}")


def read_file(path: Path) -> Text:
    """The netlist of a file. Raises CircuitError where it is none."""
    return read_text(decoded(read_bytes(path), path.name), path.name)


def read_bytes(path: Path) -> bytes:
    """Raises CircuitError where there is no such file, or one that is no netlist by its size."""
    try:
        size = path.stat().st_size
        if size > LONGEST:
            raise refused(
                str(path), f"{size} bytes long; at most {LONGEST} are read: import a part of it"
            )
        return path.read_bytes()
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror}; name a netlist") from None


def decoded(raw: bytes, name: str) -> str:
    """UTF-8, with or without a mark, or the eight-bit letters of older editors."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4096]:
        raise refused(name, "not a netlist, or in UTF-16; save it as UTF-8 text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def physical_lines(text: str) -> tuple[str, ...]:
    """The lines of a text with their ends, whichever of the three usual ones those are."""
    return tuple(re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z", text))


def read_text(text: str, name: str) -> Text:
    """Raises CircuitError, with the line, for a quote or brace that is not closed."""
    lines = physical_lines(text)
    marks = tuple(
        Mark(tuple(found[1].split()), number)
        for number, line in enumerate(lines, start=1)
        if (found := _MARK.match(line.strip())) is not None
    )
    joined = list(_joined(lines))
    ended = any(
        pieces[0][2].lower().startswith(".end") and _first(pieces) == ".end" for pieces in joined
    )
    title = ""
    if joined and _is_title(joined[0], ended):
        title = joined.pop(0)[0][2].strip()
    cards = tuple(_card(pieces, name) for pieces in joined)
    extracted = any(_EXTRACTED.match(line) for line in lines[:50])
    return Text(name, lines, cards, marks, title, extracted)


_Piece = tuple[int, int, str]  # line from 0, column, text


def _first(pieces: list[_Piece]) -> str:
    return pieces[0][2].split(None, 1)[0].lower()


def _joined(lines: tuple[str, ...]) -> Iterator[list[_Piece]]:
    """Each line with those that continue it, comments left out."""
    current: list[_Piece] = []
    control = False
    for number, raw in enumerate(lines):
        line = raw.rstrip("\r\n")
        if number == 0:
            line = line.replace("\ufeff", " ", 1)
        start = len(line) - len(line.lstrip())
        body = line[start:]
        if (top := _XSCHEM.match(body)) is not None:
            # xschem comments its outermost subcircuit out; it says what the ports are.
            start, body = start + top.start(1), body[top.start(1) :]
        if not body or body[0] == "*":
            continue
        body = _without_comment(body)
        if not body.strip():
            continue
        word = body.split(None, 1)[0].lower()
        if control or word == ".control":
            if word == ".control" and current:
                yield current
                current = []
            control = word != ".endc"
            continue
        if body[0] == "+":
            piece = (number, start + 1, body[1:])
            if current:
                current.append(piece)
            else:
                current = [piece]
            continue
        if current:
            yield current
        current = [(number, start, body)]
    if current:
        yield current


def _without_comment(body: str) -> str:
    if ";" not in body and "$" not in body and "//" not in body:
        return body
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: "q" * len(m[0]), body)
    found = _COMMENT.search(bare)
    return body if found is None else body[: found.start()]


def _is_title(pieces: list[_Piece], ended: bool) -> bool:
    """Whether a file's first line, no comment, is its title.

    SPICE says it always is. A file that others include has none, and begins with a directive or, where
    it has no `.end`, with an element; neither is meant to be lost.
    """
    number, _, text = pieces[0]
    if number > 0 or _first(pieces) in _DIRECTIVES:
        return False
    if ended or not text[0].isalpha():
        return True
    # Without `.end` it is an element where it reads like one: a value, or a word that has digits.
    words = text.split()
    return not (len(words) >= 4 and ("=" in text or re.fullmatch(r"[\d.].*", words[-1])))


def _card(pieces: list[_Piece], name: str) -> Card:
    line = pieces[0][0] + 1
    fields = list(_fields(pieces))
    if fields[0].text[0] == "." and fields[0].text.lower() not in _READ:
        return Card(tuple(fields), {}, line, _text(pieces))
    for field in fields:
        if field.text[0] in "'\"{" and (
            len(field.text) < 2 or field.text[-1] != {"{": "}"}.get(field.text[0], field.text[0])
        ):
            raise refused(
                f"{name}:{line}", f"{field.text[:40]!r} is not closed; close the quote or brace"
            )
    words: list[Field] = []
    values: dict[str, Field] = {}
    k = 0
    while k < len(fields):
        if k + 2 < len(fields) and fields[k + 1].text == "=":
            values[fields[k].text.lower()] = fields[k + 2]
            k += 3
        elif fields[k].text == "=" or (k + 1 < len(fields) and fields[k + 1].text == "="):
            raise refused(
                f"{name}:{line}",
                f"an assignment without a name or value at {fields[k].text[:40]!r}",
            )
        else:
            words.append(fields[k])
            k += 1
    if not words:
        # Nothing that SPICE knows; some tools leave such lines in, and they say nothing.
        return Card((fields[0],), {}, line, _text(pieces), stray=True)
    return Card(tuple(words), values, line, _text(pieces))


def _text(pieces: list[_Piece]) -> str:
    return " ".join(p[2].strip() for p in pieces)


def _fields(pieces: list[_Piece]) -> Iterator[Field]:
    if len(pieces) == 1:
        number, column, text = pieces[0]
        for found in _WORD.finditer(text):
            yield Field(found[0], ((number, column + found.start(), column + found.end()),))
        return
    # A blank between two lines, so that no word runs over, save in quotes or braces.
    whole = " ".join(p[2] for p in pieces)
    starts: list[int] = []
    at = 0
    for piece in pieces:
        starts.append(at)
        at += len(piece[2]) + 1
    k = 0
    for found in _WORD.finditer(whole):
        while k + 1 < len(starts) and starts[k + 1] <= found.start():
            k += 1
        spans = []
        for (number, column, text), begin in zip(pieces[k:], starts[k:], strict=True):
            if begin >= found.end():
                break
            first = max(found.start(), begin) - begin
            last = min(found.end(), begin + len(text)) - begin
            spans.append((number, column + first, column + last))
        yield Field(found[0], tuple(spans))
