"""Compare the bundled ``generic`` model cards with SKY130's 1.8 V transistors.

    python benchmarks/generic_vs_sky130.py --json benchmarks/results/generic_vs_sky130.json

Needs the ``ngspice`` program and SKY130's models. Every figure printed is a ratio generic / SKY130
at equal conditions, so 1.00 is a perfect match. The cards were fitted to these same curves, so this
shows how good the fit is and no more; of SKY130 nothing is stored here, it is read at run time.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acs_gym.pdks.generic_cards import CORNERS, model_cards
from acs_gym.pdks.sky130 import find_sky130

FloatArray = npt.NDArray[np.float64]

VDD = 1.8
LENGTHS = (0.15, 0.18, 0.3, 0.5, 1.0, 2.0, 4.0)
WIDTHS = (1.0, 5.0, 20.0)
GEOMETRIES = tuple((w, length) for w in WIDTHS for length in LENGTHS)
VDS = (0.05, 0.9, 1.8)
VBS = (0.0, -0.4)
VGS_STEP = 0.05
# Current densities (A per square, i.e. per W/L) from weak to strong inversion.
SQUARE_CURRENTS = (1e-8, 1e-7, 1e-6, 1e-5)
# Length of the source and drain diffusions in um, for the junction capacitance check.
DIFFUSION = 0.29


@dataclass(frozen=True)
class Technology:
    """How to write one technology's devices into an ngspice deck."""

    name: str
    header: Callable[[str], str]
    device: Callable[[str, str, str, float, float, str], str]
    vector: Callable[[str, str, str], str]


def generic_technology(cards: Callable[[str], str] = model_cards) -> Technology:
    """Return the bundled cards as a technology; ``cards`` maps a corner to the model text."""

    def device(name: str, pol: str, nodes: str, w: float, length: float, extra: str) -> str:
        return f"M{name} {nodes} {pol}mos_generic w={w}u l={length}u {extra}"

    def vector(name: str, pol: str, quantity: str) -> str:
        return f"@m{name}[{quantity}]"

    return Technology("generic", cards, device, vector)


def sky130_technology(models: Path, work: Path) -> Technology:
    """Return SKY130's 1.8 V pair, cut out of ``models`` so that each run loads in little time."""
    text = (models / "models_fet.spice").read_text(encoding="utf-8", errors="replace")
    for pol in "np":
        cell = f"sky130_fd_pr__{pol}fet_01v8"
        cut = re.search(rf"^\.subckt\s+{cell}\s.*?^\.ends[^\n]*$", text, re.M | re.S)
        if cut is None:
            raise SystemExit(f"no subcircuit {cell} in {models / 'models_fet.spice'}")
        (work / f"{cell}.spice").write_text(cut.group(0) + "\n", encoding="utf-8")

    def header(corner: str) -> str:
        return "\n".join(
            (
                ".param MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1",
                ".param process_mc_factor=1 mismatch_factor=1",
                f'.include "{models / f"parameters_fet_{corner}.spice"}"',
                f'.include "{models / "parameters_res_nom.spice"}"',
                f'.include "{models / "parameters_cap_nom.spice"}"',
                f'.include "{models / "models_global.spice"}"',
                f'.include "{work / "sky130_fd_pr__nfet_01v8.spice"}"',
                f'.include "{work / "sky130_fd_pr__pfet_01v8.spice"}"',
            )
        )

    def device(name: str, pol: str, nodes: str, w: float, length: float, extra: str) -> str:
        # SKY130 decks use micrometres (option scale), so the unit suffixes have to go.
        plain = re.sub(r"=([0-9.]+)[pu]\b", r"=\1", extra)
        return f"X{name} {nodes} sky130_fd_pr__{pol}fet_01v8 w={w} l={length} nf=1 {plain}"

    def vector(name: str, pol: str, quantity: str) -> str:
        return f"@m.x{name}.msky130_fd_pr__{pol}fet_01v8[{quantity}]"

    return Technology("sky130", header, device, vector)


def read_raw(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the first plot of an ngspice binary raw file into arrays by vector name."""
    blob = path.read_bytes()
    head, _, body = blob.partition(b"Binary:\n")
    text = head.decode("utf-8", errors="replace")
    count = int(re.findall(r"No\. Variables:\s*(\d+)", text)[0])
    points = int(re.findall(r"No\. Points:\s*(\d+)", text)[0])
    kind = np.complex128 if re.search(r"^Flags:.*complex", text, re.M) else np.float64
    names = [line.split()[1] for line in text.split("Variables:")[-1].splitlines()[1 : count + 1]]
    data = np.frombuffer(body, dtype=kind, count=count * points).reshape(points, count)
    return {name: data[:, i] for i, name in enumerate(names)}


def simulate(
    tech: Technology, corner: str, temp: float, body: Sequence[str], control: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Run one deck with ``ngspice -b`` and return the vectors its ``control`` wrote."""
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder) / "deck.sp"
        raw = Path(folder) / "out.raw"
        lines = [
            "* comparison deck",
            tech.header(corner),
            f".temp {temp}",
            ".options gmin=1e-15 abstol=1e-15 reltol=1e-4",
            *body,
            ".control",
            *(line.replace("OUT", str(raw)) for line in control),
            ".endc",
            ".end",
        ]
        deck.write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", str(deck)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=folder,
        )
        if not raw.exists():
            raise RuntimeError(f"{tech.name}/{corner}: no result\n{done.stdout}\n{done.stderr}")
        return read_raw(raw)


