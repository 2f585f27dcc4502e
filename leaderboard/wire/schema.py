"""python -m leaderboard.wire.schema: write the JSON Schema of protocol v1, made from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from leaderboard.wire.messages import METHODS, Answer, Error, Initialize, Request

PATH = Path(__file__).with_name("schemas") / "protocol-v1.json"
_REF = "#/$defs/{model}"


def protocol_schema() -> dict[str, Any]:
    """JSON Schema 2020-12: any line of the agent's, or of the harness's, under `$defs`."""
    records: list[type[BaseModel]] = [Initialize, Answer, Error, Request]
    records += [record for pair in METHODS.values() for record in pair]
    _, generated = models_json_schema([(r, "validation") for r in records], ref_template=_REF)
    definitions = generated["$defs"]
    del definitions["Request"]
    agent = [_request(name, params.__name__) for name, (params, _) in METHODS.items()]
    harness = [_result(result.__name__) for _, result in METHODS.values()]
    definitions["AgentLine"] = {"anyOf": [_ref("Answer"), *agent, _failure()]}
    definitions["HarnessLine"] = {
        "anyOf": [_request("initialize", "Initialize"), *harness, _failure()]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ACS-Gym agent protocol v1",
        "description": "One line of it, either way; see $defs/AgentLine and $defs/HarnessLine.",
        "anyOf": [_ref("AgentLine"), _ref("HarnessLine")],
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The schema as its file holds it."""
    return json.dumps(protocol_schema(), indent=2) + "\n"


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=name)}


_ID = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 100}]}


def _envelope(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"jsonrpc": {"const": "2.0"}, **properties},
        "required": ["jsonrpc", "id", *required],
        "additionalProperties": False,
    }


def _request(method: str, params: str) -> dict[str, Any]:
    required = ["method"] if method in ("status", "finish") else ["method", "params"]
    return _envelope(required, id=_ID, method={"const": method}, params=_ref(params))


def _result(record: str) -> dict[str, Any]:
    return _envelope(["result"], id=_ID, result=_ref(record))


def _failure() -> dict[str, Any]:
    identity = {"anyOf": [*_ID["anyOf"], {"type": "null"}]}
    return _envelope(["error"], id=identity, error=_ref("Error"))


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(PATH)
