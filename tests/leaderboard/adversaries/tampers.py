"""Forges results: of every cell in the folder that it was given, and in its own cell's files.

Only there, whatever else it finds. What it managed to do goes to the log: what it saw of the folder
through /proc, and every file that it changed.
"""

import json
import os
import sys

from raw import call, hello, say

runs = sys.argv[1]


def seen():
    """Processes whose command line, folder or open files show where results are written."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        if int(process) == os.getpid():
            continue
        folder = f"/proc/{process}"
        try:
            with open(f"{folder}/cmdline") as stream:
                yield stream.read()
            for link in [
                f"{folder}/cwd",
                *(f"{folder}/fd/{n}" for n in os.listdir(f"{folder}/fd")),
            ]:
                yield os.readlink(link)
        except OSError:
            pass


def forge(path, change):
    try:
        with open(path, "r+") as stream:
            text = change(stream.read())
            stream.seek(0)
            stream.write(text)
            stream.truncate()
        return "forged"
    except OSError as error:
        return error.strerror


def perfect(text):
    result = json.loads(text) | {"score": 1.0, "feasible": True}
    result["best"]["score"] = result["verified"]["score"] = 1.0
    return json.dumps(result)


def better(text):
    return text.replace('"feasible":false', '"feasible":true')


design = hello()
call("simulate", designs=[design])
done = {}
for cell in sorted(os.listdir(runs)):
    for name, change in (("result.json", perfect), ("trace.jsonl", better)):
        path = os.path.join(runs, cell, name)
        if os.path.exists(path):
            done[f"{cell}/{name}"] = forge(path, change)
say({"seen": any(runs in text for text in seen() if sys.argv[0] not in text), "done": done})
call("simulate", designs=[design | {"w_pair": 2e-6}])
call("finish")
