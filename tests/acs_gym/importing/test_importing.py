"""What a netlist's text means, what of it is sized, and what is said of one that cannot be imported."""

from __future__ import annotations

import cProfile
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acs_gym.circuit import CircuitError
from acs_gym.cli import main
from acs_gym.importing import Imported, import_text, read_file, read_text
from acs_gym.importing.netlist import dut_text
from acs_gym.importing.testbench import Drive
from acs_gym.importing.text import Field

NETLISTS = Path(__file__).parent / "netlists"
NAMES = sorted(p.stem for p in NETLISTS.glob("*.spice"))
N, P = "sky130_fd_pr__nfet_01v8", "sky130_fd_pr__pfet_01v8"


def imported(text: str, **options: object) -> Imported:
    return import_text(read_text(text, "mine.spice"), **options)  # type: ignore[arg-type]


def subckt(*lines: str, ports: str = "a b vdd vss") -> str:
    return "\n".join(["* mine", f".subckt top {ports}", *lines, ".ends", ""])


def sizes(circuit: Imported) -> dict[str, dict[str, float]]:
    return {".".join(d.path): {n: s.value for n, s in d.sizes.items()} for d in circuit.devices}


def lines(circuit: Imported) -> list[str]:
    return dut_text(circuit, "top").splitlines()[2:-1]


# --- reading does not depend on how a text looks ------------------------------------------------------


def meaning(text: str) -> object:
    circuit = import_text(read_text(text, "x.spice"))
    parameters = sorted((p.name, p.value, p.low, p.high) for p in circuit.sizing.parameters)
    return circuit.ports, sorted(lines(circuit)), parameters


def told_apart(text: str, rng: random.Random) -> str:
    """The same netlist in other letters, blanks and line breaks."""
    out: list[str] = []
    for line in text.replace("\r", "").splitlines():
        if line.lstrip("\ufeff").startswith("*") or not out:
            out.append(line)
            continue
        quote = ""
        made = ""
        for letter in line:
            quote = ("" if letter == quote else quote or letter) if letter in "'\"" else quote
            if letter == " " and not quote and made[-1:] not in ("+", ""):
                # A comment ends with its line, so nothing behind one goes on.
                comment = any(c in line for c in ";$")
                made += rng.choice(["  ", "\t", " ", " " if comment else "\n+ "])
            else:
                made += rng.choice([letter, letter.upper(), letter.lower()])
        out.append(made)
    return rng.choice(["\n", "\r\n"]).join("\n".join(out).split("\n"))


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from([n for n in NAMES if n != "xschem"]), seed=st.integers(0, 10**6))
def test_case_blanks_and_continuations_say_nothing(name: str, seed: int) -> None:
    text = (NETLISTS / f"{name}.spice").read_text(encoding="utf-8-sig")
    assert meaning(told_apart(text, random.Random(seed))) == meaning(text)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_lines_changes_no_parameter(order: list[int]) -> None:
    text = (NETLISTS / "upper.spice").read_text().splitlines()
    devices = text[3:9]
    shuffled = [*text[:3], *(devices[k] for k in order), *text[9:]]
    found = import_text(read_text("\n".join(shuffled), "x.spice"))
    assert {(p.name, p.value, p.low, p.high) for p in found.sizing.parameters} == {
        (p.name, p.value, p.low, p.high)
        for p in import_text(read_file(NETLISTS / "upper.spice")).sizing.parameters
    }


