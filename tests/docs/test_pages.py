"""Every bundled circuit has a page, and the page says what the circuit is."""

from __future__ import annotations

import math

import pytest

import acs_gym
from acs_gym.circuit import Circuit
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import BUNDLED
from acs_gym.simulation.pool import Simulator
from docs.circuit_pages import numbers
from docs.circuit_pages.__main__ import FOLDERS, IMAGES, PAGES, index, problems

_LARGEST_PICTURE = 225_000


@pytest.fixture(params=FOLDERS)
def circuit(request: pytest.FixtureRequest) -> Circuit:
    return load_circuit(BUNDLED / str(request.param))


def test_the_page_is_up_to_date(circuit: Circuit) -> None:
    assert problems(circuit) == [], f"run: python -m docs.circuit_pages {circuit.name}"


def test_the_index_is_up_to_date() -> None:
    for path, text in index().items():
        assert path.read_bytes() == text, "run: python -m docs.circuit_pages"


def test_no_page_is_left_of_a_circuit_that_is_gone() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} == {*FOLDERS, "README"}
    assert {p.stem for p in PAGES.glob("*.json")} == set(FOLDERS)
    pictures = {f"{name}-{what}" for name in FOLDERS for what in ("schematic", "waveforms")}
    assert {p.stem for p in IMAGES.iterdir()} == pictures


@pytest.mark.parametrize("pdk", ["sky130", "generic"])
def test_the_numbers_are_those_of_the_references(
    circuit: Circuit, pdk: str, in_process: Simulator
) -> None:
    """At nominal; the digests speak for the other tiers."""
    if not acs_gym.get_pdk(pdk).available():
        pytest.skip(f"the models of {pdk} are not here")
    task = acs_gym.make_task(circuit.id, pdk=pdk)
    assert task.reference is not None
    stored = numbers.read(PAGES / f"{circuit.name}.json").measured[pdk]["tt"].metrics
    found = task.session(simulator=in_process).simulate(task.reference).metrics
    assert stored.keys() == found.keys()
    # What ought to be zero (an offset, a regulation) is as far from it as rounding takes it.
    scale = {s.metric: s.target for t in circuit.tiers for s in circuit.specs(pdk, t)}
    for name, value in found.items():
        near_zero = 1e-3 * abs(scale.get(name, 0.0))
        assert math.isclose(stored[name], value, rel_tol=2e-3, abs_tol=near_zero), name


def test_every_metric_is_drawn_or_stated(circuit: Circuit) -> None:
    page = (PAGES / f"{circuit.name}.md").read_text()
    drawing = (IMAGES / f"{circuit.name}-waveforms.svg").read_text()
    drawn = numbers.read(PAGES / f"{circuit.name}.json").drawn
    stated = page.split("Single points")[-1].split("## How it is measured")[0]
    for name in (*(m.name for m in circuit.file.metric), "area"):
        assert f">{name} " in drawing if name in drawn else f"`{name}` " in stated


def test_pictures_are_light(circuit: Circuit) -> None:
    for what in ("schematic", "waveforms"):
        assert (IMAGES / f"{circuit.name}-{what}.svg").stat().st_size < _LARGEST_PICTURE


def test_a_page_says_all_that_its_folder_does(circuit: Circuit) -> None:
    page = (PAGES / f"{circuit.name}.md").read_text()
    for line in (circuit.file.title, circuit.id, circuit.file.description.strip()):
        assert line in page
    for entry in (*circuit.file.parameter, *circuit.file.metric):
        described = entry.description.replace("|", r"\|")
        assert f"| `{entry.name}` | {described} |" in page
    for bench in circuit.file.bench:
        assert circuit.netlists[bench.netlist].rstrip() in page
    for gate in circuit.file.gate:
        assert gate.description in page


def test_numbers_of_another_version_are_noticed(circuit: Circuit) -> None:
    stored = numbers.read(PAGES / f"{circuit.name}.json")
    old = {
        pdk: {tier: m.model_copy(update={"digest": "0" * 64}) for tier, m in tiers.items()}
        for pdk, tiers in stored.measured.items()
    }
    found = numbers.stale(circuit, stored.model_copy(update={"measured": old}))
    assert len(found) == len(list(numbers.referenced_tasks(circuit))) > 0