def dc_curves(
    tech: Technology,
    pol: str,
    corner: str = "tt",
    temp: float = 27.0,
    geometries: Sequence[tuple[float, float]] = GEOMETRIES,
) -> dict[str, FloatArray]:
    """Return |id|, gm and gds with axes (geometry, vds, vbs, vgs) for one polarity."""
    sign = 1.0 if pol == "n" else -1.0
    body = ["Vg g 0 0"]
    body += [f"Vd{i} d{i} 0 {sign * vds}" for i, vds in enumerate(VDS)]
    body += [f"Vb{i} b{i} 0 {sign * vbs}" for i, vbs in enumerate(VBS)]
    names = []
    for k, (w, length) in enumerate(geometries):
        for i in range(len(VDS)):
            for j in range(len(VBS)):
                name = f"q{k}_{i}_{j}"
                names.append(name)
                body.append(tech.device(name, pol, f"d{i} g 0 b{j}", w, length, ""))
    quantities = ("id", "gm", "gds")
    control = ["save v(g)"]
    for q in quantities:
        control += [f"save {tech.vector(name, pol, q)}" for name in names]
    control += [f"dc Vg 0 {sign * VDD} {sign * VGS_STEP}", "write OUT"]
    raw = simulate(tech, corner, temp, body, control)
    shape = (len(geometries), len(VDS), len(VBS), -1)
    result: dict[str, FloatArray] = {}
    for q in quantities:
        rows = [np.abs(_find(raw, tech.vector(name, pol, q))) for name in names]
        result[q] = np.array(rows, dtype=np.float64).reshape(shape)
    return result


def _find(raw: Mapping[str, npt.NDArray[Any]], vector: str) -> npt.NDArray[Any]:
    """Look a vector up by name; ngspice wraps currents as ``i(...)`` and others as ``v(...)``."""
    for name in (vector, f"i({vector})", f"v({vector})"):
        if name in raw:
            return raw[name]
    raise RuntimeError(f"no vector {vector} in the result")


def gate_capacitance(tech: Technology, pol: str) -> FloatArray:
    """Return the gate capacitance per width-length (F/um2), axes (length, bias), at W = 5 um.

    Biases (vgs, vds): off (0, 0), triode (1.8, 0), saturation (0.9, 1.8), on (1.8, 1.8).
    """
    sign = 1.0 if pol == "n" else -1.0
    biases = ((0.0, 0.0), (VDD, 0.0), (0.9, VDD), (VDD, VDD))
    body = []
    names = []
    for i, length in enumerate(LENGTHS):
        for j, (vgs, vds) in enumerate(biases):
            tag = f"c{i}_{j}"
            names.append((tag, length))
            body.append(f"Vg{tag} g{tag} 0 dc {sign * vgs} ac 1")
            body.append(f"Vd{tag} d{tag} 0 {sign * vds}")
            body.append(tech.device(tag, pol, f"d{tag} g{tag} 0 0", 5.0, length, ""))
    raw = simulate(tech, "tt", 27.0, body, ["ac lin 1 1meg 1meg", "write OUT"])
    values = [
        abs(_find(raw, f"i(vg{tag})")[0].imag) / (2 * math.pi * 1e6) / (5.0 * length)
        for tag, length in names
    ]
    return np.array(values, dtype=np.float64).reshape(len(LENGTHS), len(biases))


def junction_capacitance(tech: Technology, pol: str) -> FloatArray:
    """Return the drain-to-bulk capacitance (F), axes (width, reverse bias 0 / 0.9 / 1.8 V)."""
    sign = 1.0 if pol == "n" else -1.0
    widths = (1.0, 10.0)
    biases = (0.0, 0.9, VDD)
    body = []
    names = []
    for i, w in enumerate(widths):
        for j, vdb in enumerate(biases):
            tag = f"j{i}_{j}"
            names.append(tag)
            area, edge = w * DIFFUSION, 2 * (w + DIFFUSION)
            extra = f"ad={area:.4f}p as={area:.4f}p pd={edge:.4f}u ps={edge:.4f}u"
            body.append(f"Vd{tag} d{tag} 0 dc {sign * vdb} ac 1")
            body.append(f"Vb{tag} b{tag} 0 0")
            body.append(tech.device(tag, pol, f"d{tag} 0 0 b{tag}", w, 0.5, extra))
    raw = simulate(tech, "tt", 27.0, body, ["ac lin 1 1meg 1meg", "write OUT"])
    values = [abs(_find(raw, f"i(vb{tag})")[0].imag) / (2 * math.pi * 1e6) for tag in names]
    return np.array(values, dtype=np.float64).reshape(len(widths), len(biases))


