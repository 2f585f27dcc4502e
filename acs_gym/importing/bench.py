"""A first testbench for an imported circuit, and what is measured in it: text of a folder's files.

An op-amp that is recognised by its pins becomes a follower; of any other circuit the operating point is
found, and what its owner has to add is said. Or a kit is named, which brings its own benches.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acs_gym.circuit import CircuitError
from acs_gym.importing.circuit import Imported
from acs_gym.importing.devices import GF180
from acs_gym.importing.testbench import Drive
from acs_gym.kits import get_kit

FOLLOWER, POINT = "bench_follower.spice", "bench_op.spice"
_LOAD = 5e-12


@dataclass(frozen=True, slots=True)
class Spec:
    """A spec with the target it has before anything was measured."""

    metric: str
    direction: str
    target: float
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """A testbench: its file, conditions, and what stands of it in `circuit.toml`.

    `todo` says what the owner has to add, one line each. A kit's has no file of its own.
    """

    file: str
    text: str
    conditions: Mapping[str, float]
    toml: str
    specs: tuple[Spec, ...]
    todo: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KitWanted:
    """A kit by its name, with what its owner says of it.

    Attributes:
        ports: the kit's port -> that of the circuit, where names do not say it.
        conditions: in SI units, beside those that the netlist tells.
    """

    name: str
    ports: Mapping[str, str]
    conditions: Mapping[str, float]


def first_bench(circuit: Imported, name: str, wanted: KitWanted | None = None) -> Bench:
    """Raises CircuitError for a kit that does not fit."""
    if wanted is not None:
        return _of_kit(circuit, wanted)
    return _follower(circuit, name) if circuit.pins.is_opamp else _point(circuit, name)


def _of_kit(circuit: Imported, wanted: KitWanted) -> Bench:
    """A kit with the circuit's ports at it; sources for those that are none of its own."""
    kit, pins, names = get_kit(wanted.name), circuit.pins, circuit.nodes
    back = {circuit.nodes[p]: p for p in circuit.nodes}
    recognised = {pins.plus: "inp", pins.minus: "inn", pins.out: "out"}
    recognised |= dict.fromkeys(pins.supply, "vdd") | dict.fromkeys(pins.ground, "vss")
    given = {port.lower(): node for node, port in wanted.ports.items()}
    for node, port in wanted.ports.items():
        if node not in kit.ports or port.lower() not in circuit.ports:
            raise CircuitError(
                f"--port {node}={port}: write PORT_OF_KIT=PORT; those of the kit {kit.name} are "
                f"{', '.join(kit.ports)}, those of the circuit {', '.join(circuit.ports)}"
            )
    known = {**_conditions(circuit), "c_load": circuit.around.load.get(pins.out, _LOAD)}
    conditions = {k: v for k, v in known.items() if k in kit.conditions}
    drives: dict[str, float] = {}
    lines: list[str] = []
    to: dict[str, str] = {}
    todo: list[str] = []
    for port in circuit.ports:
        own = back[port]
        to[port] = given.get(port) or (port if port in kit.ports else recognised.get(own, port))
        if to[port] not in kit.ports and own in pins.bias:
            lines.append(_driven(names[own], pins.bias[own], known))
            name = f"{pins.bias[own].letter}_{names[own]}"
            drives[name] = known[name]
            if own in pins.guessed:
                todo.append(f"{port}: {_said(pins.bias[own])} is a guess; set it in [conditions]")
        elif to[port] not in kit.ports:
            todo.append(
                f"{port}: nothing here knows what it is for; add its source to lines in [kit]"
            )
    if missing := [node for node in kit.ports if node not in to.values()]:
        raise CircuitError(
            f"kit {kit.name}: no port of the circuit is its {missing[0]} ({kit.ports[missing[0]]}); "
            f"write --port {missing[0]}=PORT with one of: {', '.join(circuit.ports)}"
        )
    if pins.out in circuit.around.resistors and "out" in kit.ports:
        drives["r_load"] = circuit.around.resistors[pins.out]
        lines.append("rl out 0 {r_load}")
    conditions |= drives | dict(wanted.conditions)
    for node, about in kit.conditions.items():
        if node not in conditions and "default" not in about:
            raise CircuitError(
                f"kit {kit.name} needs {node} ({about['description']}); write --condition {node}=... "
                f"in {about['unit']}"
            )
    ports = {p: n for p, n in to.items() if p != n or n not in kit.ports}
    toml = [f'[kit]\nname = "{kit.name}"']
    if ports:
        toml.append("ports = { " + ", ".join(f'{p} = "{n}"' for p, n in ports.items()) + " }")
    if lines:
        toml.append(f"lines = {json.dumps(lines)}")
    usual = {m["name"]: m for m in kit.metric} | {"area": {"direction": "<="}}
    specs = tuple(
        Spec(metric, usual[metric]["direction"], target, usual[metric].get("tolerance"))
        for metric, target in kit.asks.items()
    )
    return Bench("", "", conditions, "\n".join(toml) + "\n", specs, tuple(todo))


