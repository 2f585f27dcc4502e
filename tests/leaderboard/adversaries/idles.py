"""Asks how it stands, for ever."""

from raw import call, hello

hello()
while call("status"):
    pass