# --- units and counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "w", "l"),
    [
        (f"XM1 a b vss vss {N} W=5 L=0.15", 5e-6, 0.15e-6),
        (f"XM1 a b vss vss {N} w=5u l=0.15u", 5e-6, 0.15e-6),
        (f"X0 a b vss vss {N} w=5e+06u l=150000u", 5e-6, 0.15e-6),
        (f"XM1 a b vss vss {N} w='2*2.5' l={{0.1+0.05}}", 5e-6, 0.15e-6),
        ("XM1 a b vss vss nfet_03v3 W=5u L=0.28u", 5e-6, 0.28e-6),
        (f".option scale=1u\nM1 a b vss vss {N} W=5 L=0.15", 5e-6, 0.15e-6),
        (".option scale=5n\nX2 a b vss vss nfet_03v3 w=1000 l=100 ad=14.4n pd=0.48m", 5e-6, 0.5e-6),
        ("M1 a b vss vss nmos w=5u l=0.5u", 5e-6, 0.5e-6),
        (f"XM1 a b vss vss {N.removeprefix('sky130_fd_pr__')} W=5 L=0.15", None, None),
    ],
)
def test_sizes_are_read_in_the_unit_they_are_in(line: str, w: float | None, l: float) -> None:  # noqa: E741
    if w is None:  # A name without its PDK's prefix needs to be told which PDK.
        w, l = 5e-6, 0.15e-6  # noqa: E741
        circuit = imported(subckt(line), pdk="sky130")
    else:
        circuit = imported(subckt(line))
    (found,) = sizes(circuit).values()
    assert (found["w"], found["l"]) == (pytest.approx(w), pytest.approx(l))
    assert circuit.devices[0].kind == "nfet"


def test_w_is_the_total_width_and_counts_multiply_through_the_hierarchy() -> None:
    text = (
        "* x\n.subckt two d g s\n"
        f"XM1 d g s s {N} W=20 L=0.15 nf=10 mult=3 m=3\n.ends\n"
        ".subckt top a b vss\nX1 a b vss two m=2\n.ends\n"
    )
    (line,) = lines(imported(text))
    assert line == "Xx1_m1 a b vss vss nfet w={w_x1_m1} l={l_x1_m1} nf=10 m=6"


def test_diffusions_that_are_the_symbol_s_are_left_to_it_and_others_of_a_fixed_device_are_kept() -> (
    None
):
    own = "ad=1.45 as=1.45 pd=10.58 ps=10.58 nrd=0.058 nrs=0.058"
    text = subckt(
        f"XM1 a b vss vss {N} W=5 L=0.5 {own}",
        f"XM2 b a vss vss {N} W=7 L=1 ad=3 as=3 pd=9 ps=9",
    )
    first, second = lines(imported(text, fix=["xm2"]))
    assert first.endswith("nfet w={w_m1} l={l_m1}")
    assert second.endswith("w=7e-06 l=1e-06 ad=3e-12 as=3e-12 pd=9e-06 ps=9e-06")


@pytest.mark.parametrize(
    "bad", ["gnd", "net!x", "a.b", "a#1", "x<3>", "x[3]", "p+", "n-", "a/b", "vol"]
)
def test_any_node_name_becomes_one_of_letters_and_digits(bad: str, tmp_path: Path) -> None:
    from acs_gym.simulation.netlist import read_dut

    text = subckt(f"XM1 a {bad} vss vss {N} W=5 L=0.5", f"XM2 {bad} b vss vss {N} W=5 L=0.6")
    (tmp_path / "dut.spice").write_text(dut_text(imported(text), "top"))
    dut = read_dut(tmp_path / "dut.spice")
    assert dut.primitives[0].nodes[1] == dut.primitives[1].nodes[0]


@pytest.mark.parametrize(
    ("line", "kind", "sized"),
    [
        (f"XM1 a b vss vss {N}_lvt L=0.15 W=5 nf=1 m=1", f"{N}_lvt", "w_m1 l_m1"),
        (f"XM1 a b vdd vdd {P}_hvt L=0.15 W=5", f"{P}_hvt", "w_m1 l_m1"),
        (
            "XC1 a b sky130_fd_pr__cap_mim_m3_1 W=10 L=10 MF=2 m=2",
            "sky130_fd_pr__cap_mim_m3_1",
            "w_c1 l_c1 m_c1",
        ),
        (
            "XR1 a b vss sky130_fd_pr__res_high_po_0p35 L=10 m=1",
            "sky130_fd_pr__res_high_po_0p35",
            "l_r1",
        ),
        ("XC1 a b cap_mim_2f0fF c_width=5u c_length=6u", "cap_mim_2f0ff", "w_c1 l_c1"),
    ],
)
def test_the_devices_of_a_pdk_stay_what_they_are(line: str, kind: str, sized: str) -> None:
    circuit = imported(subckt(line))
    assert circuit.devices[0].kind == kind
    assert {p.name for p in circuit.sizing.parameters} == set(sized.split())


