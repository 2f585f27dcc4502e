"""Sends evaluations of its own, and claims a score in every place there is."""

import json

from raw import call, hello, receive, say, send

design = hello()
perfect = {"design": design, "status": "ok", "score": 1.0, "feasible": True}
send(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"evaluations": [perfect]}}).encode())
say(receive()["error"]["code"])
say(call("simulate", designs=[design], evaluations=[perfect])["error"]["code"])
say(call("finish", best=perfect)["error"]["code"])
say(call("simulate", designs=[design])["result"]["evaluations"][0]["score"])
call("finish", recommendation=design)
