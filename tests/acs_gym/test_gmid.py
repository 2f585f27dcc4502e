"""gm/Id tables: what is looked up is what plain ngspice has there, and what is told of their ends."""

from __future__ import annotations

import csv
import math
import re
import subprocess
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

import acs_gym
from acs_gym.cli import main
from acs_gym.gmid import Bias, GmIdTable, OutOfTable, gm_id_table
from acs_gym.gmid.measuring import Grid, measure
from acs_gym.pdks.store import CACHE_VARIABLE
from tests.conftest import needs_ngspice_program, needs_sky130

W = 5e-6


@pytest.fixture(scope="module")
def table() -> GmIdTable:
    """Of a few lengths about half a micron; as dense as tables are."""
    grid = Grid(
        l=((0.3e-6, 0.37e-6, 0.46e-6, 0.57e-6), (0.57e-6, 0.63e-6, 0.72e-6, 0.8e-6)),
        vsb=(0.0, 0.1, 0.22, 0.41),
        vds=(0.45, 0.57, 0.66, 0.75, 1.05),
        vgs=tuple(float(v) for v in np.linspace(0.0, 1.8, 37)),
    )
    return measure("generic", "pfet", "ss", grid=grid)


@needs_ngspice_program
@pytest.mark.parametrize(
    "place",
    [(7.3, 0.47e-6, 0.61, 0.0), (16.2, 0.34e-6, 0.52, 0.15), (21.0, 0.7e-6, 0.9, 0.3)],
)
def test_between_its_points_a_table_is_plain_ngspice_within_one_percent(
    table: GmIdTable, tmp_path: Path, place: tuple[float, float, float, float]
) -> None:
    found = table.at(*place)
    measured = of_plain_ngspice(table, found, tmp_path)
    assert measured["gm"] / measured["id"] == pytest.approx(found.gm_id, rel=0.01)
    assert measured["id"] / W == pytest.approx(found.id_per_w, rel=0.01)
    assert measured["gm"] / measured["gds"] == pytest.approx(found.gm_gds, rel=0.01)
    assert measured["gm"] / (2 * math.pi * measured["cgg"]) == pytest.approx(found.ft, rel=0.01)
    assert measured["vdsat"] == pytest.approx(found.vdsat, rel=0.01)


@needs_sky130
@needs_ngspice_program
def test_so_is_that_of_the_shortest_sky130_transistors(tmp_path: Path) -> None:
    grid = Grid(
        l=((0.15e-6, 0.16e-6, 0.17e-6, 0.1789e-6),), vsb=(0.0, 0.08, 0.22, 0.41),
        vds=(0.6, 0.71, 0.85, 1.0), vgs=tuple(float(v) for v in np.linspace(0.0, 1.8, 37)),
    )  # fmt: skip
    table = measure("sky130", "nfet", "ff", grid=grid)
    found = table.at(12.5, 0.165e-6, 0.82, 0.1)
    measured = of_plain_ngspice(table, found, tmp_path)
    assert measured["id"] / W == pytest.approx(found.id_per_w, rel=0.01)
    assert measured["gm"] / measured["gds"] == pytest.approx(found.gm_gds, rel=0.01)
    assert measured["gm"] / (2 * math.pi * measured["cgg"]) == pytest.approx(found.ft, rel=0.01)


def test_width_follows_from_a_current(table: GmIdTable) -> None:
    weak, strong = table.over([20.0, 8.0], 0.5e-6)
    assert strong.id_per_w > weak.id_per_w and strong.ft > weak.ft and strong.vgs > weak.vgs
    assert weak.vds == 0.525  # half the highest where none is said


def test_what_a_table_does_not_reach_is_refused_with_its_ends(table: GmIdTable) -> None:
    with pytest.raises(OutOfTable, match=r"gm/Id of pfet .* is [\d.]+ to 2[\d.]+ 1/V, got 60"):
        table.at(60.0, 0.5e-6)
    with pytest.raises(OutOfTable, match="l of this table of pfet is 300 nm to 800 nm, got 2 um"):
        table.at(10.0, 2e-6)
    with pytest.raises(acs_gym.PdkError, match="has no transistor 'nfett'; did you mean nfet"):
        measure("generic", "nfett", "tt")


def test_a_table_is_measured_once(
    table: GmIdTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr("acs_gym.gmid.stored.measure", lambda *_, **__: table)
    gm_id_table.cache_clear()
    gm_id_table("generic", "pfet", "ss")
    (file,) = (tmp_path / "gmid").iterdir()
    assert re.fullmatch(r"generic-pfet-ss-\w{12}\.npz", file.name)
    read = GmIdTable.load(file)
    assert (read.pdk, read.device, read.corner) == ("generic", "pfet", "ss")
    assert read.at(10.0, 0.5e-6).id_per_w == pytest.approx(table.at(10.0, 0.5e-6).id_per_w)
    gm_id_table.cache_clear()
    file.write_bytes(b"half a file")
    assert gm_id_table("generic", "pfet", "ss") is table  # and not an error of somebody else's
    gm_id_table.cache_clear()


def of_plain_ngspice(table: GmIdTable, bias: Bias, folder: Path) -> dict[str, float]:
    """The same transistor in the ngspice program, from its card and instance parameters alone."""
    device = acs_gym.get_pdk(table.pdk).devices(table.corner)[table.device]
    sign = -1.0 if table.device == "pfet" else 1.0
    values = device.values(device.parts[0], {"w": W, "l": bias.l})
    card = device.model(W, bias.l)
    instance = " ".join(f"{name}={value!r}" for name, value in values.items())
    deck = folder / "one.spice"
    deck.write_text(
        f"one transistor\n{device.cards[card]}\nm1 d g 0 b {card} {instance}\n"
        f"vg g 0 dc {sign * bias.vgs!r} ac 1\nvd d 0 {sign * bias.vds!r}\n"
        f"vb b 0 {-sign * bias.vsb!r}\n.options reltol=1e-5\n.control\nop\n"
        + "".join(f"print @m1[{q}]\n" for q in ("id", "gm", "gds", "vdsat"))
        + "ac lin 1 1e6 1e6\nprint imag(i(vg))\n.endc\n.end\n"
    )
    said = subprocess.run(
        ["ngspice", "-b", deck.name], cwd=folder, capture_output=True, text=True, check=False
    ).stdout
    read = {k: abs(float(v)) for k, v in re.findall(r"(?m)^@m1\[(\w+)\] = (\S+)", said)}
    charging = re.search(r"(?m)^imag\(i\(vg\)\) = (\S+)", said)
    assert charging is not None, said
    return {**read, "cgg": abs(float(charging[1])) / (2 * math.pi * 1e6)}


def test_the_command_prints_and_writes(
    table: GmIdTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("acs_gym.gmid.gm_id_table", lambda *_: table)
    command = ["gmid", "generic", "pfet", "--corner", "ss"]
    assert main([*command, "--l", "0.5u"]) == 0
    assert "pfet on generic, ss, 27 °C, L = 500 nm" in capsys.readouterr().out
    for name in ("t.csv", "t.npz", "t.svg"):
        assert main([*command, "-o", str(tmp_path / name)]) == 0
    with (tmp_path / "t.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {float(r["l"]) for r in rows} == set(table.l.flat)
    read = GmIdTable.load(tmp_path / "t.npz").at(10.0, 0.5e-6)
    assert astuple(read) == pytest.approx(astuple(table.at(10.0, 0.5e-6)))
    assert main([*command, "--l", "9u"]) == 2
    assert "l of this table of pfet is 300 nm to 800 nm" in " ".join(
        capsys.readouterr().err.split()
    )
