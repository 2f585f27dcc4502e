"""Files of studies that may be stopped at any time: a line a run, then one document of them all."""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from acs_gym.threads import ONE_THREAD

Run = TypeVar("Run")
Finished = TypeVar("Finished")
Found = TypeVar("Found")


class Parts:
    """The finished parts of a study whose result is one JSON document at `path`.

    Each is kept in a file beside the document as soon as it is there, so that the same command goes on
    where it was stopped; `finish` writes the document and removes that file. Parts of another study
    (`of`: options, versions, whatever a number depends on) are not looked at. Without a path nothing is
    kept. A part is JSON, and what comes back is what JSON makes of it.
    """

    def __init__(self, path: Path | None, of: Mapping[str, Any]) -> None:
        self._path = path
        self._of = json.loads(json.dumps(of))
        self._known = {
            line["part"]: line["found"] for line in self._lines() if line["of"] == self._of
        }

    @property
    def file(self) -> Path | None:
        return None if self._path is None else self._path.with_suffix(".parts.jsonl")

    def get(self, part: str, measure: Callable[[], Found]) -> Found:
        """What is known of a part, else measured and kept."""
        if part not in self._known:
            found = json.loads(json.dumps(measure()))
            if self.file is not None:
                append(self.file, {"of": self._of, "part": part, "found": found})
            self._known[part] = found
        known: Found = self._known[part]
        return known

    def finish(self, content: Any, indent: int = 1) -> None:
        """The study is whole: its document instead of its parts."""
        if self._path is None or self.file is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(content, indent=indent) + "\n")
        self.file.unlink(missing_ok=True)

    def _lines(self) -> list[dict[str, Any]]:
        return [] if self.file is None else lines(self.file)


def run_each(
    function: Callable[[Run], Finished], runs: Sequence[Run], jobs: int
) -> Iterator[Finished]:
    """What each run gives, as it ends: a process a run, `jobs` at once. An error ends the study."""
    os.environ |= ONE_THREAD  # Inherited by the processes of the runs, which load a BLAS.
    pool = multiprocessing.get_context("spawn").Pool(
        jobs,
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
        maxtasksperchild=1,
    )
    with pool:
        yield from pool.imap_unordered(function, runs)


def run_groups(
    path: Path,
    wanted: Sequence[Mapping[str, Any]],
    function: Callable[[list[Any]], list[dict[str, Any]]],
    by: Sequence[str],
    jobs: int,
) -> list[dict[str, Any]]:
    """The finished run of each that is wanted, in that order; those not in the file are run and appended.

    Those with the same values of `by` share a process, since each would load its libraries anew.
    """
    done = lines(path)
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for w in wanted:
        if not any(w.items() <= d.items() for d in done):
            groups[tuple(w[name] for name in by)].append(w)
    for finished in run_each(function, list(groups.values()), jobs):
        for run in finished:
            append(path, run)
        done += finished
        print(*(finished[0][name] for name in by), file=sys.stderr, flush=True)
    return [next(d for d in done if w.items() <= d.items()) for w in wanted]


def lines(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a file; one that was cut off by an interrupt is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def append(path: Path, run: Mapping[str, Any]) -> None:
    """One more finished run, on a line of its own whatever the file ends with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a") as file:
        file.write("\n" * torn + json.dumps(run, separators=(",", ":")) + "\n")


def document(path: Path) -> list[dict[str, Any]]:
    """The runs of a committed document; none where there is no such file."""
    if not path.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"]
    return runs


def write(path: Path, content: Mapping[str, Any]) -> None:
    """The document: the command that made it first, then a line a run, so that two can be compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = Path(sys.argv[0]).resolve()
    here = Path(__file__).resolve().parent
    name = script.relative_to(here) if script.is_relative_to(here) else script.name
    command = f"python benchmarks/{name} {shlex.join(sys.argv[1:])}"
    whole = {"command": command, **{k: v for k, v in content.items() if k != "runs"}, "runs": []}
    head = json.dumps(whole, separators=(",", ":")).removesuffix("]}")
    runs = ",".join("\n" + json.dumps(run, separators=(",", ":")) for run in content["runs"])
    path.write_text(f"{head}{runs}]}}\n")