def test_a_bipolar_has_nothing_to_size_and_a_pin_called_gnd_is_a_pin(tmp_path: Path) -> None:
    from acs_gym.simulation.netlist import read_dut

    text = subckt(
        "XQ1 gnd gnd e sky130_fd_pr__pnp_05v5_W3p40L3p40 NE=1 m=8",
        f"XM1 e e vdd vdd {P} W=4 L=1",
        ports="e vdd gnd",
    )
    circuit = imported(text)
    assert {p.name for p in circuit.sizing.parameters} == {"w_m1", "l_m1"}
    (tmp_path / "dut.spice").write_text(dut_text(circuit, "top"))
    dut = read_dut(tmp_path / "dut.spice")
    assert dut.primitives[0].kind == "pnp" and dut.primitives[0].nodes[0] == dut.ports[2] != "0"


# --- what is sized ------------------------------------------------------------------------------------

LATCH = (
    f"XM1 a b s vss {N} W=4 L=0.15", f"XM2 b a s vss {N} W=4 L=0.15",
    f"XM3 s clk vss vss {N} W=9 L=0.15",
)  # fmt: skip
CASCODE = (
    f"XM1 x inp t vss {N} W=5 L=0.5", f"XM2 y inn t vss {N} W=5 L=0.5",
    f"XC1 a vb x vss {N} W=8 L=0.2", f"XC2 b vb y vss {N} W=8 L=0.2",
    f"XL1 a a vdd vdd {P} W=6 L=0.5", f"XL2 b a vdd vdd {P} W=6 L=0.5",
    f"XT t nb vss vss {N} W=10 L=1", f"XB nb nb vss vss {N} W=5 L=1",
)  # fmt: skip


def test_cross_coupled_devices_are_one() -> None:
    found = {p.name for p in imported(subckt(*LATCH, ports="a b clk vss")).sizing.parameters}
    assert found == {"w_cross", "l_cross", "w_m3", "l_m3"}


def test_a_telescopic_stage_is_recognised_and_a_mirror_keeps_its_ratio() -> None:
    circuit = imported(subckt(*CASCODE, ports="inp inn a b vb nb vdd vss"))
    assert {p.name for p in circuit.sizing.parameters} == {
        f"{size}_{role}" for size in "wl" for role in ("pair", "casc_n", "load", "tail")
    }
    tail = next(line for line in lines(circuit) if line.split()[1] == "t")
    assert "w={2*w_tail} l={l_tail}" in tail


def test_a_tail_may_be_a_pin_and_a_cascode_of_another_threshold() -> None:
    text = subckt(
        f"XM1 x inp t vss {N} W=1 L=0.15 m=8", f"XM2 y inn t vss {N} W=1 L=0.15 m=8",
        f"XM3 g vb1 x vss {N}_lvt W=1 L=0.15 m=16", f"XM4 out vb1 y vss {N}_lvt W=1 L=0.15 m=16",
        f"XM5 g vb2 u vdd {P}_lvt W=1 L=0.35 m=40", f"XM6 out vb2 v vdd {P}_lvt W=1 L=0.35 m=40",
        f"XM7 u g vdd vdd {P} W=1 L=0.15 m=20", f"XM8 v g vdd vdd {P} W=1 L=0.15 m=20",
        ports="inp inn out vdd vss vb1 vb2 t",
    )  # fmt: skip
    circuit = imported(text)
    assert {p.name for p in circuit.sizing.parameters} == {
        f"{size}_{role}" for size in "wlm" for role in ("pair", "casc_n", "casc_p", "load")
    }
    assert circuit.pins.is_opamp and circuit.pins.guessed == ("vb1", "vb2", "t")


