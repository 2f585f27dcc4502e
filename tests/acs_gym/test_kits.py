"""A bench kit in a folder stands for texts: those it expands to, and what is said where it cannot."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from acs_gym.circuit import CircuitError
from acs_gym.circuit_files import TomlFile, locate
from acs_gym.circuit_kit import expand
from acs_gym.circuit_reading import load_circuit, read_circuit
from acs_gym.cli import main
from acs_gym.evaluation import Status
from acs_gym.kits import get_kit, kit_names
from acs_gym.registry import BUNDLED
from acs_gym.simulation.pool import Simulator
from acs_gym.task import task_of
from docs import kit_tables
from tests.conftest import OTA_WITHOUT_KIT

NETLISTS = Path(__file__).parent / "importing" / "netlists"


@pytest.fixture
def ota(tmp_path: Path) -> Path:
    """A folder that `acs-gym new --kit ota` writes."""
    assert main(["new", "mine", "--kit", "ota", "--into", str(tmp_path)]) == 0
    return tmp_path / "mine"


def edit(folder: Path, old: str, new: str) -> None:
    toml = folder / "circuit.toml"
    assert toml.read_text().count(old) == 1
    toml.write_text(toml.read_text().replace(old, new))


def problems(folder: Path) -> str:
    return "\n".join(map(str, read_circuit(folder)[1]))


def test_a_kit_is_the_texts_it_stands_for(tmp_path: Path) -> None:
    """The OTA with a kit, and the folder that has all of it in its own files, are one task."""
    plain = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "ota5t"))
    shutil.copytree(OTA_WITHOUT_KIT, plain, dirs_exist_ok=True)
    with_kit, without = load_circuit(BUNDLED / "ota5t"), load_circuit(plain)
    assert (with_kit.kit, without.kit) == ("ota", "")
    assert with_kit.file == without.file
    assert with_kit.netlists == without.netlists
    tasks = [task_of(circuit, "generic") for circuit in (with_kit, without)]
    assert tasks[0].digest == tasks[1].digest and tasks[0].program.key == tasks[1].program.key


@pytest.mark.parametrize("name", kit_names())
def test_a_new_folder_of_every_kit_meets_what_it_asks(
    name: str, tmp_path: Path, in_process: Simulator
) -> None:
    assert main(["new", f"my_{name}", "--kit", name, "--into", str(tmp_path)]) == 0
    folder = tmp_path / f"my_{name}"
    assert {p.name for p in folder.iterdir()} == {"circuit.toml", "dut.spice", "reference.toml"}
    circuit = load_circuit(folder)
    assert {m["name"] for m in get_kit(name).metric} <= {m.name for m in circuit.file.metric}
    task = task_of(circuit, "generic")
    found = task.session(simulator=in_process).simulate(task.reference)
    assert found.status is Status.OK and found.feasible


def test_show_names_the_kit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "ota5t", "--pdk", "generic"]) == 0
    assert "bench kit: ota (transconductance amplifier" in capsys.readouterr().out


def test_a_line_is_enough_where_names_are_the_kit_s(ota: Path) -> None:
    toml = ota / "circuit.toml"
    text = toml.read_text()
    kit = text[text.index("[kit]") : text.index("[spec]")]
    toml.write_text('kit = "ota"\n' + text.replace(kit, "").replace("saturation = 1\n", ""))
    names = [m.name for m in load_circuit(ota).file.metric]
    assert {"gain", "psrr", "psrr_minus", "noise", "swing", "offset"} <= set(names)
    assert "saturation" not in names  # It has a value that must be given.


def test_what_no_metric_reads_is_not_simulated_and_formulas_bring_what_they_need(ota: Path) -> None:
    edit(ota, 'name = "ota"\n', 'name = "ota"\nmetrics = ["slew_rate", "power"]\n')
    edit(ota, (ota / "circuit.toml").read_text().split("[spec]\n")[1], "power = 1\n[pdk.generic]\n")
    (ota / "reference.toml").write_text("")
    circuit = load_circuit(ota)
    assert [m.name for m in circuit.file.metric] == ["slew_rise", "slew_fall", "slew_rate", "power"]
    assert [a.name for b in circuit.file.bench for a in b.analysis] == ["op", "follower", "step"]


def test_one_s_own_metrics_benches_and_values_stand_in_the_place_of_the_kit_s(ota: Path) -> None:
    own = """
[[metric]]
name = "gain"
unit = "dB"
description = "of my own <x>"
analysis = "loop"
signal = "loop(vfb)"
measure = "magnitude_db"

