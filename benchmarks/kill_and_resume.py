"""Does a run that is killed at any moment lose nothing?

    python benchmarks/kill_and_resume.py --json benchmarks/results/kill_and_resume.json

Small cells (OTA, bundled models, 8 simulations; random, Sobol, CMA-ES) run once undisturbed. Then, 50
times, a run is killed with SIGKILL at a random moment and started again until it is done. A moment is
a number of evaluations on disk, drawn uniformly, and up to 50 ms more (or 2 s, before the first and
after the last). What is killed takes turns:

    run    the process group of `leaderboard.run`; its cell processes find themselves alone
    tree   that, every cell process and every simulator at once, as when the power fails
    cell   one cell process; the run goes on

Every file must then equal the undisturbed run's, times and fingerprints apart, no process may run
on, and, unless the simulators themselves were killed, no temporary file may be left. Stops with an
error at the first violation.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resumable import Parts

from acs_gym.simulation.version import simulator_version

ROOT = Path(__file__).parents[1]
EVALUATIONS = 3 * 2 * 8
MODES = ("run", "tree", "cell")
# What may differ between two runs of one cell: when, how long, on what machine.
VOLATILE = (
    "timing", "fingerprint", "seconds", "trace_sha256", "result_sha256", "at", "signature",
)  # fmt: skip
_MARK = "ACS_GYM_KILL_TRIAL"
_PATIENCE_S = 120.0


class Violation(Exception):
    """Something was lost, or left behind."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One kill: `after` so many evaluations were on disk, and `delay_s` more.

    Attributes:
        killed: processes.
        done, recorded: cells finished and evaluations on disk right after it.
        resumes: runs it then took.
    """

    mode: str
    after: int
    delay_s: float
    killed: int
    done: int
    recorded: int
    resumes: int


def options(out: Path, *more: str) -> list[str]:
    return [
        "--tasks", "ota5t", "--pdk", "generic", "--agents", "random,sobol,cma-es",
        "--budget", "8", "--seeds", "2", "--jobs", "2", "--out", str(out), *more,
    ]  # fmt: skip


class Run:
    """`leaderboard.run` as a process whose every descendant can be found again."""

    def __init__(self, arguments: list[str], temporary: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "leaderboard.run", *arguments], cwd=ROOT,
            env={**os.environ, _MARK: self.mark, "TMPDIR": str(temporary)},
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def finish(self) -> int:
        try:
            return self.process.wait(timeout=_PATIENCE_S)
        finally:
            self.log.seek(0)
            self.said = self.log.read()
            self.log.close()

    def processes(self) -> list[int]:
        """The processes of this run, itself included; those that wait to be reaped are not."""
        wanted = f"{_MARK}={self.mark}".encode()
        return [p for p in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _has(p, wanted)]

    def cells(self) -> list[int]:
        """The cell processes: children of the run's own."""
        return [p for p in self.processes() if _parent(p) == self.process.pid]

    def kill(self, mode: str, rng: random.Random) -> int:
        """Kill what `mode` says; how many processes that were."""
        match mode:
            case "run":
                os.killpg(self.process.pid, signal.SIGKILL)
                return 1
            case "tree":
                victims = self.processes()
            case _:
                cells = sorted(self.cells())
                victims = [rng.choice(cells)] if cells else []
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(victims)

    def wait_until_gone(self) -> None:
        """Raises Violation when a process of a run that is over runs on."""
        deadline = time.monotonic() + _PATIENCE_S
        while left := self.processes():
            if time.monotonic() > deadline:
                raise Violation(f"processes run on after the run: {left}")
            time.sleep(0.01)


def comparable(out: Path) -> dict[str, Any]:
    """Every file of every cell, without what may differ between two runs."""
    kept: dict[str, Any] = {}
    for path in sorted(p for p in out.glob("*/*") if p.is_file()):
        text = path.read_text()
        if path.name in ("result.json", "spec.json", "verified.json"):
            records = [json.loads(text)]
        elif path.name == "trace.jsonl":
            records = [json.loads(line) for line in text.splitlines()]
        else:
            kept[str(path.relative_to(out))] = text
            continue
        for record in records:
            for name in VOLATILE:
                record.pop(name, None)
        kept[str(path.relative_to(out))] = json.dumps(records)  # Order of names included.
    return kept


