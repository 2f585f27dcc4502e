"""`acs-gym check` and `acs-gym new`: what they say of a folder, and that a stranger's cannot do harm."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from pathlib import Path

import pytest

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_lint import suspicions
from acs_gym.circuit_reading import load_circuit
from acs_gym.cli import main
from acs_gym.cli.new import TEMPLATE
from acs_gym.registry import BUNDLED
from tests.conftest import needs_sky130

BENCH = "bench_differential.spice"


@pytest.fixture(autouse=True)
def _registered_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten with it."""
    monkeypatch.setattr("acs_gym.registry._registered", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh circuit as `acs-gym new` writes it."""
    assert main(["new", "preamp", "--into", str(tmp_path)]) == 0
    return tmp_path / "preamp"


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def check(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> tuple[int, str]:
    """(exit code, what was printed) of `acs-gym check`; without simulation unless options say so."""
    capsys.readouterr()
    code = main(["check", str(folder), *(options or ("--no-simulation",))])
    out, err = capsys.readouterr()
    return code, out + err


def line_of(folder: Path, file: str, text: str) -> int:
    lines = (folder / file).read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if text in line)


# --- new ----------------------------------------------------------------------------------------


def test_a_new_circuit_is_in_order_and_the_next_commands_are_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["new", "my_amp", "--into", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "My-MyAmp-v0" in said
    for command in ("acs-gym check", "acs-gym simulate", "python -m leaderboard.run --tasks"):
        assert f"{command} {tmp_path / 'my_amp'}" in said
    code, out = check(capsys, tmp_path / "my_amp")
    assert code == 0 and "nothing to remark" in out
    assert {p.name for p in (tmp_path / "my_amp").iterdir()} == {p.name for p in TEMPLATE.iterdir()}
    assert "template" not in (tmp_path / "my_amp" / "dut.spice").read_text()


@pytest.mark.parametrize("pdk", ["generic", pytest.param("sky130", marks=needs_sky130)])
def test_a_new_circuit_s_reference_holds(
    capsys: pytest.CaptureFixture[str], folder: Path, pdk: str
) -> None:
    code, out = check(capsys, folder, "--pdk", pdk, "--designs", "0")
    assert code == 0, out
    assert f"reference on {pdk}, tier tt: holds" in out and "difficulty" not in out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Amp", "is no name for a circuit"),
        ("../amp", "is no name for a circuit"),
        ("a" * 41, "is no name for a circuit"),
        ("", "is no name for a circuit"),
        ("opamp", "opamp is taken: ACS-OpAmp-v0"),
        ("preamp", "exists already, and nothing is overwritten"),
    ],
)
def test_new_refuses_other_names(
    capsys: pytest.CaptureFixture[str], folder: Path, name: str, said: str
) -> None:
    before = sorted(p.name for p in folder.parent.iterdir())
    capsys.readouterr()
    assert main(["new", name, "--into", str(folder.parent)]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert sorted(p.name for p in folder.parent.iterdir()) == before


def test_new_into_a_folder_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["new", "amp", "--into", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err


# --- a stranger's folder can run nothing and read nothing --------------------------------------------

OP = 'command = "op"'
SMUGGLED = {
    "a control block": (BENCH, "vcm ", ".control\nshell touch owned\n.endc\nvcm ", "runs simulator"),
    "a control block in the DUT": ("dut.spice", "Xtail", ".control\nrun\n.endc\nXtail", "runs sim"),
    "an executed comment": (BENCH, "vcm ", "*#shell touch owned\nvcm ", "runs simulator commands"),
    "another file": (BENCH, "vcm ", ".include ../../secret.txt\nvcm ", "it reads other files"),
    "a library": ("dut.spice", "Xtail", ".lib /etc/passwd tt\nXtail", "it reads other files"),
    "a script's variable": (BENCH, "vcm ", ".csparam x=1\nvcm ", "variables of command scripts"),
    "a function": (BENCH, "vcm ", ".func f(x)={x}\nvcm ", "write the arithmetic out"),
    "a model": ("dut.spice", "Xtail", ".model x nmos\nXtail", "device models belong to the PDK"),
    "backticks": (BENCH, "dc {v_cm}", "dc `touch owned`", "a circuit runs no programs"),
    "a shell's substitution": (BENCH, "dc {v_cm}", "dc $(touch owned)", "a circuit runs no programs"),
    "a variable": (BENCH, "dc {v_cm}", "dc $HOME", "a circuit runs no programs"),
    "a second command": (BENCH, "dc {v_cm}", "dc 1 ; shell rm -rf ~", "a circuit runs no programs"),
    "quotes": (BENCH, "dc {v_cm}", "dc \"x\"", "quotes are not allowed"),
    "a value that is a command": (BENCH, "{c_load}", "1p | sh", "'sh' is not allowed"),
    "a random source": (BENCH, "dc {v_cm}", "dc 1 trnoise(1m 1n 0 0)", "'trnoise' is not allowed"),
    "samples from a file": (BENCH, "dc {v_cm}", "pwl file=/etc/passwd", "'file' is not allowed"),
    "samples of a program": (BENCH, "dc {v_cm}", "dc 0 external", "come from outside the circuit"),
    "a formula of voltages": (BENCH, "rout out", "e1 a 0 poly(1) b 0 1\nrout out", "'poly(1)' is not"),
    "a node that is a word": (BENCH, "rout out", "ex out 0 value 0 5\nrout out", "would read a formula"),
    "a resistor's formula": (BENCH, "{c_load}", "1p vol=1", "'vol' is not allowed"),
    "an expression too many": (BENCH, "dc {v_cm}", "exp(0 {v_cm} 1k)", "or inside pulse(...)"),
    "a gain that is an expression": (BENCH, "rout out", "e1 a 0 b 0 {v_cm}\nrout out", "cannot read"),
    "two waveforms": (BENCH, "dc {v_cm}", "pulse(0 1) sin(0 1 1k)", "cannot read the value"),
    "a line without end": (BENCH, "vcm ", "vx 0 0 pwl(0" + " 1" * 12_000 + ")\nvcm ", "at most 20000"),
    "Python's own name": ("circuit.toml", "vdd = 1.8", "__debug__ = 1\nvdd = 1", "a name is a letter"),
    "no number": ("circuit.toml", "vdd = 1.8", "vdd = nan", "should be a finite number"),
    "a behavioural source": (BENCH, "rout out", "bx out 0 v=1\nrout out", "may compute anything"),
    "compiled code": (BENCH, "rout out", "afile out 0 filesrc\nrout out", "compiled code"),
    "a transistor of its own": (BENCH, "rout out", "m1 out 0 0 0 x\nrout out", "belong to the PDK"),
    "a nodeset with more in it": (BENCH, ".nodeset ", ".nodeset quit ", "expected '.nodeset"),
    "an initial condition with more": (BENCH, ".nodeset ", ".ic quit ", "expected '.ic v(NODE)"),
    "code in an expression": ("dut.spice", "w={w_pair}", "w={open('/etc/x')}", "only these functions"),
    "a command of the simulator": ("circuit.toml", OP, 'command = "shell ls"', "no other command"),
    "a second analysis": ("circuit.toml", OP, 'command = "op; shell ls"', "no other command"),
    "a command on a second line": ("circuit.toml", OP, 'command = "op\\nshell ls"', "no other command"),
    "a bench elsewhere": ("circuit.toml", f'"{BENCH}"', '"../bench_x.spice"', "without a path"),
    "a bench by its full path": ("circuit.toml", f'"{BENCH}"', '"/etc/passwd"', "without a path"),
}  # fmt: skip


@pytest.mark.parametrize("what", SMUGGLED)
def test_what_could_run_or_read_is_refused_and_the_message_says_so(
    capsys: pytest.CaptureFixture[str], folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    file, old, new, said = SMUGGLED[what]
    edit(folder, file, old, new)
    code, out = check(capsys, folder)
    assert code == 1 and said in out and f"{file}:" in out
    with pytest.raises(CircuitError):
        acs_gym.register_circuit(folder)
    assert not Path("owned").exists() and not (folder / "owned").exists()


@pytest.mark.parametrize("file", ["circuit.toml", "reference.toml", "dut.spice", BENCH])
def test_a_file_that_is_no_small_text_file_of_the_folder_is_not_read(
    capsys: pytest.CaptureFixture[str], folder: Path, file: str
) -> None:
    original = (folder / file).read_bytes()
    (folder.parent / "secret").write_bytes(original)

    def refused(said: str) -> None:
        code, out = check(capsys, folder)
        assert code == 1 and f"{file}: {said}" in out and "Traceback" not in out

    (folder / file).unlink()
    (folder / file).symlink_to(folder.parent / "secret")
    refused("a link to a place outside the folder")
    (folder / file).unlink()
    (folder / file).symlink_to("/dev/zero")
    refused("a link to a place outside the folder")
    (folder / file).unlink()
    os.mkfifo(folder / file)
    refused("not a regular file")
    (folder / file).unlink()
    (folder / file).write_bytes(original + b"\n#" * 3_000_000)
    refused(f"{len(original) + 6_000_000} bytes long; at most")
    (folder / file).write_bytes(original + b"\xff\xfe")
    refused(f"not UTF-8 text (byte {len(original)})")


@pytest.mark.parametrize("file", ["circuit.toml", "reference.toml"])
@pytest.mark.parametrize(
    "text",
    ["a." * 60_000 + "a = 1", "[" + '"a".' * 40_000 + "a]", "a = " + "[" * 120_000,
     "a = " + "{a = " * 30_000],
    ids=["key", "table", "array", "inline"],
)  # fmt: skip
def test_what_is_nested_without_end_is_refused_before_it_is_read(
    folder: Path, file: str, text: str
) -> None:
    path = folder / file
    path.write_text('# "a.b" [[[\ntitle = """[[[\n"""\n' + text)
    start = time.perf_counter()
    with pytest.raises(CircuitError, match=rf"{file}:4: .* 16 (parts|deep)"):
        load_circuit(folder)
    assert time.perf_counter() - start < 1.0


def test_a_json_file_nested_without_end_is_refused(folder: Path) -> None:
    (folder / "targets.json").write_text("[" * 1_000_000)
    with pytest.raises(CircuitError, match=r"targets\.json: file: .*recursion limit"):
        load_circuit(folder)


def test_a_link_within_the_folder_is_fine(folder: Path) -> None:
    (folder / "dut.spice").rename(folder / "cell.txt")
    (folder / "dut.spice").symlink_to("cell.txt")
    assert load_circuit(folder).dut.name == "preamp"


# --- errors -------------------------------------------------------------------------------------


def test_every_problem_is_listed_in_one_run_with_its_line(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    edit(folder, "circuit.toml", 'scale = "log"', 'scale = "logarithmic"')
    edit(folder, "circuit.toml", 'figure_of_merit = "power"', 'figure_of_merrit = "power"')
    edit(folder, "circuit.toml", "tolerance = 10", "tolerance = -10")
    edit(folder, "dut.spice", "w={w_pair} l={l_pair}", "w={w_pair}")
    edit(folder, "dut.spice", "Xload_p vdd", "Xload_p")
    edit(folder, BENCH, "vcm ", ".lib x\nvcm ")
    edit(folder, "reference.toml", "l_pair = 0.32e-6", 'l_pair = "short"')
    code, out = check(capsys, folder)
    assert code == 1 and out.count("error:") == 7
    for file, text, said in (
        ("circuit.toml", "logarithmic", "parameter.0.scale"),
        ("circuit.toml", "merrit", "did you mean figure_of_merit?"),
        ("circuit.toml", "tolerance = -10", "spec.0.tolerance"),
        ("dut.spice", "Xpair_p", "nfet needs l"),
        ("dut.spice", "Xload_p", "res has 2 nodes (p n), got 1"),
        (BENCH, ".lib", "it reads other files"),
        ("reference.toml", "short", "generic.tt.l_pair"),
    ):
        where = f"{file}:{line_of(folder, file, text)}: "
        assert any(where in line and said in line for line in out.splitlines()), (where, said)


def test_what_does_not_fit_together_is_listed_in_one_run(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    edit(folder, "circuit.toml", 'figure_of_merit = "power"', 'figure_of_merit = "powre"')
    edit(folder, "circuit.toml", 'excite = ["vcm"]', 'excite = ["clp"]')
    edit(folder, "circuit.toml", "low = 10e3, ", "lo = 10e3, ")
    edit(folder, "circuit.toml", 'signal = "-vdd*i(vdd)"', 'signal = "-v_dd*i(vdd)"')
    edit(folder, "circuit.toml", '[[spec]]\nmetric = "gain"', '[[spec]]\nmetric = "gian"')
    edit(folder, "circuit.toml", "\n[pdk.sky130]", "\n[pdk.sky131]")
    edit(folder, BENCH, "{c_load}", "{c_laod}")
    edit(folder, "reference.toml", "[sky130.tt]", "[sky132.tt]")
    code, out = check(capsys, folder)
    assert code == 1
    for said in (
        "no metric 'powre', did you mean power?",
        "excites clp, which is not a source",
        "measure integrated_noise takes no 'lo'",
        "measure integrated_noise needs low",
        "unknown name v_dd, did you mean vdd?",
        "no metric 'gian', did you mean gain?",
        "no PDK 'sky131', did you mean sky130?",
        "'c_laod' is neither a parameter nor a condition",
        "a reference for PDK 'sky132'",
    ):
        assert said in out, said


@pytest.mark.parametrize("directive", [".nodeset", ".ic"])
@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("oupt", "v(oupt): no node 'oupt', did you mean v(out)?; there is: cm, d, inn, inp"),
        (
            "tail",
            "no node 'tail' in the bench; for the one inside preamp write v(xdut.tail)",
        ),
        ("xdut.tial", "did you mean v(xdut.tail)?"),
        ("xdut.inp", "inp is a port of preamp; write v(inp)"),
        ("0", "node 0 is ground"),
    ],
)
def test_a_voltage_of_no_node_is_refused_with_the_node_that_is_meant(
    capsys: pytest.CaptureFixture[str], folder: Path, directive: str, node: str, said: str
) -> None:
    edit(folder, BENCH, ".nodeset ", f"{directive} v({node})=0.5 ")
    code, out = check(capsys, folder)
    where = f"{BENCH}:{line_of(folder, BENCH, directive)}: "
    assert code == 1 and any(where in line and said in line for line in out.splitlines()), out


def test_a_voltage_given_twice_or_to_a_driven_node_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    edit(folder, BENCH, ".nodeset ", ".ic v(vdd)=0\n.nodeset v(outp)=1 ")
    code, out = check(capsys, folder)
    assert code == 1
    assert ".ic v(vdd): vdd holds that node; give its waveform another start" in out
    assert "'.nodeset v(outp)' is already used at " in out


_LEVELS = "level = 1, trigger_level = 1"


@pytest.mark.parametrize(
    ("measure", "options", "field", "said"),
    [
        ("at", "", "", "measure at needs point; write options = { point = ... }"),
        ("crossing", "levle = 1", ".levle", "takes no 'levle', did you mean level?; it takes: level"),
        ("value", "level = 1", ".level", "measure value takes no 'level'; it takes: no options"),
        ("crossing", 'level = 1, edge = "up"', ".edge",
         "'up' is not one of: \"rise\", \"fall\", \"either\""),
        ("crossing", "level = 1, edge = 1", ".edge", "1.0 is not one of: \"rise\""),
        ("crossing", 'level = "rise"', ".level", "option level: unknown name rise"),
        ("crossing", 'level = "v(out)"', ".level", "'v(out)' is a signal; write a number, or"),
        ("crossing", 'level = "0.5*vdd +"', ".level", "is not an arithmetic expression"),
        ("crossing", "level = 1, nth = 1.5", ".nth", "1.5 is not a count; write a whole number"),
        ("delay", f"{_LEVELS}", "", 'needs trigger; write options = { trigger = "v(...)" }'),
        ("delay", f"{_LEVELS}, trigger = 1", ".trigger",
         '1.0 is not a signal; write one such as "v(clk)"'),
        ("delay", f'{_LEVELS}, trigger = "vdd"', ".trigger", "'vdd' is not a signal"),
        ("delay", f'{_LEVELS}, trigger = "v(outq)"', ".trigger", "no v(outq) in analysis op"),
    ],
)  # fmt: skip
def test_an_option_that_its_measure_cannot_have_is_refused_with_what_to_write(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    measure: str,
    options: str,
    field: str,
    said: str,
) -> None:
    edit(folder, "circuit.toml", "# A metric is a measure", f"""
[[metric]]
name = "wrong"
description = "an option that is wrong"
analysis = "op"
signal = "v(outp)"
measure = "{measure}"
options = {{ {options} }}
# A metric is a measure""")  # fmt: skip
    code, out = check(capsys, folder)
    line = line_of(folder, "circuit.toml", f"options = {{ {options} }}")
    assert code == 1
    what = f"circuit.toml:{line}: metric.0.options{field}: "
    assert any(what in text and said in text for text in out.splitlines()), out


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("circuit.toml", "vdd = 1.8", "vdd = = 1.8", "not TOML: Invalid value (at line"),
        ("circuit.toml", 'name = "common"', 'name = "noise"', "a second analysis called 'noise'"),
        ("circuit.toml", 'name = "noise"\nunit', 'name = "gain"\nunit', "a second metric called 'gain'"),
        ("circuit.toml", 'name = "gbw"\nunit', 'name = "area"\nunit', "area is always measured"),
        ("circuit.toml", "ac dec 10 10k 100g", "ac dec {n_points} 10k 100g", "unknown name n_points"),
        ("circuit.toml", "ac dec 10 10k 100g", "ac dec", "cannot read its sweep"),
        ("circuit.toml", 'signal = "v(outp)"', 'signal = "v(oupt)"', "no v(oupt) in analysis op"),
        ("circuit.toml", "v(xdut.tail)", "v(xdut.tial)", "no such node"),
        ("circuit.toml", "v(xdut.tail)", "@m.xdut.mtial[gm]", "no such device (one is called"),
        ("circuit.toml", "-vdd*i(vdd)", "-vdd*i(vcc)", "no such voltage source"),
        ("circuit.toml", "v(inoise_spectrum)", "v(out)", "a noise analysis has v(inoise_spectrum)"),
        ("circuit.toml", "low = 0.1\n", 'low = "v(tail)"\n', "belongs into a signal"),
        ("dut.spice", "r={r_load}", "r={v(outp)}", "may not depend on the simulation"),
        (BENCH, "v(outn)={0.75*vdd}", "v(outn)={0.75*vcc}", "'vcc' is neither a parameter"),
        ("reference.toml", "[generic.tt]", "[generic.pvt]", "no [tier.pvt] table in circuit.toml"),
        ("reference.toml", "m_tail = 11", "m_tail = 99", "generic.tt.m_tail: m_tail = 99 is outside"),
        ("reference.toml", "w_pair = 31e-6", "w_piar = 31e-6", "did you mean w_pair?"),
        ("reference.toml", "w_pair = 31e-6", "", "missing parameter: w_pair"),
    ],
)  # fmt: skip
def test_errors(
    capsys: pytest.CaptureFixture[str], folder: Path, file: str, old: str, new: str, said: str
) -> None:
    edit(folder, file, old, new)
    code, out = check(capsys, folder)
    assert code == 1 and "error: " in out and said in out


def test_all_the_errors_of_a_folder_are_counted_where_only_one_is_shown(folder: Path) -> None:
    edit(folder, "dut.spice", "l={l_pair}", "")
    edit(folder, "dut.spice", "r={r_load}", "")
    with pytest.raises(
        CircuitError, match=r"dut.spice:11: nfet needs l \(and 1 more; acs-gym check"
    ):
        load_circuit(folder)


def test_what_is_no_circuit_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 2
    assert "has no circuit.toml" in capsys.readouterr().err


# --- warnings -----------------------------------------------------------------------------------

# What -> (file, text, replacement, what is said).
SUSPICIOUS = {
    "an unused parameter": (
        "dut.spice", "l={l_bias} m={m_tail}", "l={l_bias} m=4",
        "parameter m_tail is not used in any netlist",
    ),
    "an unused condition": (
        "circuit.toml", "v_cm = 1.0", "v_cm = 1.0\nv_x = 1.0", "condition v_x is not used",
    ),
    "an unused condition of a PDK": (
        "circuit.toml", "\n[pdk.generic]", "\n[pdk.generic]\nconditions = { vcm = 1 }",
        "condition vcm is not used and [conditions] has no such name",
    ),
    "half a pair": (
        "dut.spice", "w={w_pair} l={l_pair}\nXpair_n", "w={2*w_pair} l={l_pair}\nXpair_n",
        "pair_p and pair_n are named pair_* and should match",
    ),
    "an unmatched mirror": (
        "dut.spice", "l={l_bias} m={m_tail}", "l={2*l_bias} m={m_tail}",
        "bias and tail are of one mirror",
    ),
    "a pair by another name": (
        "dut.spice", "Xpair_n outp inn  tail vss nfet w={w_pair}",
        "Xright outp inn tail vss nfet w={w_bias}", "pair_p and right are of one pair",
    ),
    "a dangling node": (
        "dut.spice", "Xload_n vdd  outp", "Xload_n vdd outq", "node outq has a single connection",
    ),
    "a dangling node of a bench": (
        BENCH, "rout out 0", "rout outx 0", "node outx has a single connection",
    ),
    "a sizing on a bound": (
        "reference.toml", "m_tail = 11", "m_tail = 20", "m_tail sits on a bound of its range (1 to 20)",
    ),
    "no reference": (
        "reference.toml", "[sky130.tt]", "[sky130.mc]", "no [sky130.tt]: nothing shows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SUSPICIOUS)
def test_suspicious_things_are_warnings(
    capsys: pytest.CaptureFixture[str], folder: Path, what: str
) -> None:
    file, old, new, said = SUSPICIOUS[what]
    edit(folder, file, old, new)
    if what == "no reference":
        edit(folder, "circuit.toml", "\n[pdk.generic]", "\n[tier.mc]\n[pdk.generic]")
    code, out = check(capsys, folder)
    assert code == 0, out
    assert said in out and "! warning:" in out and "in order, " in out


def test_a_circuit_without_gates_and_one_whose_gates_leave_a_spec_alone(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    text = (folder / "circuit.toml").read_text()
    (folder / "circuit.toml").write_text(text.replace('kills = "all"', 'kills = ["gain"]'))
    code, out = check(capsys, folder)
    assert code == 0 and "no gate kills power: a dead circuit may score on it" in out
    head, *gates = text.split("[[gate]]")
    rest = "[[metric]]" + gates[-1].split("[[metric]]", 1)[1]
    (folder / "circuit.toml").write_text(head + rest)
    code, out = check(capsys, folder)
    assert code == 0 and "no gate at all: a dead circuit may score" in out


def test_a_metric_that_nobody_asks_for_is_information(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    edit(
        folder,
        "circuit.toml",
        '[[spec]]\nmetric = "noise"\ndirection = "<="\ntarget = 100e-6\n',
        "",
    )
    code, out = check(capsys, folder)
    assert code == 0 and "info: " in out and "metric noise is measured, but no spec" in out
    assert "warning" not in out


def test_a_testbench_that_nobody_names(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    shutil.copy(folder / BENCH, folder / "bench_old.spice")
    _, out = check(capsys, folder)
    assert "bench_old.spice: no [[bench]] names this testbench" in out


@pytest.mark.parametrize(
    "path", sorted(p.parent for p in BUNDLED.glob("*/circuit.toml")), ids=lambda p: p.name
)
def test_bundled_circuits_have_no_errors(path: Path) -> None:
    assert [str(p) for p in suspicions(load_circuit(path)) if p.level == "error"] == []


@pytest.mark.parametrize(
    ("direction", "target", "tolerance", "value", "spare"),
    [
        (">=", 60.0, 20.0, 63.0, 0.05),
        ("<=", 2e-6, None, 1e-6, 0.5),
        ("<=", -40.0, 10.0, -44.0, 0.1),
        ("within", 5e-3, None, -4e-3, 0.2),
        (">=", 0.0, 4.0, 1.0, 0.25),
    ],
)
def test_headroom_is_a_share_of_the_target(
    direction: str, target: float, tolerance: float | None, value: float, spare: float
) -> None:
    spec = acs_gym.Spec("m", direction, target, tolerance)  # type: ignore[arg-type]
    assert spec.headroom(value) == pytest.approx(spare)
    assert math.isnan(spec.headroom(math.nan))


# --- simulation ---------------------------------------------------------------------------------


def test_a_reference_that_misses_a_spec_or_only_just_meets_it(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    options = ("--pdk", "generic", "--designs", "0")
    edit(folder, "circuit.toml", "target = 16\n", "target = 18.2\n")
    edit(folder, "circuit.toml", "target = 1e9", "target = 2e9")
    code, out = check(capsys, folder, *options)
    assert code == 1 and "reference on generic, tier tt: does not hold" in out
    assert "less than 2% to spare: gain, gbw" in out and "not in order" in out


def test_difficulty_is_measured_and_a_task_that_blind_search_solves_is_called_easy(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    code, out = check(capsys, folder, "--pdk", "generic", "--designs", "16")
    assert code == 0 and "0 of 16 blind designs are feasible" in out
    text = (folder / "circuit.toml").read_text()
    head = text[: text.index("[[spec]]")]
    spec = '[[spec]]\nmetric = "power"\ndirection = "<="\ntarget = 1\n'
    (folder / "circuit.toml").write_text(head + spec + "[pdk.generic]\n")
    sizings = (folder / "reference.toml").read_text()
    (folder / "reference.toml").write_text(sizings[: sizings.index("[sky130")])
    code, out = check(capsys, folder, "--designs", "16")
    assert code == 0 and "too easy: 100 random designs solve it" in out


def test_a_reference_in_a_tier_shows_where_the_worst_case_is(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    targets = "targets = { gain = 10, gbw = 0.5e9, rejection = 15, noise = 200e-6, power = 300e-6 }"
    edit(folder, "circuit.toml", "[pdk.generic]", f"[tier.pvt]\n{targets}\n[pdk.generic]")
    sizings = (folder / "reference.toml").read_text()
    typical = sizings[sizings.index("[generic.tt]") : sizings.index("[sky130.tt]")]
    (folder / "reference.toml").write_text(sizings + typical.replace(".tt", ".pvt"))
    code, out = check(capsys, folder, "--pdk", "generic", "--tier", "pvt", "--designs", "0")
    assert code == 0, out
    assert "tier pvt: holds" in out and "/-10%/125C" in out and "tier tt" not in out


def test_a_broken_difficulty_file_is_named(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    entry = {"digest": "0" * 64, "designs": 10, "feasible": 11, "best_of_100": 0.5}
    (folder / "difficulty.json").write_text(json.dumps({"generic": {"tt": entry}}))
    code, out = check(capsys, folder)
    assert code == 1 and "difficulty.json" in out and "11 feasible of 10 designs" in out