NOISE_FREQUENCIES = (1.0, 1e3, 1e5, 1e7)
NOISE_CASES = ((10.0, 0.5, 10e-6), (10.0, 0.18, 10e-6), (10.0, 2.0, 10e-6), (10.0, 0.5, 100e-6))


def input_noise(tech: Technology, pol: str) -> FloatArray:
    """Return the input-referred noise (V/sqrt(Hz)), axes (case, frequency).

    Each device is diode-connected through a huge inductor, so its current is the forced one while
    its drain is open for the noise analysis.
    """
    sign = 1.0 if pol == "n" else -1.0
    rows = []
    for w, length, current in NOISE_CASES:
        body = [
            f"Ib 0 d {sign * current}",
            "Lb d g 1e12",
            "Cb g in 1e6",
            "Vin in 0 dc 0 ac 1",
            tech.device("n1", pol, "d g 0 0", w, length, ""),
        ]
        control = ["noise v(d) Vin dec 1 1 10meg", "setplot noise1", "write OUT inoise_spectrum"]
        raw = simulate(tech, "tt", 27.0, body, control)
        spectrum = np.real(_find(raw, "inoise_spectrum"))
        rows.append([spectrum[round(math.log10(f))] for f in NOISE_FREQUENCIES])
    return np.array(rows, dtype=np.float64)


