"""Writes where it should not: the path it was given. And where it may: its own folder."""

import sys

from raw import call, hello, say

hello()
for path in (sys.argv[1], "mine"):
    try:
        with open(path, "w") as stream:
            stream.write("forged")
        say("written")
    except OSError as error:
        say(error.strerror)
call("finish")