def test_a_pair_on_an_ideal_source_is_one() -> None:
    text = subckt(*CASCODE[:2], "I1 t vss dc 10u ac 0", ports="inp inn x y vss")
    found = {p.name for p in imported(text).sizing.parameters}
    assert found == {"w_pair", "l_pair", "i_bias"}


R, M = "sky130_fd_pr__res_xhigh_po_0p35", "sky130_fd_pr__cap_mim_m3_1"


def test_a_dummy_stays_as_it_is_until_it_is_asked_for() -> None:
    """One of another length beside a device, drain, gate and source on one node, or on a rail."""
    dummies = (f"XD1 x x x vss {N} W=5 L=0.15 m=2", f"XD2 vdd vdd vdd vdd {P} W=6 L=0.15")
    text = subckt(*CASCODE, *dummies, ports="inp inn a b vb nb vdd vss")
    circuit = imported(text)
    plain = imported(subckt(*CASCODE, ports="inp inn a b vb nb vdd vss"))
    assert [p.name for p in circuit.sizing.parameters] == [p.name for p in plain.sizing.parameters]
    assert [circuit.sizing.roles[len(CASCODE) + k] for k in (0, 1)] == ["dummy", "dummy"]
    (asked,) = imported(text, size=["XD1.w"]).sizing.parameters
    assert asked.name == "w_dummy"


@pytest.mark.parametrize(
    ("elements", "tied"),
    [
        ([f"XR1 a m vss {R} L=20", f"XR2 m n vss {R} L=20", f"XR3 n b vss {R} L=20"], [3]),
        ([f"XR1 a m vss {R} L=20", f"XR2 m b vss {R} L=30"], [1, 1]),
        ([f"XR1 a m vss {R} L=20", f"XR2 m b vss {R} L=20", "R9 m vdd 1k"], [1, 1, 1]),
        ([f"XR1 a vss vss {R} L=20", f"XR2 vss b vss {R} L=20"], [1, 1]),
        ([f"XC{k} a {b} {M} W=9 L=9" for k, b in enumerate(("b", "b", "vss"))], [2, 2, 1, 1]),
    ],
)
def test_passives_of_one_array_are_one_parameter(elements: list[str], tied: list[int]) -> None:
    """A string, unlike ones, one with a tap, two on a rail, and in parallel."""
    parameters = imported(subckt(*elements)).sizing.parameters
    assert sorted((len(p.members) for p in parameters), reverse=True) == tied


def test_alike_loads_of_a_pair_are_one_parameter() -> None:
    pair = (*CASCODE[:2], f"XT t nb vss vss {N} W=10 L=1")
    legs = (f"XR1 x vdd vss {R} L=20", f"XR2 vdd y vss {R} L=20")
    apart = (f"XR1 x vdd vss {R} L=20", f"XR2 a y vss {R} L=20")
    for loads, count in ((legs, 1), (apart, 2)):
        text = subckt(*pair, *loads, ports="inp inn x y nb a vdd vss")
        found = [p for p in imported(text).sizing.parameters if p.name.startswith("l_r")]
        assert len(found) == count


