"""What is answered to each line of an agent. Knows no process and no descriptor.

Every line gets one line back. A line that cannot be carried out is answered with an error that says
what is allowed; nothing is simulated or charged for it, and enough of them in a row end the run.

`Exchange.reply` answers the lines of `stdio:`. Agents that come by MCP speak other lines (mcp_lines.py)
and are held to the same rules: `use`, `count_error`, `count_idle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from acs_gym.evaluation import Evaluation
from acs_gym.session import BudgetExhausted, Session
from acs_gym.tools.mcp import McpTools
from acs_gym.tools.toolbox import ToolAnswer
from acs_gym.wording import did_you_mean, first_problem
from leaderboard.wire import messages as m
from leaderboard.wire.strict_json import NotStrictJson, encode, parse, quote

Record = TypeVar("Record", bound=BaseModel)
_INITIALIZE_ID = 1
_FAILURES_KEPT = 100
# Simulations that our own failure took are not charged, so they would go on for ever.
_UNCHARGED_ALLOWED = 3
_MESSAGE = 300


class AgentFailed(RuntimeError):
    """The run cannot go on, because of what the agent did; what was simulated until then counts."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What is put up with.

    Attributes:
        start_s: seconds until `initialize` is answered.
        answer_s: seconds without a line from the agent while it is its turn.
        leave_s: seconds to end after `finish`.
        errors: that many in a row end the run.
        idle_calls: that many calls in a row that simulate nothing end the run.
    """

    start_s: float = 120.0
    answer_s: float = 600.0
    leave_s: float = 5.0
    errors: int = 20
    idle_calls: int = 1000


class Refused(Exception):
    """A call that is not carried out: nothing is simulated or charged. `code`: of `messages.ERRORS`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message[:_MESSAGE])
        self.code = code


