"""Takes memory until there is none."""

from raw import call, hello, say

design = hello()
taken = []
try:
    while len(taken) < 64:
        taken.append(bytearray(64 << 20))
    say("enough")
except MemoryError:
    say("refused")
call("simulate", designs=[design])
call("finish")