def test_a_number_in_quotes_in_quotes_is_a_number_and_is_written_back_so(tmp_path: Path) -> None:
    (tmp_path / "mine.spice").write_text(
        subckt(f"XM1 a b vss vss {N} w='\"1\"' l='\"0.15\"' nf='1'")
    )
    assert (
        main(["import", f"{tmp_path}/mine.spice", "--out", f"{tmp_path}/f", "--no-simulation"]) == 0
    )
    sizing = tmp_path / "sizing.toml"
    sizing.write_text("w_m1 = 2e-6\nl_m1 = 0.3e-6\n")
    said = ["export", f"{tmp_path}/f", "--sizing", str(sizing), "--format", "spice"]
    assert main([*said, "--out", f"{tmp_path}/out.spice"]) == 0
    assert "w='\"2\"' l='\"0.3\"' nf='1'" in (tmp_path / "out.spice").read_text()


def test_braces_inside_a_formula_are_not_taken_for_its_own() -> None:
    texts = {"'\"1\"'": "1", "'a'": "a", "{{a}+{b}}": "{a}+{b}", '\'"a"+"b"\'': '"a"+"b"'}
    assert {said: Field(said, ()).bare for said in texts} == texts


def test_ranges_are_around_what_was_chosen_and_not_below_what_can_be_drawn() -> None:
    circuit = imported(
        subckt(f"XM1 a b vss vss {N} W=0.84 L=0.15 nf=2", f"XM2 b a vss vss {N} W=50 L=1")
    )
    found = {p.name: (p.low, p.high) for p in circuit.sizing.parameters}
    assert found["w_m1"] == (0.84e-6, 8.4e-6)  # Two fingers of 0.42 um are the least.
    assert found["l_m1"][0] == 0.15e-6
    assert found["w_m2"] == (5e-6, 100e-6)


def test_marks_say_what_is_sized_and_what_is_not() -> None:
    marked = subckt(
        "*@ size XM1.w 1u..50u", "*@ fixed XM2", *LATCH[:1], *CASCODE[:1], ports="a b s x inp t vss"
    )
    marked = marked.replace("XM1 x", "XM2 x")
    (parameter,) = imported(marked).sizing.parameters
    assert (parameter.name, parameter.low, parameter.high) == ("w_m1", 1e-6, 50e-6)
    plain = subckt(*LATCH, ports="a b clk vss")
    (parameter,) = imported(plain, size=["M3.w=2u..20u"]).sizing.parameters
    assert (parameter.name, parameter.low, parameter.high) == ("w_m3", 2e-6, 20e-6)
    # Fixing one of a pair fixes both: nobody sizes half of it.
    assert {p.name for p in imported(plain, fix=["m1"]).sizing.parameters} == {"w_m3", "l_m3"}


@pytest.mark.parametrize(
    ("formula", "microns"),
    [
        ("pow(2,3)", 8.0), ("pow(-2,2)-3", 1.0), ("wide ? 6 : 2", 6.0), ("2*(x<=4 ? 1.5 : 3)", 3.0),
        ("x>4 ? 1 : x==4 ? 7 : 3", 7.0), ("x>1 && !(x<2) || 1/0 ? 5 : 1", 5.0), ("half(x)+1", 3.0),
        ("max(half(10), x!=4 ? 9 : 1)", 5.0), ("2-(-3)", 5.0), ("half(half(x))+min(x,2)", 3.0),
    ],
)  # fmt: skip
def test_formulas_choose_and_call_functions(formula: str, microns: float) -> None:
    text = subckt(
        f"XM1 a b vss vss sky130_fd_pr__nfet_01v8 W='{formula}' L=0.5",
        "XM2 a b vdd vdd sky130_fd_pr__pfet_01v8 W=3 L=0.5",
    )
    circuit = imported(f".param x=4 wide=1\n.func half(a) {{a/2}}\n{text}")
    assert sizes(circuit)["xm1"]["w"] == pytest.approx(microns * 1e-6)


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("x ? 1", "a \\? without its :"), ("half(1,2)", "half takes 1 numbers, got 2"),
        ("1<2<3", "compares twice"), ("pow(-1,0.5)", "pow\\(-1, 0.5\\)"),
        ("mine(2)", "a function calls itself"),
    ],
)  # fmt: skip
def test_a_formula_that_cannot_be_worked_out_is_named(formula: str, says: str) -> None:
    device = f"XM1 a b vss vss sky130_fd_pr__nfet_01v8 W='{formula}' L=0.5"
    functions = ".func half(a) {a/2}\n.func mine(a) 'mine(a)+1'\n"
    with pytest.raises(CircuitError, match=says):
        imported(f".param x=4\n{functions}{subckt(device)}")


