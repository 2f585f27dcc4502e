"""How many public SKY130 netlists use only devices that an X line may name here?

    python benchmarks/device_coverage.py                    # the names in results/device_names.json
    python benchmarks/device_coverage.py FOLDER_OR_FILE ... # SPICE netlists on this machine

A name that is served says nothing of the line's nodes and parameters.
"""

from __future__ import annotations

import argparse
import collections
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from acs_gym.pdks import signatures
from acs_gym.pdks.spice_library import logical_lines, split_line

NAMES = Path(__file__).parent / "results" / "device_names.json"
SUFFIXES = (".spice", ".sp", ".cir", ".spi")
PREFIX = "sky130_fd_pr__"
CORE = {"nfet_01v8", "pfet_01v8"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("netlists", nargs="*", type=Path)
    paths = parser.parse_args().netlists
    files = dict(scanned(paths)) if paths else recorded()
    if not files:
        raise SystemExit("no netlist with a device of sky130_fd_pr")
    ours = {name.removeprefix(PREFIX) for name in signatures() if name.startswith(PREFIX)}
    print(f"{len(files)} files of {len({repository for repository, _ in files})} repositories")
    report("nfet_01v8 and pfet_01v8 alone", files, CORE)
    report(f"all {len(ours)} SKY130 devices", files, ours)
    missing = collections.Counter(name for names in files.values() for name in names - ours)
    for name, count in missing.most_common():
        print(f"  missing in {count}: {name}")


def report(
    what: str, files: Mapping[tuple[str, str], Collection[str]], served: Collection[str]
) -> None:
    count = sum(set(names) <= set(served) for names in files.values())
    print(f"{what}: {count} files, {count / len(files):.1%}")


def recorded() -> dict[tuple[str, str], set[str]]:
    """(repository, path) -> the devices of a file, without their prefix."""
    repositories = json.loads(NAMES.read_text())["files"]
    return {(r, path): set(names) for r, of in repositories.items() for path, names in of.items()}


def scanned(paths: list[Path]) -> Iterator[tuple[tuple[str, str], set[str]]]:
    """The same of files here; each argument counts as a repository."""
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and (file == path or file.suffix in SUFFIXES):
                names = devices(file.read_text(errors="replace"))
                if names:
                    yield (str(path), str(file)), names


def devices(text: str) -> set[str]:
    """What the elements of a netlist name, but for subcircuits of its own."""
    lines = [split_line(line)[0] for line in logical_lines(text)]
    own = {words[1] for words in lines if words[0] == ".subckt"}
    named = {words[-1] for words in lines if words and words[0][0].isalpha()}
    return {name.removeprefix(PREFIX) for name in named - own if name.startswith(PREFIX)}


if __name__ == "__main__":
    main()
