"""Parameters called like paths, and like what a template or a netlist might expand."""

from raw import call, hello, say

design = hello()
names = ["../../etc/passwd", "/dev/null", "a\nb", "\u0000", "{w_pair}", ".include x", "<script>"]
answer = call("simulate", designs=[{**design, name: 1.0} for name in names])
say([e["status"] for e in answer["result"]["evaluations"]])
say(call("simulate", designs=[{"x" * 101: 1.0}])["error"]["code"])
say(call("simulate", designs=[{f"x{k}": 1.0 for k in range(1000)}])["error"]["code"])
call("finish")