def test_one_number_of_the_text_is_one_parameter() -> None:
    text = (
        "* x\n.param wi=2\n.subckt inv a y vdd vss\n"
        f"XN y a vss vss {N} W=wi L=0.15\nXP y a vdd vdd {P} W=4 L=0.15\n.ends\n"
        ".subckt ring a c vdd vss\nX1 a b vdd vss inv\nX2 b c vdd vss inv\n.ends\n"
    )
    circuit = imported(text)
    assert len(circuit.devices) == 4
    members = {p.name: len(p.members) for p in circuit.sizing.parameters}
    assert sorted(members.values()) == [2, 2, 2, 2]
    fields = [f for p in circuit.sizing.parameters for f in p.fields]
    assert {f.text for f in fields} == {"2", "4", "0.15"}


def test_the_owner_s_testbench_says_what_the_pins_see() -> None:
    circuit = import_text(read_file(NETLISTS / "nested.spice"))
    assert circuit.around.drives["vdd"].value == 1.8
    assert circuit.pins.bias["ib"] == Drive("i", 5e-6)
    assert circuit.around.load == {"out": 5e-12}
    assert circuit.pins.is_opamp


def test_a_ring_of_cells_is_the_circuit_and_a_cell_under_test_is_not() -> None:
    inv = f".subckt inv a y vdd\nXN y a 0 0 {N} W=1 L=0.15\nXP y a vdd vdd {P} W=2 L=0.15\n.ends\n"
    ring = "title\n" + inv + "X1 a b vdd inv\nX2 b c vdd inv\nX3 c a vdd inv\nvdd vdd 0 1.8\n.end\n"
    circuit = imported(ring)
    assert (circuit.ports, len(circuit.devices)) == (("vdd", "vss"), 6)
    one = "title\n" + inv + "X1 a b vdd inv\nvdd vdd 0 1.8\nva a 0 0.9\n.end\n"
    assert (imported(one).ports, len(imported(one).devices)) == (("a", "y", "vdd"), 2)


def test_what_tools_leave_in_a_netlist_is_left_out_and_said() -> None:
    circuit = imported(subckt("type=primitive", *LATCH[:1], ports="a b s vss"))
    assert [(d.line, d.text) for d in circuit.dropped] == [(3, "type=primitive")]


def test_a_global_supply_becomes_a_pin() -> None:
    text = ".global vdd!\n" + subckt(f"XM1 a b vdd! vdd! {P} W=1 L=0.15", ports="a b")
    assert imported(text).ports == ("a", "b", "vdd")


