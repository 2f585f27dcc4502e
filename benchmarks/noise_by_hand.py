"""Thermal noise of one transistor: the BSIM4 manual's formulas by hand, against two simulators.

    python benchmarks/noise_by_hand.py [--json benchmarks/results/noise_by_hand.json]

One SKY130 n-channel transistor at three gate voltages, noise of its drain current. docs/noise.md says
what the columns mean and what follows. The hand evaluation takes from ngspice what it prints (drain
current, threshold, conductances) and works out the rest of the manual's quantities from the model
card; its own saturation voltage, compared with ngspice's, shows that it does so correctly.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acs_gym.pdks import get_pdk
from acs_gym.simulation.pool import Job, Simulator, WorkerPool
from acs_gym.simulation.program import Program
from acs_gym.simulation.uncharged import simulate_uncharged
from acs_gym.simulation.version import simulator_version
from acs_gym.task import make_task, task_ids
from acs_gym.vacask.opinion import comparable
from acs_gym.vacask.process import find_vacask, run_vacask
from acs_gym.vacask.simulate import simulate
from acs_gym.vacask.transistor import PINNED_NOISE, Bias, one_transistor

GATES = (0.6, 0.8, 1.2)
KELVIN, BOLTZMANN, CHARGE = 273.15, 1.380649e-23, 1.602176634e-19
EPS0, EPSI = 8.85418e-12, 1.03594e-10
TEMPERATURE = 27.0 + KELVIN
# Thermal noise alone: no carrier traps, so no flicker.
QUIET = {"noia": "0"}
_DEFAULTS = {"xl": 0.0, "xw": 0.0, "minv": 0.0, "voffl": 0.0, "wr": 1.0, "ud": 0.0, "b0": 0.0,
             "b1": 0.0, "prwb": 0.0, "rdswmin": 0.0, "phin": 0.0}  # fmt: skip


class Card:
    """The parameters of one card at one size: P = P0 + LP/L + WP/W + PP/(L·W), lengths in m."""

    def __init__(self, text: str, w: float, l: float) -> None:  # noqa: E741
        given = dict(re.findall(r"(\w+)=(\S+)", text.lower()))
        self._values = {k: float(v) for k, v in given.items() if k != "version"}
        if self._values.get("binunit") != 2:
            raise SystemExit("this card bins in micrometres, which is not written down here")
        self.leff = l + self["xl"] - 2.0 * self._values["lint"]
        self.weff = w + self["xw"] - 2.0 * self._values["wint"]

    def __getitem__(self, name: str) -> float:
        base = self._values.get(name, _DEFAULTS.get(name, math.nan))
        binned = [self._values.get(f"{prefix}{name}", 0.0) for prefix in "lwp"]
        if not any(binned):
            return base
        return (
            base
            + binned[0] / self.leff
            + binned[1] / self.weff
            + binned[2] / (self.leff * self.weff)
        )


def quantities(card: Card, bias: Bias, printed: Mapping[str, float]) -> dict[str, float]:
    """The manual's bias-dependent quantities in SI units (mobMod 0, rdsMod 0, no body bias).

    `bias` is that inside the resistances of drain and source.
    """
    t, tnom = TEMPERATURE, card["tnom"] + KELVIN
    ratio = t / tnom
    vt, vt_nom = BOLTZMANN * t / CHARGE, BOLTZMANN * tnom / CHARGE
    gap = 1.16 - 7.02e-4 * tnom**2 / (tnom + 1108.0)
    intrinsic = 1.45e10 * (tnom / 300.15) ** 1.5 * math.exp(21.5565981 - gap / (2.0 * vt_nom))
    phi = vt_nom * math.log(card["ndep"] / intrinsic) + card["phin"] + 0.4
    ndep = 1e6 * card["ndep"]
    xdep = math.sqrt(2.0 * EPSI * phi / (CHARGE * ndep))
    toxe = card["toxe"]
    coxe = card["epsrox"] * EPS0 / toxe
    leff, weff, vth = card.leff, card.weff, printed["vth"]

    # Gate depletion takes a little of the gate voltage.
    flat = card["vth0"] - phi - card["k1"] * math.sqrt(phi)
    depth = 1e6 * CHARGE * EPSI * card["ngate"] / coxe**2
    over = bias.vgs - flat - phi
    drop = 2.0 * over / (math.sqrt(1.0 + 2.0 * over / depth) + 1.0)
    drop = 0.5 * drop**2 / depth
    rest = 1.12 - drop - 0.05
    vgse = bias.vgs - (1.12 - 0.5 * (rest + math.sqrt(rest**2 + 0.224)))

    # Vgsteff: the overdrive, smooth through threshold.
    length = math.sqrt(EPSI * toxe * xdep / (card["epsrox"] * EPS0))
    short = 0.5 / (math.cosh(min(card["dvt1"] * leff / length, 300.0)) - 1.0)
    coupling = (card["cdsc"] + card["cdscd"] * bias.vds) * short + card["cit"]
    n = 1.0 + card["nfactor"] * EPSI / xdep / coxe + coupling / coxe
    share = 0.5 + math.atan(card["minv"]) / math.pi
    voff = card["voff"] + card["voffl"] / leff
    depleted = math.sqrt(CHARGE * EPSI * ndep / (2.0 * phi))
    up = n * vt * math.log1p(math.exp(share * (vgse - vth) / (n * vt)))
    down = share + n * coxe / depleted * math.exp(-((1.0 - share) * (vgse - vth) - voff) / (n * vt))
    vgsteff = up / down

    # Mobility, saturation field and voltage.
    field = (vgsteff + 2.0 * vth) / toxe
    ua, ub = (card[p] + card[f"{p}1"] * (ratio - 1.0) for p in ("ua", "ub"))
    ueff = card["u0"] * ratio ** card["ute"] / (1.0 + ua * field + ub * field**2)
    vsat = card["vsat"] - card["at"] * (ratio - 1.0)
    esat_l = 2.0 * vsat / ueff * leff
    pocket = math.sqrt(1.0 + card["lpeb"] / leff)
    ratio_tox = toxe / card["toxm"]
    narrow = toxe * phi / (weff + card["w0"])
    doping = (
        0.5 * card["k1"] * ratio_tox * pocket / math.sqrt(phi)
        + card["k2"] * ratio_tox
        - card["k3b"] * narrow
    )
    part = leff / (leff + 2.0 * math.sqrt(card["xj"] * xdep))
    abulk = 1.0 + doping * (
        card["a0"] * part * (1.0 - card["ags"] * part**2 * vgsteff)
        + card["b0"] / (weff + card["b1"])
    )
    shape = 1.0 / (1.0 + card["prwg"] * vgsteff)
    rds = card["rdswmin"] + 0.5 * card["rdsw"] / (weff * 1e6) ** card["wr"] * (
        shape + math.sqrt(shape**2 + 0.01)
    )
    vgst2 = vgsteff + 2.0 * vt
    load = weff * vsat * coxe * rds
    lam = card["a2"]
    a = abulk**2 * load + abulk * (1.0 / lam - 1.0)
    b = vgst2 * (2.0 / lam - 1.0) + abulk * esat_l + 3.0 * abulk * vgst2 * load
    c = vgst2 * esat_l + 2.0 * vgst2**2 * load
    vdsat = (b - math.sqrt(b**2 - 4.0 * a * c)) / (2.0 * a)
    gap_ = vdsat - bias.vds - card["delta"]
    vdseff = vdsat - 0.5 * (gap_ + math.sqrt(gap_**2 + 4.0 * card["delta"] * vdsat))
    return {
        "vgsteff": vgsteff, "esat_l": esat_l, "vdsat": vdsat, "vdseff": vdseff, "ueff": ueff,
        "rds": rds, "leff": leff, "n": n,
    }  # fmt: skip


def sources(
    card: Card, q: Mapping[str, float], op: Mapping[str, float]
) -> tuple[float, float, float]:
    """The manual's tnoiMod = 1: (channel current noise, source voltage noise) over 4kT, and theta.

    i_d²/4kT = Vdseff/Ids·[gds + beta·(gm + gmbs)]² - v_d²/4kT·(gm + gmbs + gds)², in S;
    v_d²/4kT = theta²·Vdseff/Ids, in Ohm, in series with the source;
    beta = RNOIA·[1 + TNOIA·Leff·(Vgsteff/EsatL)²], theta = RNOIB·[1 + TNOIB·Leff·(Vgsteff/EsatL)²].
    """
    square = (q["vgsteff"] / q["esat_l"]) ** 2
    beta = card["rnoia"] * (1.0 + card["tnoia"] * q["leff"] * square)
    theta = card["rnoib"] * (1.0 + card["tnoib"] * q["leff"] * square)
    theta = min(theta, 0.9, 0.9 * beta)  # As of BSIM4.6.2; far from these limits here.
    slope = q["vdseff"] / op["id"]
    channel = slope * (op["gds"] + beta * (op["gm"] + op["gmbs"])) ** 2
    source = theta**2 * slope
    return channel - source * (op["gm"] + op["gmbs"] + op["gds"]) ** 2, source, theta


def drain_noise(
    channel: float, source: float, op: Mapping[str, float], end: float, *, v4_5: bool = False
) -> float:
    """Noise of the drain current over 4kT in S, with a resistance `end` (Ohm) at drain and source.

    `channel` (S) flows between the inner drain and source; `source` (Ohm) is in series with the
    source. `v4_5`: as BSIM4.5's code puts the latter in, see docs/noise.md.
    """
    g, gds = 1.0 / end, op["gds"]
    forward = op["gm"] + op["gmbs"] + gds
    nodes = np.array([[g + gds, -forward], [-gds, g + forward]])

    def transfer(into_drain: float, into_source: float) -> float:
        inner = np.linalg.solve(nodes, [into_drain, into_source])
        return float(g * inner[0])

    # A current across the source's resistance does what a voltage in series with it does.
    at_source = g / (1.0 + source * g) if v4_5 else g * (1.0 + source * g)
    return (
        channel * transfer(-1.0, 1.0) ** 2
        + at_source * transfer(0.0, 1.0) ** 2
        + g * (1.0 - transfer(1.0, 0.0)) ** 2
    )


def charge_noise(q: Mapping[str, float], charge: float) -> float:
    """tnoiMod = 0, over 4kT in S: ueff·|Qinv| / (Leff² + ueff·|Qinv|·Rds)."""
    product = q["ueff"] * abs(charge)
    return product / (q["leff"] ** 2 + product * q["rds"])


def own_conductances(metrics: Mapping[str, float], id_: float) -> dict[str, float]:
    return {k: metrics[k] for k in ("gm", "gmbs", "gds")} | {"id": id_}


def measure() -> dict[str, Any]:
    pdk = get_pdk("sky130")
    device = pdk.devices("tt")["nfet"]
    rows: list[dict[str, float]] = []
    with WorkerPool(1) as pool:
        for vgs in GATES:
            bias = Bias(vgs=vgs)
            card = Card(device.cards[device.model(bias.w, bias.l)], bias.w, bias.l)
            squares = device.values(device.parts[0], {"w": bias.w, "l": bias.l})["nrs"]
            end = card["rsh"] * squares
            variants = {
                "ngspice 4.5": QUIET | {"version": "4.5"},
                "ngspice 4.6": QUIET | {"version": "4.6"},
                "ngspice 4.8": QUIET | {"version": "4.8"},
                "tnoimod 0": QUIET | {"tnoimod": "0"},
            }
            programs = {k: one_transistor(pdk, bias, v) for k, v in variants.items()}
            outcomes = simulate_uncharged([Job(p, {}) for p in programs.values()], pool)
            ngspice = dict(zip(programs, (o.metrics for o in outcomes), strict=True))
            theirs = {k: simulate(programs[k], {}).metrics for k in ("ngspice 4.5", "tnoimod 0")}
            op = ngspice["ngspice 4.5"]
            inner = replace(
                bias, vgs=bias.vgs - op["id"] * end, vds=bias.vds - 2.0 * op["id"] * end
            )
            q = quantities(card, inner, op)
            channel, source, theta = sources(card, q, op)
            # What VACASK's formula has for conductances is what VACASK prints.
            wrong = own_conductances(theirs["ngspice 4.5"], op["id"])
            wrong_channel, wrong_source, _ = sources(card, q, wrong)
            unit = 4.0 * BOLTZMANN * TEMPERATURE * op["transfer"]
            rows.append(
                {
                    "vgs": vgs,
                    "vdsat_by_hand": q["vdsat"],
                    "vdsat_ngspice": op["vdsat"],
                    "theta": theta,
                    "gm": op["gm"],
                    "transfer_ngspice": op["transfer"],
                    "transfer_vacask": theirs["ngspice 4.5"]["transfer"],
                    "gm_vacask": wrong["gm"],
                    **{
                        k.replace(" ", "_"): ngspice[k]["high"] ** 2 / unit
                        for k in ("ngspice 4.5", "ngspice 4.6", "ngspice 4.8")
                    },
                    "vacask": theirs["ngspice 4.5"]["high"] ** 2 / unit,
                    "by_hand": drain_noise(channel, source, op, end) * _per(op),
                    "by_hand_as_4.5": drain_noise(channel, source, op, end, v4_5=True) * _per(op),
                    "by_hand_with_vacask_gm": drain_noise(wrong_channel, wrong_source, op, end)
                    * _per(op),
                    "tnoimod0_ngspice": ngspice["tnoimod 0"]["high"] ** 2 / unit,
                    "tnoimod0_vacask": theirs["tnoimod 0"]["high"] ** 2 / unit,
                    "tnoimod0_by_hand": drain_noise(
                        charge_noise(q, inversion_charge(programs["tnoimod 0"])), 0.0, op, end
                    )
                    * _per(op),
                }
            )
        pins = {name: _pins(name, pool) for name in PINNED_NOISE if get_pdk(name).available()}
        circuits = list(_circuits(pool))
    return {
        "simulator": str(simulator_version()), "rows": rows, "pins": pins, "circuits": circuits,
    }  # fmt: skip


def _pins(pdk: str, pool: Simulator) -> dict[str, float]:
    """Noise of the drain current at Vgs = 0.8 V, A/sqrt(Hz), with the cards as they are served."""
    (outcome,) = simulate_uncharged([Job(one_transistor(get_pdk(pdk), Bias()), {})], pool)
    return {k: outcome.metrics[k] for k in ("low", "high")}


def _circuits(pool: Simulator) -> Iterator[dict[str, Any]]:
    """Noise of every circuit's SKY130 reference as served, by the formula as it should be, and by
    tnoiMod 0; V, rms.
    """
    for task_id in task_ids():
        task = make_task(task_id, pdk="sky130")
        program = task.program
        variants = (program, _version(program, "4.8"), comparable(program))
        for metric in program.metrics:
            if metric.measure == "integrated_noise" and task.reference is not None:
                served, right, charge = (
                    o.metrics[metric.name]
                    for o in simulate_uncharged([Job(p, task.reference) for p in variants], pool)
                )
                yield {
                    "task": task_id, "metric": metric.name, "served": served, "4.8": right,
                    "tnoimod 0": charge,
                }  # fmt: skip


def _version(program: Program, version: str) -> Program:
    decks = tuple(
        replace(
            deck,
            models={
                k: re.sub(r"\bversion=\S+", f"version={version}", c) for k, c in deck.models.items()
            },
        )
        for deck in program.decks
    )
    return replace(program, decks=decks, key=f"{program.key} version={version}")


def _per(op: Mapping[str, float]) -> float:
    return 1.0 / op["transfer"]


def inversion_charge(program: Any) -> float:
    """Qinv in C, which VACASK prints and ngspice does not."""
    from acs_gym.vacask.deck import translate

    deck = program.decks[0]
    text = translate(deck, {"_z0": 0.0}, 27.0).text
    text = text.replace("save default", "save default p('m1',qinv)", 1)
    return float(run_vacask(text, ["run0"])["run0"]["m1.qinv"][0])


def show(results: Mapping[str, Any]) -> None:
    print(results["simulator"], "and", find_vacask().name)
    columns = {
        "Vgs": "vgs", "by hand": "by_hand", "ngspice 4.8": "ngspice_4.8",
        "ngspice 4.6": "ngspice_4.6", "ngspice 4.5": "ngspice_4.5", "hand as 4.5": "by_hand_as_4.5",
        "VACASK": "vacask", "hand, VACASK's gm": "by_hand_with_vacask_gm",
    }  # fmt: skip
    print("\ntnoiMod 1: noise of the drain current / (4kT·dId/dVgs)")
    _table(columns, results["rows"])
    columns = {
        "Vgs": "vgs", "by hand": "tnoimod0_by_hand", "ngspice": "tnoimod0_ngspice",
        "VACASK": "tnoimod0_vacask",
    }  # fmt: skip
    print("\ntnoiMod 0")
    _table(columns, results["rows"])
    columns = {
        "Vgs": "vgs", "Vdsat by hand": "vdsat_by_hand", "ngspice Vdsat": "vdsat_ngspice",
        "dId/dVgs ngspice": "transfer_ngspice", "dId/dVgs VACASK": "transfer_vacask",
        "gm printed by ngspice": "gm", "gm printed by VACASK": "gm_vacask",
    }  # fmt: skip
    print("\nwhat goes in")
    _table(columns, results["rows"])
    print("\nintegrated noise of SKY130's references, uV rms")
    print("| circuit | as served | version 4.8 | | tnoiMod 0 | |\n|---|---|---|---|---|---|")
    for c in results["circuits"]:
        others = " | ".join(
            f"{1e6 * c[k]:.2f} | {100.0 * (c[k] / c['served'] - 1.0):+.1f} %"
            for k in ("4.8", "tnoimod 0")
        )
        print(f"| {c['task']} | {1e6 * c['served']:.2f} | {others} |")
    print("\npinned for `acs-gym doctor` (A/sqrt(Hz) at 1 kHz and 100 MHz), and now")
    for name, pin in results["pins"].items():
        known = PINNED_NOISE[name]
        print(f"{name}: {known[0]:.4g}, {known[1]:.4g}; {pin['low']:.4g}, {pin['high']:.4g}")


def _table(columns: Mapping[str, str], rows: list[dict[str, float]]) -> None:
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(f"{row[k]:.4g}" for k in columns.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = measure()
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