def _follower(circuit: Imported, name: str) -> Bench:
    pins, names = circuit.pins, circuit.nodes
    conditions = _conditions(circuit)
    conditions["c_load"] = circuit.around.load.get(pins.out, _LOAD)
    to = {pins.plus: "inp", pins.minus: "inn", pins.out: "out"}
    lines = [
        f"* {name} as a unity-gain follower, closed at DC, for every analysis. vfb sits in the feedback",
        "* wire: the loop gain is measured there, with what loads the output in use.",
        "* Exciting vin and vfb together gives 1/CMRR at v(out), exciting vdd alone 1/PSRR.",
        "vdd vdd 0 dc {vdd} ac 0",
        "vin inp 0 dc {v_cm} ac 0",
        "vfb inn out dc 0 ac 0",
        "cl out 0 {c_load}",
    ]
    if pins.out in circuit.around.resistors:
        conditions["r_load"] = circuit.around.resistors[pins.out]
        lines.append("rl out 0 {r_load}")
    for port, drive in pins.bias.items():
        lines.append(_driven(names[port], drive, conditions))
        to[port] = names[port]
    connected = _connected(circuit, to)
    lines += [f"Xdut {connected} {name}", ".nodeset v(out)={v_cm} v(inn)={v_cm}"]
    specs = (
        Spec("gain", ">=", 60.0, 20.0), Spec("ugbw", ">=", 1e6), Spec("pm", ">=", 60.0, 30.0),
        Spec("modulus_margin", ">=", 0.6), Spec("cmrr", ">=", 60.0, 20.0),
        Spec("psrr", ">=", 60.0, 20.0), Spec("area", "<=", 1e-8), Spec("power", "<=", 1e-3),
    )  # fmt: skip
    todo = [
        f"{p}: {_said(d)} is a guess; set it in [conditions]"
        for p, d in pins.bias.items()
        if p in pins.guessed
    ]
    return Bench(FOLLOWER, "\n".join(lines) + "\n", conditions, _FOLLOWER_TOML, specs, tuple(todo))


def _point(circuit: Imported, name: str) -> Bench:
    pins, names = circuit.pins, circuit.nodes
    conditions = _conditions(circuit, common=bool(pins.plus or pins.minus))
    lines = [
        f"* {name} with DC sources at its pins: its operating point.",
        "vdd vdd 0 dc {vdd} ac 0",
    ]
    to: dict[str, str] = {}
    todo: list[str] = []
    drives = dict(pins.bias)
    for port in (pins.plus, pins.minus):
        if port:
            drives[port] = circuit.around.drives.get(port, Drive("v", conditions["v_cm"]))
    if not any(p in (pins.plus, pins.minus) and p not in circuit.around.drives for p in drives):
        conditions.pop("v_cm", None)
    outputs: list[str] = []
    for port, drive in drives.items():
        if port in (pins.plus, pins.minus) and port not in circuit.around.drives:
            lines.append(f"v{names[port]} {names[port]} 0 dc {{v_cm}} ac 0")
        else:
            lines.append(_driven(names[port], drive, conditions))
        to[port] = names[port]
        if port in pins.guessed:
            todo.append(f"{port}: {_said(drive)} is a guess; set it in [conditions]")
    for port in (*((pins.out,) if pins.out else ()), *pins.open):
        node = names[port]
        outputs.append(node)
        to[port] = node
        # Something to hold on to for a node that nothing else may hold.
        lines.append(f"rl_{node} {node} 0 {circuit.around.resistors.get(port, 1e9)!r}")
        if load := circuit.around.load.get(port):
            lines.append(f"cl_{node} {node} 0 {load!r}")
        if port != pins.out:
            todo.append(
                f"{port}: nothing here knows what it is for; add its source or load to {POINT}"
            )
    connected = _connected(circuit, to)
    lines.append(f"Xdut {connected} {name}")
    if not pins.supply:
        lines.append("rsupply vdd 0 1e9")
        todo.append(f"no pin is called as a supply is; connect vdd in {POINT}")
    todo.append(
        f"{POINT} finds the operating point alone: add analyses, metrics, specs and a gate for what the "
        "circuit is for (docs/circuits.md)"
    )
    voltages = "".join(_VOLTAGE.format(node=node) for node in outputs)
    toml = _POINT_TOML.replace("{voltages}", voltages)
    specs = (Spec("area", "<=", 1e-8), Spec("power", "<=", 1e-3))
    return Bench(POINT, "\n".join(lines) + "\n", conditions, toml, specs, tuple(todo))


