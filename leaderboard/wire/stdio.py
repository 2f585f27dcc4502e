"""`stdio:COMMAND`: an agent in any language, as a process that is asked and answers in lines.

    python -m leaderboard.run --agents "stdio:python my_agent.py"

The command reads from descriptor 3 and writes to descriptor 4 (docs/wire-protocol.md), so it may print
what it likes. It runs in the level of isolation `subprocess`, and as `container:stdio:COMMAND` in
`container`. For other limits, or with the network, a factory of your own is named instead:

    def mine():
        return StdioAgent("python my_agent.py", isolation=Subprocess(network=True))
"""

from __future__ import annotations

import contextlib
import time

from acs_gym.session import Session
from leaderboard.wire.channel import Channel, ChannelClosed, Silent
from leaderboard.wire.command import LAST_BREATH_S, CommandAgent
from leaderboard.wire.exchange import AgentFailed, Exchange
from leaderboard.wire.isolation.confined import Confined


class StdioAgent(CommandAgent):
    """Drives a command that speaks protocol v1 on its descriptors 3 and 4."""

    transport, opens = "stdio", "answered initialize"

    def run(self, session: Session) -> None:
        """Answer the command until it sends `finish`; see `CommandAgent.run`."""
        exchange = self._begin(session)
        with self._log() as log:
            confined = self.isolation.start(self._resolved, log)
        late, ended_by = 0, ""
        try:
            channel = Channel(confined.read, confined.write)
            try:
                self._converse(channel, exchange)
                # A runtime may not end before the read that it waits in does.
                confined.end_writing()
                late = self._see_off(channel, confined)
            except ChannelClosed:
                confined.close(LAST_BREATH_S)
                raise self._left(confined, exchange) from None
        except BaseException as error:
            ended_by = f"{type(error).__name__}: {error}"
            raise
        finally:
            confined.close()
            self._write_record(exchange, confined, late, ended_by)

    def _converse(self, channel: Channel, exchange: Exchange) -> None:
        patience = self.patience
        channel.send(exchange.opening(), patience.start_s)
        while exchange.finish is None:
            left = patience.start_s if exchange.agent is None else patience.answer_s
            try:
                answer = exchange.reply(channel.receive(left))
                if answer is not None:
                    channel.send(answer, left)
            except Silent:
                what = "answer initialize" if exchange.agent is None else "say anything, or read,"
                raise AgentFailed(f"the agent did not {what} for {left:g} s") from None

    def _see_off(self, channel: Channel, confined: Confined) -> int:
        """Wait for the agent to end; how many lines it still wrote, none of which is carried out."""
        deadline, lines = time.monotonic() + self.patience.leave_s, 0
        with contextlib.suppress(ChannelClosed, Silent):
            while (left := deadline - time.monotonic()) > 0:
                channel.receive(left)
                lines += 1
        confined.close(max(0.0, deadline - time.monotonic()))
        return lines
