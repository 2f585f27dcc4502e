"""Arithmetic written in data files, evaluated without `eval` of anything but arithmetic.

Circuit folders say `{2*w_load}`, PDKs say `89.1e-6*nf/w`, metrics say `-v(out)/v(inn)`. All three are
the same small language: numbers, names, + - * / **, parentheses and a few functions. An expression
is text (so it pickles, hashes and prints) that compiles once to a Python code object; nothing
outside the whitelist compiles, so a circuit folder from a stranger cannot run code.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def _whole(x: Any) -> Any:
    """The whole number below; of a phasor there is none."""
    return math.nan if np.iscomplexobj(x) else np.floor(x)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs, "sqrt": np.sqrt, "log": np.log, "log10": np.log10, "exp": np.exp,
    "min": np.minimum, "max": np.maximum, "real": np.real, "imag": np.imag, "int": _whole,
}  # fmt: skip
# Of all others it is one. Numpy would take a second or third argument for where the result is written.
_OF_TWO = ("min", "max")
_Children = Callable[[Any], tuple[ast.AST, ...]]
# What is allowed, and what stands in it.
_ALLOWED: Mapping[type[ast.AST], _Children] = {
    ast.Expression: lambda node: (node.body,),
    ast.BinOp: lambda node: (node.left, node.op, node.right),
    ast.UnaryOp: lambda node: (node.op, node.operand),
    ast.Call: lambda node: (node.func, *node.args, *node.keywords),
    **dict.fromkeys(
        (ast.Constant, ast.Name, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub),
        lambda node: (),
    ),
}
# `v(out)`, `i(vdd)`, `loop(vfb)` and `@m.xdut.x1[gm]` are vectors of the simulator, not calls.
_VECTOR = re.compile(r"(?<![\w.])((?:[vi]|loop)\([\w.#+-]+\)|@[\w.]+\[\w+\])", re.IGNORECASE)
# Names that are Python's and this module's own.
_PRIVATE = re.compile(r"(?<![\w.])_(?:_|vector)\w*")
_LONGEST = 10_000


class ExpressionError(ValueError):
    """An expression that is not arithmetic; the message quotes it and names the culprit."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One formula; `names` are its free variables, `vectors` its simulator vectors."""

    text: str
    names: tuple[str, ...] = field(init=False, compare=False)
    vectors: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        _, names, vectors = _compile(self.text)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "vectors", vectors)

    def substitute(self, meanings: Mapping[str, Expression]) -> Expression:
        """This formula with names replaced by formulas; the others stay."""

        def replaced(match: re.Match[str]) -> str:
            meaning = meanings.get(match[0])
            return match[0] if meaning is None else f"({meaning.text})"

        return Expression(_NAME.sub(replaced, self.text))

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Evaluate; `values` maps each name and each vector (in lower case) to a number or array.

        Follows numpy: a division by zero is inf or NaN, never an exception. KeyError never
        escapes: a missing name raises ExpressionError.
        """
        function, names, vectors = _compile(self.text)
        try:
            arguments = [values[name] for name in (*names, *vectors)]
        except KeyError as missing:
            known = ", ".join(sorted(values))
            raise ExpressionError(
                f"{self.text!r} uses {missing.args[0]!r}, which is not one of: {known}"
            ) from None
        try:
            return function(*arguments)
        except ZeroDivisionError:
            return float("nan")
        except OverflowError:
            return float("inf")


_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?!\s*\()")


def evaluate_all(expressions: tuple[Expression, ...], values: Mapping[str, Any]) -> list[float]:
    """All of `expressions` over the same scope, as floats; many times quicker than one by one.

    The rare scope in which one of them divides by zero or overflows is evaluated one by one.
    """
    function, names = _compile_all(tuple([e.text for e in expressions]))
    try:
        return [float(x) for x in function(*[values[name] for name in names])]
    except (ZeroDivisionError, OverflowError, KeyError):
        return [float(e(values)) for e in expressions]


@functools.lru_cache(maxsize=1024)
def _compile_all(texts: tuple[str, ...]) -> tuple[Callable[..., Any], tuple[str, ...]]:
    trees = [_parse(text) for text in texts]
    if any(vectors for _, _, vectors in trees):
        raise ExpressionError("expressions with simulator vectors are evaluated one by one")
    names = tuple(dict.fromkeys(name for _, names, _ in trees for name in names))
    body = ast.Tuple([tree.body for tree, _, _ in trees], ast.Load(), **_PLACE)
    return _function(body, names), names


@functools.lru_cache(maxsize=4096)
def _compile(text: str) -> tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]:
    try:
        tree, names, vectors = _parse(text)
        arguments = (*names, *(f"_vector{k}" for k in range(len(vectors))))
        return _function(tree.body, arguments), names, vectors
    except (RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text[:80]!r} is nested too deeply: {error}") from None


# Where nodes that stand in no text stand: a compiler wants to know.
_PLACE: Mapping[str, Any] = {"lineno": 1, "col_offset": 0}


def _function(body: ast.expr, names: tuple[str, ...]) -> Callable[..., Any]:
    """`lambda names: body`, which can reach the whitelisted functions and nothing else."""
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(n, **_PLACE) for n in names],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    tree = ast.Expression(ast.Lambda(arguments, body, **_PLACE))
    code = compile(tree, "<expression>", "eval")
    function: Callable[..., Any] = eval(code, {"__builtins__": {}, **FUNCTIONS})
    return function


def _parse(text: str) -> tuple[ast.Expression, tuple[str, ...], tuple[str, ...]]:
    if len(text) > _LONGEST:
        raise ExpressionError(f"expression of {len(text)} characters; at most {_LONGEST}")
    # Python reads several letters as one and the same, so a name would not be the one that is written.
    if not text.isascii():
        foreign = next(c for c in text if not c.isascii())
        raise ExpressionError(f"{text!r}: {foreign!r} is not allowed; write names in ASCII letters")
    if private := _PRIVATE.search(_VECTOR.sub(" ", text)):
        raise ExpressionError(f"{text!r}: {private[0]!r} is a name of Python's own; choose another")
    vectors: list[str] = []

    def name_vector(match: re.Match[str]) -> str:
        vector = match[1].lower()
        if vector not in vectors:
            vectors.append(vector)
        return f"_vector{vectors.index(vector)}"

    source = _VECTOR.sub(name_vector, text.strip()).replace("^", "**")
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text!r} is not an arithmetic expression: {error}") from None
    names: dict[str, None] = {}
    called: set[int] = set()
    waiting: deque[ast.AST] = deque([tree])
    while waiting:  # Breadth first: what is called is known before its name is met.
        node = waiting.popleft()
        children = _ALLOWED.get(type(node))
        if children is None:
            raise ExpressionError(f"{text!r}: {type(node).__name__} is not allowed")
        waiting += children(node)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
                raise ExpressionError(f"{text!r}: {node.value!r} is not a number")
            # Integers become floats: `9**9**9` then overflows at once instead of filling the memory.
            try:
                node.value = float(node.value)
            except OverflowError:
                raise ExpressionError(f"{text[:80]!r}: a number is too large") from None
        elif isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
                allowed = ", ".join(FUNCTIONS)
                raise ExpressionError(f"{text!r}: only these functions are allowed: {allowed}")
            if node.keywords:
                raise ExpressionError(f"{text!r}: keyword arguments are not allowed")
            _check_arity(text, node.func.id, len(node.args))
            called.add(id(node.func))
        elif isinstance(node, ast.Name) and id(node) not in called:
            if node.id in FUNCTIONS:
                raise ExpressionError(
                    f"{text!r}: {node.id} is a function; write {node.id}(...), "
                    "and no name is the same"
                )
            if not node.id.startswith("_vector"):
                names[node.id] = None
    return tree, tuple(names), tuple(vectors)


def _check_arity(text: str, function: str, given: int) -> None:
    takes = 2 if function in _OF_TWO else 1
    if given != takes:
        number = "two arguments" if takes == 2 else "one argument"
        nest = f"; nest it for more: {function}(a, {function}(b, c))" if takes == 2 < given else ""
        raise ExpressionError(f"{text!r}: {function} takes {number}, got {given}{nest}")
