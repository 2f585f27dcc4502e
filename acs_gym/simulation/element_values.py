"""What may stand as the value of a plain SPICE element: an allow-list of forms, and words in them.

ngspice takes more here than numbers: random sources, sources whose samples come from a file or from
another program, formulas of voltages. None of it is named to be refused; whatever is not a form below
is. Knows no files and no circuits.
"""

from __future__ import annotations

import re

_BRACES = re.compile(r"(\{[^{}]*\})")
# Letters after a number are a SPICE suffix and a unit: 10u, 1meg, 1.5pF.
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?[a-z]*"
_VALUE = rf"(?:{_NUMBER}|\{{\}})"
_LIST = "{word}\\({one}(?: {one})*\\)"


def _parameters(*words: str) -> str:
    return rf"(?: (?:{'|'.join(words)})={_NUMBER})*"


_DC = rf"(?:dc )?{_VALUE}"
_AC = rf"ac(?: {_NUMBER}){{0,2}}"
_PULSE = _LIST.format(word="(?:pulse|sin)", one=_VALUE)
_CURVE = _LIST.format(word="(?:exp|sffm|am)", one=_NUMBER)
_POINTS = _LIST.format(word="pwl", one=_NUMBER) + _parameters("r", "td")
_SOURCE = rf"(?:{_DC}|{_AC}|{_PULSE}|{_CURVE}|{_POINTS})"
_SOURCES = rf"{_SOURCE}(?: {_SOURCE})*"
_WAVEFORMS = ("pulse", "pwl", "sin", "exp", "sffm", "am")
_DEVICE = r"[a-z][a-z0-9_]*"

# By an element's first letter: its form, the words in it, and how one is written.
_FORMS = {
    "r": (_VALUE + _parameters("tc1", "tc2", "m", "noisy"), ("tc1", "tc2", "m", "noisy"), "10k"),
    "c": (_VALUE + _parameters("tc1", "tc2", "m", "ic"), ("tc1", "tc2", "m", "ic"), "1.5p"),
    "l": (_VALUE + _parameters("tc1", "tc2", "m", "ic"), ("tc1", "tc2", "m", "ic"), "10n"),
    "v": (_SOURCES, ("dc", "ac", *_WAVEFORMS, "r", "td"), "dc 0.9 ac 0 pulse(0 1.8 1n 10p 10p 5n 10n)"),
    "i": (_SOURCES + _parameters("m"), ("dc", "ac", *_WAVEFORMS, "r", "td", "m"), "dc 10u"),
    "e": (_NUMBER, (), "0.5"),
    "g": (_NUMBER + _parameters("m"), ("m",), "1m"),
    "f": (rf"{_DEVICE} {_NUMBER}" + _parameters("m"), ("m",), "vsense 2"),
    "h": (rf"{_DEVICE} {_NUMBER}", (), "vsense 1k"),
}  # fmt: skip
_PATTERNS = {letter: re.compile(form) for letter, (form, _, _) in _FORMS.items()}
KINDS = tuple(_FORMS)
# ngspice reads these on a controlled source's line as the beginning of a formula, wherever they stand.
NO_CONTROL_NODES = ("cur", "laplace", "poly", "table", "value", "vol")

_RANDOM = "it is random, and the same design always has the same result"
_OUTSIDE = "its samples come from outside the circuit"
_FORMULA = "a formula of voltages may compute anything; E, G, F and H take one number"
# Why the best known of what is not a form is none. Only the message depends on this list.
_REASONS = {
    "trnoise": _RANDOM, "trrandom": _RANDOM,
    "file": _OUTSIDE, "external": _OUTSIDE,
    **dict.fromkeys(NO_CONTROL_NODES, _FORMULA),
}  # fmt: skip


def checked_value(kind: str, value: str) -> str:
    """The value of an element of this kind, commas and blanks made one blank each.

    Raises ValueError, which says what is allowed, for one that is not of a form of `KINDS`.
    """
    pieces = _BRACES.split(value)
    plain = "".join("{}" if p.startswith("{") and p.endswith("}") else p for p in pieces)
    form = _spaced(plain).lower()
    _, words, example = _FORMS[kind]
    for word in re.findall(r"[a-z_][\w.]*", re.sub(_NUMBER, " ", form)):
        if word not in words and not (kind in "fh" and form.startswith(word)):
            reason = f": {_REASONS[word]}" if word in _REASONS else ""
            allowed = f"the words there are: {', '.join(words)}" if words else "it takes no words"
            raise ValueError(
                f"{word!r} is not allowed in the value of an element {kind.upper()}{reason}; {allowed}"
            )
    once = [w for w in ("dc", "ac") if len(re.findall(rf"\b{w}\b", form)) > 1]
    waveforms = [w for w in re.findall(r"[a-z]+(?=\()", form) if w in _WAVEFORMS]
    if once or len(waveforms) > 1 or _PATTERNS[kind].fullmatch(form) is None:
        raise ValueError(
            f"cannot read the value {value[:80]!r}; write for example '{kind.upper()}1 ... {example}'; "
            "an expression in braces may stand as the value of R, C, L, V and I, after dc, or inside "
            "pulse(...) and sin(...)"
        )
    return "".join(p if p.startswith("{") else _spaced(p, inside=True) for p in pieces).strip()


def _spaced(text: str, *, inside: bool = False) -> str:
    """`pulse ( 0, 1 )` as `pulse(0 1)`; a piece `inside` a value keeps the blanks at its ends."""
    text = re.sub(r"[\s,]+", " ", text)
    text = re.sub(r" ?([(=]) ?", r"\1", text)
    text = re.sub(r" (?=\))", "", text)
    return text if inside else text.strip()