[spec]"""
    edit(ota, "[spec]", own)
    edit(ota, "dc_error = 0.1", 'dc_error = 0.2\nloop_stop = "1g"')
    (ota / "bench_swing.spice").write_text(
        "* mine\n"
        + load_circuit(ota).netlists["bench_swing.spice"].replace("{c_load}", "{2*c_load}")
    )
    circuit = load_circuit(ota)
    metrics = {m.name: m for m in circuit.file.metric}
    assert metrics["gain"].description == "of my own <x>"
    assert circuit.file.gate[0].high == 0.2
    assert circuit.file.bench[0].analysis[1].command == "loop vfb dec 10 10 1g"
    assert "{2*c_load}" in circuit.netlists["bench_swing.spice"]


def test_a_spec_is_a_line_whose_direction_is_the_kit_s(ota: Path) -> None:
    edit(ota, "gain = 39", 'gain = { direction = "<=", target = 50 }')
    specs = {s.metric: s for s in load_circuit(ota).specs("generic")}
    assert (specs["pm"].direction, specs["pm"].tolerance, specs["area"].direction) == (
        ">=",
        30,
        "<=",
    )
    assert (specs["gain"].direction, specs["gain"].tolerance) == ("<=", None)
    assert specs["saturation"].fixed and not specs["power"].fixed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "ota"', 'name = "otta"', "no kit 'otta', did you mean ota?; write kit = "),
        ("dc_error = 0.1", "dc_eror = 0.1", "kit ota: no value 'dc_eror', did you mean dc_error?"),
        ("dc_error = 0.1", 'dc_error = "<x>"', "belong into no value"),
        ("dc_error = 0.1", 'metrics = ["gian"]', "there is no 'gian', did you mean gain?"),
        ("dc_error = 0.1", 'analyses = ["lop"]', "there is no 'lop', did you mean loop?"),
        ("dc_error = 0.1", 'ports = { inq = "inp" }', "dut.spice has no port 'inq'; its ports are: inp"),
        ("dc_error = 0.1", 'ports = { inp = "inn" }', "no port of dut.spice is its port inp (non-inv"),
        ("dc_error = 0.1", "lines = 3", 'write lines = ["vbias vb 0 dc 0.7"'),
        ("dc_error = 0.1", "lines.bench_swin = []", "it has no bench bench_swin, did you mean"),
        ("dc_error = 0.1", 'lines = ["q1 a b c"]', "kit ota, bench_follower.spice:"),
        ("v_cm = 0.9", "", "kit ota: needs v_cm (common mode of the inputs, where"),
        ("pm = 60", "pmm = 60", 'say whether pmm is to be large or small: pmm = { direction = ">="'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_kit_is_said_with_its_line(
    ota: Path, old: str, new: str, said: str
) -> None:
    edit(ota, old, new)
    found = problems(ota)
    assert said in found and found.startswith(("circuit.toml:", "kit ota, bench"))


def test_a_port_that_is_none_of_the_kit_s_is_named(ota: Path) -> None:
    dut = ota / "dut.spice"
    dut.write_text(dut.read_text().replace(" inp inn out", " inp inn out nb"))
    assert (
        'port nb of dut.spice is none of its own (inp, inn, out, vdd, vss); write ports = { nb = "'
        in (problems(ota))
    )
    edit(ota, "dc_error = 0.1", 'ports = { nb = "nb" }')
    assert "Xdut inp inn out nb vdd vss" in load_circuit(ota).netlists["bench_follower.spice"]


def test_a_problem_of_what_a_kit_says_names_the_kit_and_its_line(ota: Path) -> None:
    edit(ota, 'bias = "i_bias*(1+m_tail)"', 'bias = "i_bais*(1+m_tail)"')
    with pytest.raises(
        CircuitError, match=r"circuit\.toml:\d+ \(kit ota\): gate\.2\.signal: .*i_bais"
    ):
        load_circuit(ota)


@pytest.mark.parametrize(
    "text",
    ["kit = 3", "kit = []", "[kit]", "[kit]\nname = []",
     'kit = "ota"\nmetric = 3\nbench = "x"\nspec = 1',
     'spec = { gain = [] }\nkit = "ota"',
     '[kit]\nname = "ota"\nports = []\nmetrics = [[], {}]\nlines = {}'],
)  # fmt: skip
def test_nothing_that_toml_can_say_breaks_it(text: str) -> None:
    toml = TomlFile("circuit.toml", tomllib.loads(text), locate(text))
    dut = load_circuit(BUNDLED / "ota5t").dut
    expanded, found = expand(toml, dut)
    assert found or expanded is not None


def test_an_imported_op_amp_is_measured_by_a_kit(tmp_path: Path) -> None:
    command = ["import", str(NETLISTS / "crlf.spice"), "--kit", "ota", "--no-simulation"]
    assert main([*command, "--out", str(tmp_path / "it")]) == 0
    circuit = load_circuit(tmp_path / "it")
    assert circuit.kit == "ota" and not list((tmp_path / "it").glob("bench_*"))
    assert "swing" in {s.metric for s in circuit.file.spec}


def test_what_an_import_does_not_know_of_a_kit_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "import",
        str(NETLISTS / "crlf.spice"),
        "--no-simulation",
        "--out",
        str(tmp_path / "it"),
    ]
    assert main([*command, "--kit", "ldo"]) == 2
    assert "--port vref=PORT with one of" in capsys.readouterr().err
    assert main([*command, "--port", "vref=x"]) == 2
    assert "belong to --kit NAME" in capsys.readouterr().err
    assert not (tmp_path / "it").exists()


def test_the_tables_of_the_page_are_those_of_the_kits() -> None:
    assert kit_tables.PAGE.read_text() == kit_tables.page(), "run: python -m docs.kit_tables"
