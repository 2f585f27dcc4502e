"""`mcp:COMMAND`: an agent that is an MCP client, such as a language model's command line.

    python -m leaderboard.run --agents "mcp:python my_client.py mcp.json"

In the folder where it starts lies `mcp.json`, which names the server to talk to: the harness, behind a
bridge (bridge.py). It offers the tools of `acs_gym.tools` (docs/wire-protocol.md). The command
runs in the isolation `subprocess`, and as `container:mcp:COMMAND` in `container`. One whose model
is on a server needs the network and a key:

    def mine():
        return McpAgent(
            "my-llm --prompt 'Size the circuit' --mcp-config mcp.json",
            isolation=Subprocess(network=True, environment=("MY_LLM_KEY",)),
        )
"""

from __future__ import annotations

import contextlib
import time

from acs_gym.session import Session
from leaderboard.wire.channel import ChannelClosed, Silent
from leaderboard.wire.command import LAST_BREATH_S, CommandAgent
from leaderboard.wire.exchange import AgentFailed, Patience
from leaderboard.wire.isolation.confined import Confined
from leaderboard.wire.mcp_lines import McpConversation
from leaderboard.wire.mcp_listener import BRIDGE, CONFIG, McpListener


class McpAgent(CommandAgent):
    """Drives a command that speaks the Model Context Protocol, as a client, with the harness."""

    transport, opens = "mcp", "sent initialize"
    own_files = (CONFIG,)
    also = (BRIDGE,)
    # A model has its last words after the tool that it called last.
    usual_patience = Patience(leave_s=60.0)

    def run(self, session: Session) -> None:
        """Answer the command until it calls `finish`, or ends without; see `CommandAgent.run`.

        Many a model stops without calling `finish`. So a command that ends with exit code 0 after a
        simulation has finished too.
        """
        exchange = self._begin(session)
        conversation, listener = McpConversation(exchange), McpListener()
        with contextlib.closing(listener):
            with self._log() as log:
                confined = self.isolation.start(self._resolved, log, listener.open, self.also)
            finished_by, ended_by = "", ""
            try:
                try:
                    self._converse(listener, confined, conversation)
                    finished_by = "finish"
                    self._see_off(listener, confined, conversation)
                except ChannelClosed:
                    confined.close(LAST_BREATH_S)
                    if confined.exit_code != 0 or not session.history:
                        raise self._left(confined, exchange) from None
                    finished_by = "exit"
            except BaseException as error:
                ended_by = f"{type(error).__name__}: {error}"
                raise
            finally:
                confined.close()
                self._write_record(
                    exchange, confined, conversation.late, ended_by,
                    mcp_revision=conversation.revision, finished_by=finished_by,
                    clients=listener.clients, clients_refused=listener.refused,
                )  # fmt: skip

    def _converse(
        self, listener: McpListener, confined: Confined, conversation: McpConversation
    ) -> None:
        exchange, patience = conversation.exchange, self.patience
        while exchange.finish is None:
            left = patience.start_s if exchange.agent is None else patience.answer_s
            try:
                answer = conversation.reply(listener.receive(confined, left))
                if answer is not None:
                    listener.send(answer, left)
            except Silent:
                what = (
                    "connect to its server" if exchange.agent is None else "say anything, or read,"
                )
                raise AgentFailed(f"the agent did not {what} for {left:g} s") from None

    def _see_off(
        self, listener: McpListener, confined: Confined, conversation: McpConversation
    ) -> None:
        """Let the agent end by itself; what it still asks for is answered, and not carried out."""
        deadline = time.monotonic() + self.patience.leave_s
        with contextlib.suppress(ChannelClosed, Silent, AgentFailed):
            while (left := deadline - time.monotonic()) > 0:
                answer = conversation.reply(listener.receive(confined, left))
                if answer is not None:
                    listener.send(answer, left)
        confined.close(max(0.0, deadline - time.monotonic()))
