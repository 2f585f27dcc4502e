"""Asks without ever reading an answer."""

import os

from raw import hello

hello()
while True:
    os.write(4, b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