def test_a_bias_pin_and_a_current_inside_have_names_of_their_own() -> None:
    ib = f"XM1 bias bias vss vss {N} W=2 L=1"
    text = subckt("I1 vdd a 5u", ib, f"XM2 a a vss vss {N} W=2 L=1", ports="bias vdd vss")
    assert "i_bias_i1" in {p.name for p in imported(text).sizing.parameters}


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no element and no .subckt"),
        (subckt("XM1 a b vss vss nothing W=1 L=1"), "mine.spice:3: XM1: 'nothing' is neither .*--map"),
        (subckt(f"XM1 a b vss {N} W=1 L=1"), r"mine.spice:3: XM1: .* has 4 nodes \(d g s b\), got 3"),
        (subckt(f"XM1 a b vss vss {N} W=1"), "mine.spice:3: XM1: .* needs l; write l="),
        (subckt(f"XM1 a b vss vss {N} W=wx L=1"), "mine.spice:3: no parameter 'wx'; .*write a .param"),
        (subckt(f"XM1 a b vss vss {N} W='1 L=1"), "mine.spice:3: .* is not closed; close the quote"),
        (subckt("X1 a b other", f"XM1 a b vss vss {N} W=1 L=1"), "mine.spice:3: X1: 'other' is neither"),
        (subckt("B1 a b v=v(a)", f"XM1 a b vss vss {N} W=1 L=1"), "mine.spice:3: .*use E, G, F or H"),
        ("* x\n.subckt top a b\nR1 a b 1k\n", "mine.spice:2: .subckt top has no .ends; add one"),
        (
            subckt(*(f"XM{k} n{k} n{k + 1} vss vss {N} W=1.{k} L=0.{k + 15}" for k in range(110))),
            "220 sizes that are not tied to others; a circuit has at most 200",
        ),
        (subckt("R1 a b 1k"), "no transistor or other device"),
        ("* x\n.subckt p a\nX1 a p\n.ends\n.subckt q a\nX1 a p\n.ends\n", "p is in itself"),
        ("* x\n.param a=b b=a\n" + subckt(f"XM1 a b vss vss {N} W=a L=1"), "refers to itself"),
        (subckt(*LATCH) + subckt(*LATCH).replace("top", "too"), "several circuits.*one of top, too"),
        (subckt("*@ size XM9.w", *LATCH), "mine.spice:3: no device 'xm9'; did you mean"),
        (subckt("*@ size XM1.w 3..1", *LATCH), "cannot read the range '3..1'; write for example 1u..50u"),
        (subckt("*@ sizes XM1", *LATCH), "mine.spice:3: cannot read .*write"),
        (subckt("*@ size XM1.w 5u..9u", *LATCH), "w_cross is 4e-06 in the netlist, outside"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(CircuitError, match=said):
        imported(text)


def test_nothing_is_overwritten_and_a_missing_file_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["import", str(tmp_path / "no.spice")]) == 2
    assert "no.spice: cannot be read: No such file" in capsys.readouterr().err
    assert main(["import", str(NETLISTS / "upper.spice"), "--out", str(tmp_path)]) == 2
    assert "exists already, and nothing is overwritten" in capsys.readouterr().err


def test_what_was_done_is_a_table_and_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    netlist = str(NETLISTS / "flat.spice")
    assert main(["import", netlist, "--out", str(tmp_path / "a"), "--no-simulation"]) == 0
    said = capsys.readouterr().out
    for words in (
        "w_pair l_pair",
        "a load of the testbench",
        "line 1 is SPICE's title",
        "acs-gym check",
    ):
        assert words in said
    assert main(["import", netlist, "--out", str(tmp_path / "b"), "--no-simulation", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["devices"][1]["parameters"] == {"w": "w_pair", "l": "l_pair"}
    assert {d["line"] for d in record["dropped"]} == {2, 3, 4, 12}


# --- size ---------------------------------------------------------------------------------------------


def layout(segments: int) -> str:
    text = (NETLISTS / "extracted.spice").read_text().replace(".ends\n", "")
    parts = [text]
    for k in range(segments):
        before = "out" if k == 0 else f"w.n{k - 1}"
        parts.append(
            f"R{k + 9} {before} w.n{k} 0.5\nC{k + 9} w.n{k} VSS! 0.2fF\n"
            f"C{k + 9 + segments} VSS! w.n{k} 1fF\n"
        )
    return "".join([*parts, ".ends\n"])


def test_the_work_of_a_layout_is_in_proportion_to_its_size() -> None:
    def calls(segments: int) -> int:
        text, profile = layout(segments), cProfile.Profile()
        with profile:
            circuit = import_text(read_text(text, "x.spice"))
        assert len(circuit.devices) == 12 + 2 * segments
        return sum(entry.callcount for entry in profile.getstats())

    calls(50)
    assert calls(1200) < 1.1 * 4 * calls(300)
