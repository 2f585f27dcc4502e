"""A harness of verifiers that plays without a model: the middle design, then one that it is told."""

from __future__ import annotations

import json
import os

import verifiers.v1 as vf
from mcp import Client


class ScriptedConfig(vf.HarnessConfig):
    pass


class ScriptedHarness(vf.Harness[ScriptedConfig]):
    SUPPORTS_MCP, EXECUTES_CODE, NEEDS_CONTAINER = True, False, False

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data):
        (url,) = mcp_urls.values()
        async with Client(url) as client:
            for design in json.loads(os.environ["SCRIPTED_DESIGNS"]):
                await client.call_tool("simulate", {"designs": [design]})
            tools = (await client.list_tools()).tools
        return vf.ProgramResult(0, json.dumps([tool.name for tool in tools]), "")


__all__ = ["ScriptedHarness"]