def _conditions(circuit: Imported, *, common: bool = True) -> dict[str, float]:
    around, pins = circuit.around, circuit.pins
    usual = 3.3 if circuit.pdk == GF180 else 1.8
    if any("g5v0" in d.kind or "06v0" in d.kind for d in circuit.devices):
        usual = 5.0
    given = [around.drives[p] for p in pins.supply if p in around.drives]
    vdd = next((d.value for d in given if d.letter == "v" and d.value > 0), usual)
    found = {"vdd": vdd, "temperature": 27.0}
    if common:
        drive = around.drives.get(pins.plus)
        inside = drive is not None and drive.letter == "v" and 0 < drive.value < vdd
        found["v_cm"] = drive.value if inside and drive is not None else round(0.5 * vdd, 6)
    return found


def _driven(node: str, drive: Drive, conditions: dict[str, float]) -> str:
    """A source with its value as a condition of its own."""
    name = f"{drive.letter}_{node}"
    if drive.letter == "v":
        # A guess for a PMOS gate counts from the supply.
        conditions[name] = drive.value if drive.value >= 0 else conditions["vdd"] + drive.value
        return f"v{node} {node} 0 dc {{{name}}} ac 0"
    conditions[name] = abs(drive.value)
    ends = f"{'0' if drive.grounded else 'vdd'} {node}" if drive.value >= 0 else f"{node} 0"
    return f"i{node} {ends} dc {{{name}}}"


def _said(drive: Drive) -> str:
    if drive.letter == "i":
        return f"{abs(drive.value) * 1e6:g} uA {'into' if drive.value > 0 else 'out of'} it"
    return f"{drive.value:g} V" if drive.value >= 0 else f"vdd{drive.value:g} V"


def _connected(circuit: Imported, to: Mapping[str, str]) -> str:
    """Nodes of the bench in the order of the circuit's ports."""
    back = {circuit.nodes[p]: p for p in circuit.nodes}
    found = []
    for port in circuit.ports:
        own = back[port]
        if own in circuit.pins.supply:
            found.append("vdd")
        elif own in circuit.pins.ground:
            found.append("0")
        else:
            found.append(to.get(own, port))
    return " ".join(found)


def circuit_toml(
    circuit: Imported, name: str, task_id: str, bench: Bench, targets: Mapping[str, float]
) -> str:
    """`circuit.toml`; `targets` are those of what was measured, by metric."""
    measured = (
        "# What the sizing of the netlist has, with 5 % to spare: change it to what you ask for."
        if targets
        else "# Nothing was measured yet: change it to what you ask for."
    )
    todo = "".join(f"# To do: {line}\n" for line in bench.todo)
    parts = [
        "# Everything is in SI units. `acs-gym check` says what is wrong, with the line.\n"
        f"{todo}id = {_text(task_id)}\ntitle = {_text(name)}\n"
        f'description = {_text(f"Imported from {circuit.text.name}.")}\nfigure_of_merit = "power"\n',
        "[conditions]\n" + "".join(f"{k} = {v!r}\n" for k, v in bench.conditions.items()),
    ]
    for p in circuit.sizing.parameters:
        kind = "integer = true" if p.integer else 'scale = "log"'
        number = (lambda v: str(int(v))) if p.integer else repr
        step = "" if p.step is None else f"step = {p.step!r}\n"
        unit = f"unit = {_text(p.unit)}\n" if p.unit else ""
        parts.append(
            f"[[parameter]]\nname = {_text(p.name)}\n{unit}low = {number(p.low)}\n"
            f"high = {number(p.high)}\n{kind}\n{step}description = {_text(p.description)}\n"
        )
    if not bench.file:
        asked = (f"{s.metric} = {targets.get(s.metric, s.target)!r}\n" for s in bench.specs)
        parts += [bench.toml, f"{measured}\n[spec]\n{''.join(asked)}", f"[pdk.{circuit.pdk}]\n"]
        return "\n".join(parts)
    parts.append(f'[[bench]]\nnetlist = "{bench.file}"\n{bench.toml}')
    for k, spec in enumerate(bench.specs):
        tolerance = "" if spec.tolerance is None else f"tolerance = {spec.tolerance!r}\n"
        target = targets.get(spec.metric, spec.target)
        parts.append(
            f'{measured + chr(10) if k == 0 else ""}[[spec]]\nmetric = "{spec.metric}"\n'
            f'direction = "{spec.direction}"\ntarget = {target!r}\n{tolerance}'
        )
    parts.append(f"[pdk.{circuit.pdk}]\n")
    return "\n".join(parts)


