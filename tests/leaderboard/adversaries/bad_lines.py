"""One line of each kind that is not to be understood, and then a sound run."""

from raw import call, hello, receive, say, send

design = hello()
simulate = b'{"jsonrpc":"2.0","id":1,"method":"simulate","params":{"designs":[{"w_pair":%s}]}}'
LINES = {
    "nan": simulate % b"NaN",
    "infinity": simulate % b"-Infinity",
    "too large": simulate % b"1e400",
    "huge integer": simulate % (b"9" * 5000),
    "twice": simulate % b'1,"w_pair":2',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "not utf-8": b'{"jsonrpc":"2.0","id":"\xff\xfe"}',
    "surrogate": b'{"jsonrpc":"2.0","id":"\\ud800"}',
    "long": b" " * (1 << 20) + b"{}",
    "empty": b"",
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"status"}]',
    "no id": b'{"jsonrpc":"2.0","method":"status"}',
    "extra field": b'{"jsonrpc":"2.0","id":1,"method":"status","score":1}',
    "text for a number": simulate % b'"1e-6"',
    "unknown method": b'{"jsonrpc":"2.0","id":1,"method":"simulat"}',
}
codes = {}
for name, line in LINES.items():
    send(line)
    codes[name] = receive()["error"]["code"]
say(codes)
call("simulate", designs=[design])
call("finish")
