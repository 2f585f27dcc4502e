"""Asks for more than there is, whole batches and one by one, and ignores every refusal."""

from raw import call, hello, say

design = hello()
say(call("simulate", designs=[design] * 9)["error"])
for _ in range(100):
    call("simulate", designs=[design])