def reference_toml(circuit: Imported) -> str:
    lines = [
        f"# The sizing of {circuit.text.name}.",
        f"[{circuit.pdk}.tt]",
        *(
            f"{p.name} = {int(p.value) if p.integer else repr(p.value)}"
            for p in circuit.sizing.parameters
        ),
    ]
    return "\n".join(lines) + "\n"


def targets_of(specs: Sequence[Spec], metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Targets that these metrics meet with 5 % to spare, of those that were measured."""
    found: dict[str, float] = {}
    for spec in specs:
        value = metrics.get(spec.metric)
        if (
            value is None
            or not math.isfinite(value)
            or (
                spec.tolerance is None
                and (value == 0 if spec.direction == "within" else value <= 0)
            )
        ):
            continue
        least = spec.direction == ">="
        if spec.direction == "within":
            value = abs(value)
        if value > 0:
            wanted = value * (0.95 if least else 1.05)
            scale = 10.0 ** (math.floor(math.log10(wanted)) - 1)
            steps = math.floor(wanted / scale) if least else math.ceil(wanted / scale)
            found[spec.metric] = float(f"{steps * scale:.6g}")
        elif least:
            found[spec.metric] = float(f"{value - 1.0:.3g}")
        else:
            found[spec.metric] = float(f"{value + 0.5 * (spec.tolerance or 0.0):.3g}")
    return found


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_FOLLOWER_TOML = """
  [[bench.analysis]]
  name = "op"
  command = "op"

  [[bench.analysis]]
  name = "loop"
  command = "loop vfb dec 10 1 10g"

  [[bench.analysis]]
  name = "common_mode"
  command = "ac lin 1 10 10"
  excite = ["vin", "vfb"]

  [[bench.analysis]]
  name = "supply"
  command = "ac lin 1 10 10"
  excite = ["vdd"]

[[gate]]
description = "output does not follow the input at DC"
analysis = "op"
signal = "v(out)-v_cm"
low = -0.05
high = 0.05
kills = "all"

[[metric]]
name = "gain"
unit = "dB"
description = "loop gain of the follower at 1 Hz"
analysis = "loop"
signal = "loop(vfb)"
measure = "magnitude_db"

[[metric]]
name = "ugbw"
unit = "Hz"
description = "unity-gain frequency of the follower's loop gain"
analysis = "loop"
signal = "loop(vfb)"
measure = "unity_crossing"

[[metric]]
name = "pm"
unit = "°"
description = "phase margin of the follower's loop gain"
analysis = "loop"
signal = "loop(vfb)"
measure = "phase_margin"

[[metric]]
name = "modulus_margin"
description = "smallest |1 + T| of the loop gain T over frequency"
analysis = "loop"
signal = "loop(vfb)"
measure = "modulus_margin"

[[metric]]
name = "cmrr"
unit = "dB"
description = "common-mode rejection at 10 Hz"
analysis = "common_mode"
signal = "v(out)"
measure = "rejection_db"

[[metric]]
name = "psrr"
unit = "dB"
description = "rejection of the positive supply at 10 Hz"
analysis = "supply"
signal = "v(out)"
measure = "rejection_db"

[[metric]]
name = "offset"
unit = "V"
description = "what the follower's output is away from its input"
analysis = "op"
signal = "v(out)-v_cm"

[[metric]]
name = "power"
unit = "W"
description = "static power from the supply"
analysis = "op"
signal = "-vdd*i(vdd)"
"""
_POINT_TOML = """
  [[bench.analysis]]
  name = "op"
  command = "op"

[[gate]]
description = "no current flows"
analysis = "op"
signal = "-i(vdd)"
low = 1e-12
kills = "all"

[[metric]]
name = "power"
unit = "W"
description = "static power from the supply"
analysis = "op"
signal = "-vdd*i(vdd)"
{voltages}"""
_VOLTAGE = """
[[metric]]
name = "v_{node}"
unit = "V"
description = "voltage of {node}"
analysis = "op"
signal = "v({node})"
"""
