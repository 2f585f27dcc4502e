"""What PySpice prints of a `SubCircuit` or a `Circuit`, as lines of a circuit folder's dialect.

Works on text alone and imports no PySpice. It refuses what only PySpice's own simulation could use
(models, libraries, parameters, subcircuits within) and resolves unit suffixes to plain numbers;
everything else is left to `acs_gym.simulation.netlist`, which reads the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from acs_gym.circuit import CircuitError

_INSTEAD = {
    ".model": "models belong to the PDK; use the primitives nfet, pfet, res, cap and ibias",
    ".include": "a circuit brings no files; models belong to the PDK",
    ".lib": "a circuit brings no files; models belong to the PDK",
    ".param": "name it under [conditions] or [[parameter]] of the TOML",
    ".global": "connect the node through a port of the SubCircuit",
    ".subckt": "write its elements out; only the DUT is a subcircuit",
}
_FOUR_NODES = "eg"
_POWER = {
    "f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0,
    "k": 3, "meg": 6, "g": 9, "t": 12,
}  # fmt: skip
_SUFFIXED = re.compile(
    r"(?<![\w.@])([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?+)([A-Za-zµμΩ°][\wµμΩ°]*)"
)
# PySpice prints 10@u_MΩ as 10MegOhm. A lone M (SPICE: milli, SI: mega) and a lone F (SPICE: femto,
# SI: farad) are not read at all.
_SUFFIX = re.compile(r"(?!F$)([Mm][Ee][Gg]|[fpnuµμmkKgGtT]|)(V|A|s|S|Hz|F|H|Ohm|ohm|Ω|W|C|m|rad|)")


@dataclass(frozen=True, slots=True)
class Written:
    """A file of a circuit folder; `origin[k]` says what line k + 1 was in PySpice."""

    lines: tuple[str, ...]
    origin: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def dut_lines(printed: str, name: str) -> Written:
    """`dut.spice` from `str(subcircuit)`. Raises CircuitError naming the element."""
    what = f"SubCircuit {name!r}"
    head, *body = _lines(printed)
    if "=" in head:
        raise CircuitError(
            f"{what}: has parameters of its own ({head}); write '{{name}}' where one is used and "
            "declare it as [[parameter]] or under [conditions] of the TOML"
        )
    lines, origin = ["* Written from PySpice.", head], [what, what]
    for line in body[:-1]:
        _refuse_directive(line, what)
        lines.append(_resolved(line, what))
        origin.append(f"{what}, {line.split()[0]}")
    return Written((*lines, body[-1]), (*origin, what))


def bench_lines(printed: str, file: str, dut: str) -> Written:
    """`bench_*.spice` from `str(circuit)`; `dut` is the printed SubCircuit of the DUT.

    The circuit's own copy of the DUT is left out; it must be the same. Raises CircuitError.
    """
    what = f"Circuit for {file}"
    lines, origin = ["* Written from PySpice."], [what]
    own = list(_lines(dut))
    rest = _lines(printed)
    for line in rest:
        word = line.split()[0].lower()
        if word == ".title":
            continue
        if word == ".subckt" and line.split()[1] == own[0].split()[1]:
            copy = [line]
            while not copy[-1].lower().startswith(".ends"):
                copy.append(next(rest))
            if copy != own:
                raise CircuitError(f"{what}: its SubCircuit {line.split()[1]!r} is not the DUT's")
            continue
        if word not in (".nodeset", ".ic"):
            _refuse_directive(line, what)
        lines.append(_resolved(line, what))
        origin.append(f"{what}, {line.split()[0]}")
    return Written(tuple(lines), tuple(origin))


def _lines(printed: str) -> Iterator[str]:
    for raw in printed.splitlines():
        line = raw.strip()
        if line and not line.startswith("*"):
            yield line


def _refuse_directive(line: str, what: str) -> None:
    if line.startswith("."):
        directive = line.split()[0].lower()
        reason = _INSTEAD.get(directive, "the only directives are .nodeset and .ic, in a testbench")
        raise CircuitError(f"{what}: {line[:80]!r} cannot be part of a task: {reason}")


def _resolved(line: str, what: str) -> str:
    """The line with `1.5pF` as 1.5e-12 wherever a value, not a node, may stand."""
    if line[0] in "xX":
        head, equals, values = line.partition("=")
    elif line[0] == ".":
        head, equals, values = "", "", line
    else:
        count = 5 if line[0].lower() in _FOUR_NODES else 3
        words = line.split(None, count)
        head, equals, values = " ".join(words[:count]), " ", " ".join(words[count:])

    def number(match: re.Match[str]) -> str:
        suffix = _SUFFIX.fullmatch(match[2])
        if suffix is None:
            raise CircuitError(
                f"{what}, {line.split()[0]}: cannot tell which number {match[0]!r} is; write it "
                "without a unit, with a prefix of f p n u m k meg g t if any"
            )
        # Through decimal text, so that 1.5p is the same float as the literal 1.5e-12.
        mantissa, _, exponent = match[1].lower().partition("e")
        return repr(float(f"{mantissa}e{int(exponent or 0) + _POWER[suffix[1].lower()]}"))

    pieces = re.split(r"(\{[^}]*\})", values)
    return head + equals + "".join(p if p[:1] == "{" else _SUFFIXED.sub(number, p) for p in pieces)
