"""Agents in any language, as processes that speak JSON-RPC lines (docs/wire-protocol.md).

    strict_json.py   one line to one JSON value, and nothing that is not JSON
    messages.py      the records of protocol v1
    schema.py        their JSON Schema
    channel.py       lines over two descriptors, with limits and patience
    exchange.py      what is answered to each line; no process, no descriptor
    isolation.py     a command in a process that holds little and can reach little
    probe.py         what such a process cannot do on this machine, found by trying
    supervisor.py    the program between the harness and the agent
    stdio.py         the leaderboard's agent that drives a command
    conformance.py   what is wrong with an agent of any kind, found by running it

Nothing here is imported before an agent is named `stdio:COMMAND`.
"""
