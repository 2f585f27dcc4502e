"""What a server says when it refuses a request, whatever the form, and what it wants instead. Pure.

Servers agree on the request and on nothing else: a reason may be an object in a dozen shapes, a JSON
string, plain text or a page of a proxy. `words_of` reads it; `Refusal` says which of the things that
servers differ in it is about. The phrases looked for are those of OpenAI, vLLM, SGLang, TGI, llama.cpp,
Ollama, LM Studio, Mistral, Groq, DeepSeek and OpenRouter; one that is not known is shown as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

_LONGEST = 500
_LONGEST_PAGE = 200
# In the order of what says most: gateways put the provider's own body under `metadata.raw`.
_REASONS = (
    "message", "error", "detail", "details", "errors", "msg", "reason", "error_description", "title",
    "description",
)  # fmt: skip
_NESTED = 8

_TOO_LONG = re.compile(
    r"context|maximum.{0,20}length|too long|too large|too many tokens|exceed"
    r"|tokens.{0,40}must (?:be|have)",
    re.IGNORECASE,
)
_SURELY_TOO_LONG = re.compile(r"context (?:length|size|window|limit)|exceed_context", re.IGNORECASE)
_NOT_TAKEN = (
    r"(?:unsupported|unknown|unrecognized|unexpected|invalid|extra inputs|not (?:supported|permitted"
    r"|allowed)|forbidden|use )"
)
_STRICT = re.compile(r"(?<![\w-])strict(?![\w-])", re.IGNORECASE)
_TOOLS = re.compile(
    r"\btools?\b|tool[ _-](?:choice|use|call)|function[ _-](?:call|declaration)|--jinja",
    re.IGNORECASE,
)
_WITHOUT_TOOLS = re.compile(
    r"(?:unsupported|not support|n't support|requires?|enable|only supported|no endpoints)\b.{0,60}"
    r"(?:\btools?\b|tool_choice|function call)"
    r"|(?:\btools?\b|tool_choice|function call).{0,60}"
    r"(?:unsupported|not support|n't support|requires?|enabled?|only supported|--jinja)",
    re.IGNORECASE,
)
_NO_SUCH_ROLE = (
    r"(?:unsupported|not (?:\w+ )?support|n't support|not allowed|not enabled|only supported"
    r"|alternate|(?:must|should) be|are supported|invalid|unknown|unexpected)"
)
_ROLES = re.compile(
    rf"\broles?\b.{{0,60}}{_NO_SUCH_ROLE}|{_NO_SUCH_ROLE}.{{0,30}}\broles?\b"
    r"|(?:system|developer) (?:message|instruction|prompt)s?\b.{0,30}(?:not|n't|unsupported)",
    re.IGNORECASE,
)
_TOOL_ROLE = re.compile(r"""\brole\W{1,3}tool\b|\btool\b\W{0,2} (?:role|message)""", re.IGNORECASE)
_NO_SUCH_PATH = re.compile(r"unexpected endpoint|no such endpoint|unknown (?:url|path)", re.I)
_NO_MONEY = re.compile(
    r"insufficient_quota|exceeded your current quota|insufficient (?:balance|credit)", re.I
)

_CONTEXT = (
    r"context (?:length|window|size)\D{0,30}?(\d{3,})",
    r"(\d{3,}) maximum context length",
    r"\+ `?max_new_tokens`? must be <= (\d+)",
    r"must have less than (\d+) tokens",
    r'"n_ctx"\s*:\s*(\d+)',
)
_PROMPT = (
    r"\((\d+) (?:tokens )?in the (?:messages|prompt)",
    r"(\d+) (?:input|prompt) tokens",
    r"(\d+) tokens from the input",
    r"Given: (\d+)",
    r"(?:request|input) \((\d+) tokens",
    r"[Pp]rompt contains (\d+) tokens",
    r"the first (\d+) tokens when context",
    r'"n_prompt_tokens"\s*:\s*(\d+)',
)
_REPLY = (
    r"at most (\d+) (?:completion|output) tokens",
    r"max(?:_completion)?_tokens\W.{0,40}?(?:less than or equal to|<=)\W{0,3}(\d+)",
    r"> (\d+), which is the maximum allowed number of output tokens",
    r"range of max_tokens is \[1, ?(\d+)\]",
    r"(?<!\+ )`max_new_tokens` must be <= (\d+)",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that a server did not carry out.

    Attributes:
        status: of HTTP; 200 where the error came with a success.
        words: the server's, on one line; never empty.
        body: as it came, for the numbers in it.
    """

    status: int
    words: str
    body: str = ""

    @classmethod
    def of(cls, status: int, body: str, phrase: str = "") -> Refusal:
        """Args: phrase: of the status line, for a body that says nothing."""
        return cls(status, words_of(body) or phrase or "the server gave no reason", body)

    @property
    def too_long(self) -> bool:
        """Prompt, reply, or both together, are longer than the server allows."""
        if self.status in (400, 413, 422):
            return bool(_TOO_LONG.search(self.words)) and not self.no_money
        return self.status in (200, 500) and bool(_SURELY_TOO_LONG.search(self.words))

    @property
    def no_strict(self) -> bool:
        """It does not know, or does not take, `strict` in a tool."""
        return self._of_request and bool(_STRICT.search(self.words + _parameters(self.body)))

    @property
    def no_tools(self) -> bool:
        """It is about the tools: surely so in a status that may mean anything."""
        known = _TOOLS if self.status in (400, 422) else _WITHOUT_TOOLS
        return self._may_be_of_request and bool(known.search(self.words))

    @property
    def no_role(self) -> bool:
        """The model's chat template knows no such message, or not at that place."""
        return self._of_request and bool(_ROLES.search(self.words + _parameters(self.body)))

    @property
    def of_tools(self) -> bool:
        """Of a role: that is the tool's."""
        return bool(_TOOL_ROLE.search(self.words))

    @property
    def no_path(self) -> bool:
        """There is nothing at this address, or no such model."""
        return self.status in (404, 405) or bool(_NO_SUCH_PATH.search(self.words))

    @property
    def no_money(self) -> bool:
        return self.status == 402 or bool(_NO_MONEY.search(self.words))

    def refuses_field(self, name: str) -> bool:
        """Whether a field of the request, e.g. `max_tokens`, is one that the server does not take."""
        text = self.words + _parameters(self.body)
        field = rf"(?<!\w){re.escape(name)}(?!\w)"
        near = rf"{field}.{{0,60}}?{_NOT_TAKEN}|{_NOT_TAKEN}.{{0,60}}?{field}"
        return self._of_request and bool(re.search(near, text, re.IGNORECASE | re.DOTALL))

    @property
    def context(self) -> int | None:
        """Tokens that prompt and reply may be together, where the server names it."""
        return self._number(_CONTEXT)

    @property
    def prompt(self) -> int | None:
        """Tokens that the server counted in the prompt, where it says so."""
        return self._number(_PROMPT)

    @property
    def longest_reply(self) -> int | None:
        """Tokens that a reply may be at most, where the server names them."""
        return self._number(_REPLY)

    @property
    def _of_request(self) -> bool:
        return self.status in (200, 400, 422, 500)

    @property
    def _may_be_of_request(self) -> bool:
        return self._of_request or self.status in (404, 501)

    def _number(self, patterns: tuple[str, ...]) -> int | None:
        text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", f"{self.words} {self.body}")
        found = (re.search(p, text) for p in patterns)
        return next((int(m[1]) for m in found if m is not None), None)


