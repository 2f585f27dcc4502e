"""Random search as an MCP client. Needs the `mcp` package. Try it from the repository:

python -m leaderboard.check_agent "mcp:python examples/third_party/mcp_agent.py mcp.json"

A language model's command line would read `mcp.json` in the same way, and call the same tools.
"""

import json
import random
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import Implementation


def server(config):
    """How the server that `mcp.json` names is started."""
    with open(config) as stream:
        (entry,) = json.load(stream)["mcpServers"].values()
    return StdioServerParameters(**entry)


async def call(client, tool, **arguments):
    """The result of a tool. What was not carried out is an answer too, and says what is allowed."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise SystemExit(result.content[0].text)
    return json.loads(result.content[0].text)


def draw(rng, parameter):
    """One parameter of a design, within its bounds, on its scale."""
    low, high = parameter["low"], parameter["high"]
    if parameter["integer"]:
        return rng.randint(int(low), int(high))
    if parameter["scale"] == "log":
        return min(high, low * (high / low) ** rng.random())
    return rng.uniform(low, high)


async def main():
    me = Implementation(name="random-mcp", version="1")
    async with Client(server(sys.argv[1]), client_info=me) as client:
        # A model is told the task in words, by `client.instructions`; this is the same for a program.
        record = await client.read_resource("acs-gym://task.json")
        told = json.loads(record.contents[0].text)
        rng, remaining = random.Random(told["seed"]), told["budget"]
        while remaining:
            design = {p["name"]: draw(rng, p) for p in told["task"]["parameters"]}
            answer = await call(client, "simulate", designs=[design])
            remaining = answer["simulations_left"]
            print(answer["results"][0]["status"], answer["results"][0]["score"])
        await call(client, "finish", summary="The budget is spent.")


anyio.run(main)
