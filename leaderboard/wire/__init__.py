"""Agents in any language, as processes that speak JSON-RPC lines or MCP (docs/wire-protocol.md).

    strict_json.py   one line to one JSON value, and nothing that is not JSON
    messages.py      the records of protocol v1
    schema.py        their JSON Schema
    channel.py       lines over two descriptors, with limits and patience
    exchange.py      what is answered to each line; no process, no descriptor
    isolation/       a command in a process that holds little and can reach little
    command.py       what agents that are commands have in common
    stdio.py         the leaderboard's agent that drives a command
    mcp_lines.py     what is answered to each line of an MCP client
    mcp_listener.py  the socket that MCP clients connect to, one client at a time
    bridge.py        the program between an MCP client and that socket
    mcp.py           the leaderboard's agent that drives a command that is an MCP client

Nothing here but `isolation/levels.py`, which says what the levels are, is imported before an agent is
named `stdio:COMMAND` or `mcp:COMMAND`, alone or after `container:`.
"""