def recorded(out: Path) -> int:
    return sum(p.read_bytes().count(b"\n") for p in out.glob("*/trace.jsonl"))


def kill_and_resume(
    folder: Path, mode: str, after: int, rng: random.Random, expected: dict[str, Any]
) -> Trial:
    """One trial in an empty folder. Raises Violation."""
    out, temporary = folder / "runs", folder / "tmp"
    temporary.mkdir()
    delay_s = rng.uniform(0.0, 0.05 if 0 < after < EVALUATIONS else 2.0)
    run = Run(options(out), temporary)
    while recorded(out) < after and run.process.poll() is None:
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(timeout=delay_s)
    killed = run.kill(mode, rng) if run.process.poll() is None else 0
    code = run.finish()
    if mode != "cell":
        run.wait_until_gone()
    done, lines = len(list(out.glob("*/result.json"))), recorded(out)
    resumes = 0
    while code != 0:
        if resumes == 3:
            raise Violation(f"not done after {resumes} resumes: {run.said}")
        before = recorded(out)
        run = Run(options(out), temporary)
        code, resumes = run.finish(), resumes + 1
        if recorded(out) < before:
            raise Violation("a resume lost evaluations")
    run.wait_until_gone()
    if (found := comparable(out)) != expected:
        differing = [n for n in {**found, **expected} if found.get(n) != expected.get(n)]
        raise Violation(f"{mode} after {after} evaluations: {', '.join(sorted(differing))} differ")
    # Killed together with its simulators, nobody is left to remove their folders.
    if mode == "run" and (left := os.listdir(temporary)):
        raise Violation(f"left in the temporary folder: {left}")
    return Trial(mode, after, round(delay_s, 4), killed, done, lines, resumes)


def _has(pid: int, wanted: bytes) -> bool:
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    command = "python benchmarks/kill_and_resume.py " + " ".join(sys.argv[1:])
    parts = Parts(arguments.json, {"command": command, "ngspice": str(simulator_version())})
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="acs-gym-kill-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        start = time.monotonic()
        run = Run(options(folder / "runs"), folder / "tmp")
        if run.finish() != 0:
            sys.exit(f"the undisturbed run failed:\n{run.said}")
        whole = time.monotonic() - start
        expected = comparable(folder / "runs")
        print(f"undisturbed: {whole:.1f} s, {recorded(folder / 'runs')} evaluations")
        for number in range(arguments.kills):
            # A generator a trial, so that one does not depend on which were run before it.
            rng = random.Random(f"{arguments.seed} {number}")
            mode, after = MODES[number % len(MODES)], rng.randint(0, EVALUATIONS)
            trial = folder / f"trial-{number}"
            trial.mkdir()

            def killed(
                trial: Path = trial, mode: str = mode, after: int = after, rng: random.Random = rng
            ) -> dict[str, Any]:
                return asdict(kill_and_resume(trial, mode, after, rng, expected))

            try:
                trials.append(Trial(**parts.get(f"trial {number}", killed)))
            except Violation as violation:
                sys.exit(f"VIOLATION in trial {number}: {violation}")
            print(f"{number + 1}/{arguments.kills} {trials[-1]}", flush=True)
    document = {
        "command": command,
        "undisturbed_s": round(whole, 2),
        "evaluations": EVALUATIONS,
        "kills": dict(collections.Counter(t.mode for t in trials if t.killed)),
        "during_cells": sum(0 < t.recorded < EVALUATIONS for t in trials),
        "violations": 0,
        "trials": [asdict(t) for t in trials],
    }
    print(json.dumps({k: v for k, v in document.items() if k != "trials"}, indent=2))
    parts.finish(document, indent=2)


if __name__ == "__main__":
    main()
