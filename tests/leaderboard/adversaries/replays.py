"""Hands in another cell's trace as its own: the scores, then the designs, then the best as its own."""

import json
import os
import sys

from raw import call, hello, say

hello()
with open(os.path.join(sys.argv[1], "trace.jsonl")) as stream:
    theirs = [json.loads(line)["evaluation"] for line in stream]
designs = [evaluation["design"] for evaluation in theirs]
say(call("simulate", designs=designs, evaluations=theirs)["error"]["code"])
say(call("finish", best=max(theirs, key=lambda e: e["score"]))["error"]["code"])
say(call("simulate", designs=theirs)["error"]["code"])
mine = call("simulate", designs=designs)["result"]["evaluations"]
say([[a["score"], b["score"]] for a, b in zip(theirs, mine, strict=True)])
call("finish", recommendation=designs[0])
