"""An MCP client that does one thing that it should not: the one that is named."""

import json
import os
import signal
import sys
import time

from mcp_client import Client, connect, request, smallest
from raw import say


def sound():
    client = connect("sound")
    design = smallest(client)
    remaining = client.tool("history")["simulations_left"]
    while remaining:
        answer = client.tool("simulate", designs=[design] * min(2, remaining))
        remaining = answer["simulations_left"]
    client.ask(
        "tools/call", name="finish", arguments={"summary": "all spent"},
        _meta={"acs-gym/usage": {"tokens": 5, "money": 0.25}},
    )  # fmt: skip
    client.close()


def bad_lines():
    """Garbage, a line beyond the limit, what is no JSON to everybody; then a sound call."""
    client = connect()
    codes = []
    for line in (
        b"", b"\xff\xfe", b"hello", b" " * (1 << 20) + b"{}", b"[" * 100_000, b'{"id":1e400}',
        b'{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}', b"[%s]" % request("ping"),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
    ):  # fmt: skip
        client.send(line)
        codes.append(client.receive()["error"]["code"])
    say(codes)
    client.tool("simulate", designs=[smallest(client)])
    client.tool("finish")


def unknown_tool():
    client = connect()
    design = smallest(client)
    say(client.tool("simulte"))
    say(client.tool("simulate", designs=[design | {"score": 1.0}]))
    client.tool("simulate", designs=[design])
    client.tool("finish")


def overspends():
    client = connect()
    design = smallest(client)
    say(client.tool("simulate", designs=[design] * 9))
    for _ in range(100):
        client.tool("simulate", designs=[design])


def lets_a_refusal_through():
    client = connect()
    client.tool("simulate", designs=[smallest(client)] * 9)
    sys.exit(3)


def hangs():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    client = connect()
    client.tool("simulate", designs=[smallest(client)])
    while True:
        time.sleep(60)


def never_connects():
    time.sleep(600)


def never_speaks():
    Client()
    time.sleep(600)


def deaf():
    """Asks without ever reading an answer."""
    client = connect()
    while True:
        client.send(request("tools/list"))


def pings():
    client = connect()
    while client.ask("ping"):
        pass


def notifies():
    """Calls a tool in a notification, which is answered by nothing, for ever."""
    client = connect()
    while True:
        client.send(b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"history"}}')


def exits():
    client = connect()
    client.tool("simulate", designs=[smallest(client)])


def exits_unused():
    smallest(connect())


def fails():
    exits()
    sys.exit("I leave")


def asks_before_it_greets():
    client = Client()
    say(client.ask("tools/call", name="simulate", arguments={})["error"])
    connect_again(client).tool("finish")


def connect_again(client):
    client.close()
    return connect("again")


def leaves_rudely():
    """Asks, and kills the server before it answers."""
    client = connect()
    design = smallest(client)
    client.send(request("tools/call", name="simulate", arguments={"designs": [design]}))
    client.process.kill()
    client.process.wait()
    again = connect("again")
    again.tool("simulate", designs=[design])
    again.tool("finish")


def two_at_once():
    first = connect("first")
    second = Client()
    refused = second.ask("initialize")
    say(refused["error"]["message"])
    say(second.close())
    design = smallest(first)
    first.tool("simulate", designs=[design])
    again = connect_again(first)
    say(again.tool("simulate", designs=[design])["simulations_left"])
    again.tool("finish")


def all_at_once():
    """Every request in one write, and the end of input before an answer is read."""
    client = Client()
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "pipe"}}
    for line in (
        request("initialize", **hello), request("tools/call", name="history"),
        request("tools/call", name="history"), request("tools/call", name="finish"),
    ):  # fmt: skip
        client.process.stdin.write(line + b"\n")
    client.process.stdin.close()
    say(["error" in json.loads(line) for line in client.process.stdout])


def goes_on_after_finish():
    client = connect()
    design = smallest(client)
    client.tool("finish")
    say([client.tool("simulate", designs=[design]) for _ in range(3)])


def tampers_with_its_socket():
    """Removes the socket and what names it; the one who is in stays in."""
    client = connect()
    config = os.environ["ACS_GYM_MCP_CONFIG"]
    for name in os.listdir(os.path.dirname(config)):
        os.remove(os.path.join(os.path.dirname(config), name))
    client.tool("simulate", designs=[smallest(client)])
    client.tool("finish")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