@dataclass(slots=True)
class Exchange:
    """One run's conversation, as the harness has it.

    Attributes:
        agent: the agent's answer to `initialize`; None before it.
        finish: what `finish` said; None before it.
        failures: (code, message) of the first errors answered.
        refusal: the message of the last line's answer, when that was over budget; empty otherwise.
    """

    session: Session
    track: Literal["score", "metrics"] = "metrics"
    patience: Patience = field(default_factory=Patience)
    agent: m.Hello | None = None
    finish: m.Finish | None = None
    failures: list[tuple[int, str]] = field(default_factory=list)
    refusal: str = ""
    _in_a_row: int = 0
    _idle: int = 0
    _uncharged: int = 0

    def opening(self) -> bytes:
        """The harness's first line."""
        params = m.initialize(self.session, self.track)
        return encode(
            {
                "jsonrpc": "2.0", "id": _INITIALIZE_ID, "method": "initialize",
                "params": params.model_dump(),
            }
        )  # fmt: skip

    def reply(self, line: bytes | None) -> bytes | None:
        """The line to answer with; None when the line was the agent's answer to `initialize`.

        `line` None stands for one that was too long. Raises AgentFailed after too many errors or idle
        calls in a row (BudgetExhausted when the last error was that), and what simulating raises.
        """
        identity: int | str | None = None
        try:
            value = self._parse(line)
            if self.agent is None and _is_answer(value):
                self.agent = validated(m.Answer, value, m.INVALID_REQUEST).result
                self._in_a_row = 0
                return None
            if self.agent is None and _is_answer(value, "error"):
                raise AgentFailed(f"it declined initialize: {quote(str(value['error']))}")
            request = validated(m.Request, value, m.INVALID_REQUEST)
            identity = request.id
            result = self._carry_out(request)
        except Refused as refused:
            self.count_error(refused)
            return failure(identity, refused)
        return success(identity, result)

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one of `messages.METHODS`. Raises Refused, and otherwise as `reply` does."""
        record, _ = m.METHODS[method]
        result = self._answer(validated(record, params, m.INVALID_PARAMS))
        self.forgive()
        return result

    def use(self, tools: McpTools, name: str, arguments: object) -> ToolAnswer:
        """What a tool gives, which is charged and counted as `call` is. Raises as `reply` does."""
        used = self.session.meter.used
        answer = tools.call(name, arguments)
        if answer.refused:
            code = m.OVER_BUDGET if answer.over_budget else m.INVALID_PARAMS
            self.count_error(Refused(code, answer.refusal))
            return answer
        if answer.evaluations:
            self._count_simulated(used, answer.evaluations)
        elif not answer.finished:
            self.count_idle()
        self.forgive()
        return answer

    def forgive(self) -> None:
        """A call was carried out: errors before it are in no row with those after it."""
        self._in_a_row, self.refusal = 0, ""

    def count_error(self, refused: Refused) -> None:
        """One more error answered. Raises as `reply` does when that makes too many in a row."""
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append((refused.code, str(refused)))
        self.refusal = str(refused) if refused.code == m.OVER_BUDGET else ""
        self._in_a_row += 1
        if self._in_a_row >= self.patience.errors:
            message = f"{self._in_a_row} errors in a row, the last: {refused}"
            raise (
                BudgetExhausted(message) if refused.code == m.OVER_BUDGET else AgentFailed(message)
            )

    def count_idle(self) -> None:
        """One more call that simulated nothing. Raises AgentFailed when that makes too many."""
        self._idle += 1
        if self._idle >= self.patience.idle_calls:
            raise AgentFailed(f"{self._idle} calls in a row that simulate nothing")

    def _parse(self, line: bytes | None) -> Any:
        return parsed(
            line, "Descriptor 4 takes one JSON object a line; print to standard output instead"
        )

    def _carry_out(self, request: m.Request) -> dict[str, Any]:
        if self.agent is None:
            raise Refused(
                m.NOT_INITIALIZED,
                "answer initialize first: "
                '{"jsonrpc":"2.0","id":1,"result":{"name":"my agent","version":"1"}}',
            )
        if request.method not in m.METHODS:
            raise unknown("method", request.method, m.METHODS, m.UNKNOWN_METHOD)
        return self.call(request.method, request.params)

    def _answer(self, params: BaseModel) -> dict[str, Any]:
        if isinstance(params, m.Simulate):
            return self._simulate(params)
        if isinstance(params, m.Finish):
            return self._finish(params)
        self.count_idle()
        used = len(self.session.history)
        best = _json(self.session.best)
        return {**self._left(), "used": used, "best": best}

    def _left(self) -> dict[str, int]:
        session = self.session
        return {"remaining": int(session.remaining), "simulations": int(session.meter.remaining)}

    def _simulate(self, params: m.Simulate) -> dict[str, Any]:
        before = self.session.meter.used
        try:
            self.session.task.conditions.numbers(params.conditions)
        except ValueError as error:
            raise Refused(m.INVALID_PARAMS, str(error)) from None
        try:
            evaluations = self.session.simulate(params.designs, conditions=params.conditions)
        except BudgetExhausted:
            left = int(self.session.remaining)
            if params.conditions is not None:
                left = int(self.session.meter.remaining) // len(params.conditions)
            raise Refused(
                m.OVER_BUDGET,
                f"{len(params.designs)} designs asked for, {left} remain; nothing was simulated or "
                f"charged. Ask for at most {left}" + ("" if left else ": that is, send finish"),
            ) from None
        self._count_simulated(before, evaluations)
        return {
            "evaluations": [e.to_json(by_condition=params.by_condition) for e in evaluations],
            **self._left(),
        }

    def _count_simulated(self, used: int, evaluations: Sequence[Evaluation]) -> None:
        """A call simulated; `used` is what was charged before it. Raises AgentFailed."""
        self._idle = 0
        self._uncharged = self._uncharged + 1 if self.session.meter.used == used else 0
        if self._uncharged >= _UNCHARGED_ALLOWED:
            raise AgentFailed(f"the simulator failed: {evaluations[-1].message}")

    def end(self, said: m.Finish) -> None:
        """`finish` was carried out."""
        if said.usage is not None:
            self.session.log_usage(tokens=said.usage.tokens, money=said.usage.money)
        self.finish = said

    def _finish(self, params: m.Finish) -> dict[str, Any]:
        self.end(params)
        return {"best": _json(self.session.best)}


def _is_answer(value: Any, outcome: str = "result") -> bool:
    return isinstance(value, dict) and "method" not in value and outcome in value


def _json(evaluation: Evaluation | None) -> dict[str, Any] | None:
    return None if evaluation is None else evaluation.to_json(by_condition=False)


def parsed(line: bytes | None, advice: str) -> Any:
    """The value of a line, None standing for one that was too long. Raises Refused, with `advice`."""
    if line is None:
        raise Refused(m.PARSE_ERROR, f"a line is at most {m.MAX_LINE} bytes; this one is longer")
    try:
        return parse(line)
    except NotStrictJson as error:
        raise Refused(m.PARSE_ERROR, f"{error}. {advice}") from None


def validated(record: type[Record], value: Any, code: int) -> Record:
    """The record that a value is. Raises Refused with `code`, naming the field and those allowed."""
    try:
        return record.model_validate(value)
    except ValidationError as error:
        problem = first_problem(error)
        place = quote(problem.place) + ": " if problem.place else ""
        fields = ", ".join(record.model_fields) or "nothing"
        raise Refused(code, f"{place}{problem.message}. Allowed: {fields}") from None


def unknown(what: str, given: str, known: Iterable[str], code: int) -> Refused:
    """There is no such method, or tool; what there is."""
    names = list(known)
    hint = did_you_mean(given, names, "; did you mean {}?")
    return Refused(code, f"no {what} {quote(given)}{hint} {what.capitalize()}s: {', '.join(names)}")


def success(identity: int | str | None, result: Mapping[str, Any]) -> bytes:
    """The line that answers a request."""
    return encode({"jsonrpc": "2.0", "id": identity, "result": result})


def failure(identity: int | str | None, refused: Refused) -> bytes:
    """The line that says why a request was not carried out."""
    error = {"code": refused.code, "message": str(refused)}
    return encode({"jsonrpc": "2.0", "id": identity, "error": error})
