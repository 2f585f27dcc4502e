"""Connects to the port it was given."""

import socket
import sys

from raw import call, hello, say

hello()
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as connection:
        connection.sendall(b"secret")
    say("connected")
except OSError as error:
    say(error.strerror)
call("finish")
