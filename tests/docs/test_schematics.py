"""A drawing of a circuit is its netlist: layout versus schematic, and nothing on top of anything."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from acs_gym.circuit import Circuit
from acs_gym.circuit_reading import load_circuit
from acs_gym.registry import BUNDLED
from acs_gym.simulation.netlist import Dut, read_dut
from docs.circuit_pages.__main__ import FOLDERS, draw
from docs.circuit_pages.lvs import differences, overlaps
from docs.circuit_pages.sheet import Sheet

INVERTER = """.subckt inverter in out vdd vss
Xn out in vss vss nfet w={w_n} l=150n
Xp out in vdd vdd pfet w={w_p} l=150n m=2
.ends inverter
"""


@pytest.fixture(params=FOLDERS)
def circuit(request: pytest.FixtureRequest) -> Circuit:
    return load_circuit(BUNDLED / str(request.param))


@pytest.fixture
def inverter(tmp_path: Path) -> Dut:
    (tmp_path / "dut.spice").write_text(INVERTER.replace("150n", "150e-9"))
    return read_dut(tmp_path / "dut.spice")


def drawn(dut: Dut) -> Sheet:
    sheet = Sheet(dut)
    sheet.rails(top=6, left=0, right=5)
    sheet.nfet("n", 3, 1.5)
    sheet.pfet("p", 3, 4.5)
    sheet.to_rail("n", "p")
    sheet.wire("n.g", "p.g")
    sheet.wire("n.d", "p.d")
    sheet.port("in", (1.9, 3), "left", 1)
    sheet.port("out", (3, 3), "right", 1)
    return sheet


def with_nodes(dut: Dut, name: str, *nodes: str) -> Dut:
    changed = (replace(p, nodes=nodes) if p.name == name else p for p in dut.primitives)
    return replace(dut, primitives=tuple(changed))


# --- every circuit ------------------------------------------------------------------------------


def test_the_drawing_is_the_netlist(circuit: Circuit) -> None:
    assert differences(draw(circuit)) == []


def test_nothing_overlaps(circuit: Circuit) -> None:
    assert overlaps(draw(circuit)) == []


def test_no_wire_is_there_for_show(circuit: Circuit) -> None:
    """Any wire that is missing is noticed, so every connection of the netlist is really drawn."""
    sheet = draw(circuit)
    for k, wire in enumerate(sheet.wires):
        without = replace(sheet, wires=[*sheet.wires[:k], *sheet.wires[k + 1 :]])
        assert differences(without), f"nothing depends on the wire through {wire.points}"


def test_a_swapped_gate_and_drain_is_noticed_on_every_transistor(circuit: Circuit) -> None:
    sheet = draw(circuit)
    for device in circuit.dut.primitives:
        if device.kind in ("nfet", "pfet") and device.nodes[0] != device.nodes[1]:
            drain, gate, *rest = device.nodes
            other = with_nodes(circuit.dut, device.name, gate, drain, *rest)
            assert differences(replace(sheet, dut=other)), device.name


def test_names_and_sizes_stand_beside_their_devices(circuit: Circuit) -> None:
    written = draw(circuit).to_svg().decode()
    for device in circuit.dut.primitives:
        assert f">{device.name}<" in written
    for entry in circuit.file.parameter:
        used = [p for p in circuit.dut.primitives for e in p.parameters.values()
                if entry.name in e.names]  # fmt: skip
        assert not used or entry.name in written


def test_a_drawing_is_the_same_every_time(circuit: Circuit) -> None:
    assert draw(circuit).to_svg() == draw(circuit).to_svg()


# --- what counts as a difference ----------------------------------------------------------------


def test_an_inverter_is_an_inverter(inverter: Dut) -> None:
    sheet = drawn(inverter)
    assert differences(sheet) == []
    assert sorted(sheet.junctions()) == [(1.9, 3.0), (3.0, 3.0)]
    assert sheet.to_svg() == sheet.to_svg()


def test_a_device_that_is_not_drawn_or_not_there_is_noticed(inverter: Dut) -> None:
    sheet = drawn(inverter)
    fewer = replace(inverter, primitives=inverter.primitives[:1])
    assert "p is drawn as pfet, it is not in the netlist" in differences(replace(sheet, dut=fewer))
    del sheet.devices["n"]
    assert "n is not drawn" in differences(sheet)


def test_another_kind_of_device_is_noticed(inverter: Dut) -> None:
    sheet = drawn(inverter)
    sheet.devices["n"] = replace(sheet.devices["n"], kind="pfet")
    assert "n is drawn as pfet, it is nfet" in differences(sheet)


def test_a_bulk_off_the_rail_must_be_drawn(inverter: Dut) -> None:
    floating = with_nodes(inverter, "p", "out", "in", "vdd", "out")
    [*wrong] = differences(replace(drawn(inverter), dut=floating))
    assert any("p.b" in text for text in wrong)
    sheet = Sheet(floating)
    sheet.rails(top=6, left=0, right=5)
    sheet.nfet("n", 3, 1.5)
    sheet.pfet("p", 3, 4.5, bulk=True, text=(1.0, 0.0))
    sheet.to_rail("n", "p")
    sheet.wire("n.g", "p.g")
    sheet.wire("n.d", "p.d")
    sheet.wire("p.b", (3.8, None), (None, 3), (3, None))
    sheet.port("in", (1.9, 3), "left", 1)
    sheet.port("out", (3.8, 3), "right", 1)
    assert differences(sheet) == []


def test_wires_that_cross_do_not_touch_and_ends_on_a_wire_do(inverter: Dut) -> None:
    crossed, touching = drawn(inverter), drawn(inverter)
    crossed.wire((0.5, 3.2), (4.5, 3.2))
    assert differences(crossed) == []
    touching.wire((1.9, 3.2), (3, 3.2))
    assert any(text.startswith("in should join") for text in differences(touching))


def test_a_wrong_name_on_a_net_is_noticed(inverter: Dut) -> None:
    sheet = drawn(inverter)
    sheet.net("middle", (3, 3), "left")
    assert differences(sheet) == ["out is also called middle"]


def test_text_on_a_wire_is_noticed(inverter: Dut) -> None:
    sheet = drawn(inverter)
    assert overlaps(sheet) == []
    sheet.wire((3.4, 0.5), (3.4, 5.5))
    assert any("w_n" in text for text in overlaps(sheet))


def test_the_package_itself_needs_no_drawing_library() -> None:
    code = (
        "import sys, acs_gym, acs_gym.plotting, acs_gym.cli; sys.exit('schemdraw' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
