"""The op-amp that was taped out: what was published of it, what is found here, and what the page says."""

from __future__ import annotations

import json

import pytest

from acs_gym.simulation.pool import Simulator
from benchmarks import taped_out
from docs.circuit_pages.__main__ import PAGES
from tests.conftest import needs_sky130


@pytest.fixture(scope="module")
def stored() -> dict[str, float]:
    """What the result has under `here`, by the names of the rows."""
    rows = json.loads(taped_out.RESULT.read_text())["rows"]
    assert [r["metric"] for r in rows] == [r.metric for r in taped_out.ROWS.values()]
    assert [r["published"] for r in rows] == [r.published for r in taped_out.ROWS.values()]
    return {name: r["here"] for name, r in zip(taped_out.ROWS, rows, strict=True)}


@needs_sky130
def test_at_published_sizes_the_testbenches_find_what_was_published(
    stored: dict[str, float], in_process: Simulator
) -> None:
    """At the typical corner; the layout's wires are not in the netlist."""
    here = taped_out.measure(in_process, corners=False)
    for name in (n for n in stored if "@" not in n):
        assert here[name] == pytest.approx(stored[name], rel=5e-3, abs=1e-7), name
    published = {name: row.published for name, row in taped_out.ROWS.items()}
    for name in ("gain_1k", "gain"):
        assert here[name] == pytest.approx(published[name], abs=0.3)
    for name in ("f_1db", "ugbw", "ugbw_drawn", "steepest_rise", "steepest_fall"):
        assert here[name] == pytest.approx(published[name], rel=0.04)
    assert here["pm_drawn"] == pytest.approx(published["pm_drawn"], abs=0.3)
    assert here["current"] == pytest.approx(published["current"], rel=0.005)
    assert here["saturation"] > 1


def test_at_the_corners_the_frequency_is_as_near_once_the_resistor_is_kept(
    stored: dict[str, float],
) -> None:
    for corner in ("ss", "ff"):
        published = taped_out.ROWS[f"f_1db@{corner}"].published
        assert stored[f"f_1db@{corner} kept"] == pytest.approx(published, rel=0.04)


def test_the_page_has_its_table(stored: dict[str, float]) -> None:
    result = json.loads(taped_out.RESULT.read_text())
    page = (PAGES / "opamp.md").read_text()
    assert result["conditions"] in page
    for row in result["rows"]:
        assert f"| {row['metric']} |" in page
    for remark in result["remarks"]:
        assert f"* {remark}\n" in page
