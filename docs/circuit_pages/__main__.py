"""Write the pages of the bundled circuits, or check that the committed ones are up to date."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from acs_gym.circuit import Circuit
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import BUNDLED
from docs.circuit_pages import numbers, page
from docs.circuit_pages.sheet import Sheet

DOCS = Path(__file__).parents[1]
PAGES, IMAGES = DOCS / "circuits", DOCS / "images" / "circuits"
FOLDERS = tuple(sorted(p.parent.name for p in BUNDLED.glob("*/circuit.toml")))


def draw(circuit: Circuit) -> Sheet:
    """The circuit's schematic. Raises ModuleNotFoundError when nobody has drawn it."""
    sheet = Sheet(circuit.dut)
    import_module(f"docs.circuit_pages.schematics.{circuit.name}").draw(sheet)
    return sheet


def texts(circuit: Circuit) -> dict[Path, bytes]:
    """Every file of a page that takes no simulator, from the numbers stored beside it."""
    stored = numbers.read(PAGES / f"{circuit.name}.json")
    return {
        IMAGES / f"{circuit.name}-schematic.svg": draw(circuit).to_svg(),
        PAGES / f"{circuit.name}.md": page.render(circuit, stored).encode(),
    }


def index() -> dict[Path, bytes]:
    circuits = [load_circuit(BUNDLED / name) for name in FOLDERS]
    return {PAGES / "README.md": page.render_index(circuits).encode()}


def problems(circuit: Circuit) -> list[str]:
    """Every way in which a circuit's committed page is not what its folder makes."""
    path = PAGES / f"{circuit.name}.json"
    if not path.exists():
        return [f"{circuit.name} has no page"]
    old = [f"{circuit.name} on {what}" for what in numbers.stale(circuit, numbers.read(path))]
    return old + _differing(texts(circuit))


def _differing(files: dict[Path, bytes]) -> list[str]:
    return [
        f"{path.relative_to(DOCS.parent)} is not what its folder makes"
        for path, text in files.items()
        if not path.exists() or path.read_bytes() != text
    ]


def _write(circuit: Circuit) -> None:
    path = PAGES / f"{circuit.name}.json"
    before = numbers.read(path) if path.exists() else None
    waveforms = IMAGES / f"{circuit.name}-waveforms.svg"
    numbers.write(path, numbers.simulate(circuit, before, waveforms))
    for file, text in texts(circuit).items():
        file.write_bytes(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.circuit_pages", description=__doc__)
    parser.add_argument("circuits", nargs="*", metavar="CIRCUIT", help="folders; all by default")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    arguments = parser.parse_args()
    names = arguments.circuits or FOLDERS
    if unknown := sorted(set(names) - set(FOLDERS)):
        parser.error(f"no circuit {', '.join(unknown)}; there are: {', '.join(FOLDERS)}")
    circuits = [load_circuit(BUNDLED / name) for name in names]
    if arguments.check:
        found = [p for c in circuits for p in problems(c)] + _differing(index())
        for problem in found:
            print(problem, file=sys.stderr)
        if found:
            print("python -m docs.circuit_pages makes them anew", file=sys.stderr)
        return 1 if found else 0
    for folder in (PAGES, IMAGES):
        folder.mkdir(parents=True, exist_ok=True)
    for circuit in circuits:
        _write(circuit)
        print(f"wrote {(PAGES / circuit.name).relative_to(DOCS.parent)}.md")
    for file, text in index().items():
        file.write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