@dataclass(frozen=True)
class Ratios:
    """One compared quantity: the ratios generic / SKY130 and what they are summed up to."""

    polarity: str
    quantity: str
    ratios: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values; ``worst`` is the ratio furthest from 1."""
        logs = np.log(np.array(self.ratios))
        spread = np.abs(logs)
        return {
            "polarity": self.polarity,
            "quantity": self.quantity,
            "points": len(self.ratios),
            "median": round(float(np.exp(np.median(logs))), 3),
            "median_error": round(float(np.exp(np.median(spread))) - 1.0, 3),
            "p90_error": round(float(np.exp(np.percentile(spread, 90))) - 1.0, 3),
            "worst": round(float(np.exp(logs[int(np.argmax(spread))])), 3),
        }


def _ratios(pol: str, quantity: str, ratio: FloatArray, mask: npt.NDArray[np.bool_]) -> Ratios:
    return Ratios(pol, quantity, tuple(float(x) for x in ratio[mask]))


def at_current(curves: Mapping[str, FloatArray], quantity: FloatArray, target: float) -> FloatArray:
    """Interpolate ``quantity`` at ``target`` A per square, axes (geometry, vds, vbs)."""
    current = curves["id"]
    result = np.full(current.shape[:3], np.nan)
    for index in np.ndindex(*result.shape):
        w, length = GEOMETRIES[index[0]]
        density = np.log(current[index] * length / w + 1e-30)
        if density[0] < math.log(target) < density[-1]:
            result[index] = np.interp(math.log(target), density, quantity[index])
    return result


# SKY130's parameter file named "sf" lowers the NMOS threshold and raises the PMOS one, which is
# the fast-N slow-P case; the skewed corners are therefore paired by what the devices do.
CORNER_PAIRS = {"ff": "ff", "ss": "ss", "sf": "fs", "fs": "sf"}


def compare(generic: Technology, sky130: Technology, pol: str) -> list[Ratios]:
    """Return every comparison for one polarity."""
    found: list[Ratios] = []
    ours, theirs = dc_curves(generic, pol), dc_curves(sky130, pol)
    size = np.array([w / length for w, length in GEOMETRIES])[:, None, None, None]
    # The hole mobility is about a quarter of the electron's: equal inversion at a quarter current.
    unit = 1.0 if pol == "n" else 0.25
    density = theirs["id"] / size / unit
    ratio = ours["id"] / np.maximum(theirs["id"], 1e-30)
    found.append(_ratios(pol, "Id strong (> 1 uA/sq)", ratio, density > 1e-6))
    found.append(
        _ratios(pol, "Id moderate (0.1-1 uA/sq)", ratio, (density > 1e-7) & (density <= 1e-6))
    )
    found.append(_ratios(pol, "Id weak (1-100 nA/sq)", ratio, (density > 1e-9) & (density <= 1e-7)))
    for length in LENGTHS:
        pick = np.array([g[1] == length for g in GEOMETRIES])[:, None, None, None]
        found.append(_ratios(pol, f"Id L={length} (> 0.1 uA/sq)", ratio, (density > 1e-7) & pick))
    for square in SQUARE_CURRENTS:
        pair = [
            at_current(c, c["gm"] / np.maximum(c["id"], 1e-30), square * unit)
            for c in (ours, theirs)
        ]
        found.append(
            _ratios(
                pol,
                f"gm/Id at {square * unit:.2g} A/sq",
                pair[0] / pair[1],
                np.isfinite(pair[0] / pair[1]),
            )
        )
    for length in LENGTHS:
        parts: list[float] = []
        for square in (1e-7, 1e-6):
            pair = [
                at_current(c, c["gm"] / np.maximum(c["gds"], 1e-30), square * unit)
                for c in (ours, theirs)
            ]
            values = (pair[0] / pair[1])[:, 1:, 0]
            chosen = values[[k for k, g in enumerate(GEOMETRIES) if g[1] == length]]
            parts += [float(x) for x in chosen[np.isfinite(chosen)]]
        found.append(Ratios(pol, f"gm/gds L={length} (saturated)", tuple(parts)))
    cap_ours, cap_theirs = gate_capacitance(generic, pol), gate_capacitance(sky130, pol)
    every = np.ones(len(LENGTHS), dtype=np.bool_)
    for j, label in enumerate(("off", "triode", "vgs 0.9 vds 1.8", "vgs 1.8 vds 1.8")):
        found.append(_ratios(pol, f"Cgg {label}", cap_ours[:, j] / cap_theirs[:, j], every))
    k0, mid = WIDTHS.index(5.0) * len(LENGTHS), round(VDD / 2 / VGS_STEP)
    for label, j, k in (("vgs 0.9", 2, mid), ("vgs 1.8", 3, -1)):
        gm_ours = ours["gm"][k0 : k0 + len(LENGTHS), 2, 0, k]
        gm_theirs = theirs["gm"][k0 : k0 + len(LENGTHS), 2, 0, k]
        transit = gm_ours / gm_theirs * cap_theirs[:, j] / cap_ours[:, j]
        found.append(_ratios(pol, f"fT {label} vds 1.8", transit, every))
    junction = junction_capacitance(generic, pol) / junction_capacitance(sky130, pol)
    found.append(Ratios(pol, "Cdb", tuple(float(x) for x in junction.ravel())))
    noise = input_noise(generic, pol) / input_noise(sky130, pol)
    for j, frequency in enumerate(NOISE_FREQUENCIES):
        found.append(
            Ratios(pol, f"vn,in at {frequency:g} Hz", tuple(float(x) for x in noise[:, j]))
        )
    usable = density > 1e-7
    for temp in (-40.0, 125.0):
        hot_ours, hot_theirs = (dc_curves(t, pol, "tt", temp)["id"] for t in (generic, sky130))
        drift = (hot_ours / ours["id"]) / (hot_theirs / theirs["id"])
        found.append(_ratios(pol, f"Id({temp:g} C)/Id(27 C)", drift, usable))
        found.append(_ratios(pol, f"Id at {temp:g} C", hot_ours / hot_theirs, usable))
    for corner, other in CORNER_PAIRS.items():
        id_ours = dc_curves(generic, pol, corner)["id"]
        id_theirs = dc_curves(sky130, pol, other)["id"]
        drift = (id_ours / ours["id"]) / (id_theirs / theirs["id"])
        found.append(_ratios(pol, f"Id({corner})/Id(tt)", drift, usable))
        found.append(_ratios(pol, f"Id at {corner}", id_ours / id_theirs, usable))
    return found


def main() -> int:
    """Print the comparison table and, on request, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder of SKY130's continuous models (default: where they are installed)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table here")
    options = parser.parse_args()
    if set(CORNER_PAIRS) | {"tt"} != set(CORNERS):
        raise SystemExit("the corner pairs do not cover the corners of the generic cards")
    with tempfile.TemporaryDirectory() as folder:
        generic = generic_technology()
        models = find_sky130() if options.models is None else options.models
        sky130 = sky130_technology(models.resolve(), Path(folder))
        rows = [row.as_dict() for pol in "np" for row in compare(generic, sky130, pol)]
    print(
        f"{'':2}{'ratio generic / SKY130':30}{'points':>7}{'median':>8}"
        f"{'|err|50':>9}{'|err|90':>9}{'worst':>9}"
    )
    for row in rows:
        print(
            f"{row['polarity']:2}{row['quantity']:30}{row['points']:7d}{row['median']:8.2f}"
            f"{row['median_error']:9.1%}{row['p90_error']:9.1%}{row['worst']:9.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