def words_of(body: str) -> str:
    """The reason in a body, on one line and shortened; empty where it holds none."""
    text = body.strip()
    if not text:
        return ""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        if re.match(r"<(?:!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
            return _line(_page_text(text), _LONGEST_PAGE)
        return _line(text, _LONGEST)
    return _line(_reason(data) or (text if data else ""), _LONGEST)


def _reason(data: object, depth: int = 0) -> str:
    """The words in a value of JSON, whichever name they have there."""
    if depth > _NESTED:
        return ""
    if isinstance(data, str):
        if data.lstrip()[:1] in ("{", "["):
            try:
                return _reason(json.loads(data), depth + 1) or data
            except (ValueError, RecursionError):
                return data
        return data
    if isinstance(data, list):
        return "; ".join(filter(None, (_reason(entry, depth + 1) for entry in data[:3])))
    if not isinstance(data, dict):
        return ""
    said = next(filter(None, (_reason(data.get(k), depth + 1) for k in _REASONS)), "")
    where = data.get("loc")
    if said and isinstance(where, list):  # As FastAPI says what is wrong where.
        return f"{'.'.join(map(str, where))}: {said}"
    metadata = data.get("metadata")
    if isinstance(metadata, dict) and (raw := _reason(metadata.get("raw"), depth + 1)):
        said = f"{said}: {raw}" if said else raw
    return said


def _parameters(body: str) -> str:
    """What the body names as at fault beside its words, as ` (tools[0].function.strict)`."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    inner = data.get("error", data) if isinstance(data, dict) else None
    named = inner.get("param") if isinstance(inner, Mapping) else None
    return f" ({named})" if isinstance(named, str) else ""


def _line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[:longest] + "..."


class _Page(HTMLParser):
    """The text of a page, without what is never shown."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip() and data.strip() not in self.parts:
            self.parts.append(data.strip())


def _page_text(text: str) -> str:
    page: Any = _Page()
    page.feed(text)
    page.close()
    return " ".join(page.parts)
