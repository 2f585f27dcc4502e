"""An MCP client without manners, for the adversaries that speak MCP. Standard library only."""

import json
import os
import subprocess


class Client:
    """The server that `mcp.json` names, as a child; nothing is sent but what is asked for."""

    def __init__(self):
        with open(os.environ["ACS_GYM_MCP_CONFIG"]) as stream:
            (entry,) = json.load(stream)["mcpServers"].values()
        self.process = subprocess.Popen(
            [entry["command"], *entry["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def send(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, method, **params):
        self.send(request(method, **params))
        return self.receive()

    def tool(self, name, **arguments):
        """What the tool answered, be it an error."""
        answer = self.ask("tools/call", name=name, arguments=arguments)
        return answer["result"]["structuredContent"]

    def close(self):
        """Leave, as clients do; the exit code of the server."""
        self.process.stdin.close()
        self.process.stdout.read()
        return self.process.wait()


def request(method, **params):
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return json.dumps(message).encode()


def connect(name="adversary"):
    """A client that has shaken hands."""
    client = Client()
    client.ask(
        "initialize", protocolVersion="2025-06-18", capabilities={},
        clientInfo={"name": name, "version": "1"},
    )  # fmt: skip
    client.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    return client


def smallest(client):
    """The task's smallest design, a poor one."""
    answer = client.ask("resources/read", uri="acs-gym://task.json")
    record = json.loads(answer["result"]["contents"][0]["text"])
    return {p["name"]: p["low"] for p in record["task"]["parameters"]}
