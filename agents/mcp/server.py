"""A bench in the words of the Model Context Protocol, and over standard input and output.

https://modelcontextprotocol.io/specification describes the protocol. Nothing here knows of designs or
budgets: what a call gives is the bench's business, which all clients share.
"""

from __future__ import annotations

import asyncio

import anyio
import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

import acs_gym
from acs_gym.simulation.driver import SimulatorNotFound
from acs_gym.tools.mcp import NAME, TITLE, no_resource, result
from agents.mcp.bench import Bench

PROMPT = "size-circuit"
_Context = ServerRequestContext


def build_server(bench: Bench) -> Server:
    """The protocol's side of a bench: its tools, and the task as instructions, prompt, resources.

    Many a client shows its model the tools alone, others only what its user picks; so the task is
    offered in each way that the protocol has.
    """
    offered = bench.tools
    prompt = types.Prompt(
        name=PROMPT, title=offered.title, description="The task: circuit, specs, budget."
    )

    async def list_tools(_: _Context, __: object) -> types.ListToolsResult:
        return types.ListToolsResult.model_validate({"tools": offered.tools()})

    async def call_tool(_: _Context, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            answer = await asyncio.wrap_future(bench.ask(asked.name, asked.arguments or {}))
        except SimulatorNotFound as error:
            text = types.TextContent(type="text", text=f"nothing can be simulated: {error}")
            return types.CallToolResult(content=[text], is_error=True)
        return types.CallToolResult.model_validate(result(answer))

    async def list_prompts(_: _Context, __: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[prompt])

    async def get_prompt(_: _Context, asked: types.GetPromptRequestParams) -> types.GetPromptResult:
        if asked.name != PROMPT:
            said = f"no prompt {asked.name[:80]!r}; the one there is: {PROMPT}"
            raise MCPError(types.INVALID_PARAMS, said)
        content = types.TextContent(type="text", text=offered.instructions)
        message = types.PromptMessage(role="user", content=content)
        return types.GetPromptResult(description=prompt.description, messages=[message])

    async def list_resources(_: _Context, __: object) -> types.ListResourcesResult:
        return types.ListResourcesResult.model_validate({"resources": offered.resources()})

    async def read_resource(
        _: _Context, asked: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        contents = offered.contents(str(asked.uri))
        if contents is None:
            raise MCPError(types.INVALID_PARAMS, no_resource(str(asked.uri)))
        return types.ReadResourceResult.model_validate({"contents": [contents]})

    return Server(
        NAME, version=acs_gym.__version__, title=TITLE, instructions=offered.instructions,
        on_list_tools=list_tools, on_call_tool=call_tool,
        on_list_prompts=list_prompts, on_get_prompt=get_prompt,
        on_list_resources=list_resources, on_read_resource=read_resource,
    )  # fmt: skip


def serve_stdio(server: Server) -> None:
    """Talk to the one client at standard input and output, until it closes them."""

    async def talk() -> None:
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    try:
        anyio.run(talk)
    except* BrokenPipeError:
        pass  # The client is gone, and its end of our standard output with it.
