"""The plans of the bundled circuits.

Currents come from the power that the specs allow, transconductances from bandwidth and load, lengths from
whether a device is there for gain, for speed or for matching.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agents.scripted.plans import Plan, Role, Shift

_COMMON_SOURCE = Plan(
    start={
        "i_bias": "0.95*power/vdd/5",
        "gm_id_driver": "min(max(2*3.1416*ugbw*1.2*c_load/(4*i_bias),8),23)",
        "gm_id_load": "9",
        "l_driver": "3*l_min",
        "l_load": "5*l_min",
    },
    roles=(Role("driver", "4*i_bias", "driver"), Role("load_out", "4*i_bias", "load")),
    effects={
        "gain": {"gm_id_driver": 0.9, "l_driver": 0.4, "l_load": 0.4},
        "gain_swing": {"gm_id_driver": 0.9, "l_driver": 0.4, "l_load": 0.4, "gm_id_load": 1.0},
        "ugbw": {"i_bias": 0.9, "gm_id_driver": 1.0, "w_driver": -0.1, "w_load": -0.1, "l_load": -0.1},
        "c_in": {"w_driver": 0.9, "i_bias": 0.9, "l_driver": 1.0},
        "noise": {"i_bias": -0.5, "gm_id_driver": -0.4, "gm_id_load": 0.3, "l_driver": -0.4,
                  "w_driver": -0.2, "l_load": -0.3},
        "power": {"i_bias": 1.0},
    },
)  # fmt: skip

_OTA5T = Plan(
    start={
        "m_tail": "8",
        "i_bias": "0.95*power/vdd/(1+m_tail)",
        "gm_id_pair": "min(max(2*3.1416*ugbw*1.2*c_load/(i_bias*m_tail/2),8),23)",
        "gm_id_load": "10",
        "gm_id_bias": "12",
        "l_pair": "3*l_min",
        "l_load": "4*l_min",
        "l_bias": "6*l_min",
    },
    roles=(
        Role("pair_p", "i_bias*m_tail/2", "pair"),
        Role("load_p", "i_bias*m_tail/2", "load"),
        Role("tail", "i_bias*m_tail", "bias", relief=("bias", "pair")),
    ),
    effects={
        "gain": {"gm_id_pair": 0.9, "l_pair": 0.4, "l_load": 0.4},
        "ugbw": {"i_bias": 0.9, "gm_id_pair": 1.0, "w_pair": -0.1, "w_load": -0.1, "l_load": -0.1},
        "pm": {"l_load": -12.0, "w_load": -6.0, "w_pair": -3.0, "gm_id_load": 3.0},
        "cmrr": {"gm_id_pair": 0.8, "l_bias": 0.8, "gm_id_bias": 0.8, "l_load": 0.4, "l_pair": -0.1},
        "power": {"i_bias": 1.0},
    },
)  # fmt: skip

_SYMMETRICAL = Plan(
    start={
        "m_ratio": "5",
        "i_bias": "0.95*power/vdd/(5+4*m_ratio)",
        "gm_id_pair": "min(max(2*3.1416*ugbw*1.2*c_load/m_ratio/(2*i_bias),8),23)",
        "gm_id_mirror": "9",
        "gm_id_sink": "10",
        "gm_id_bias": "12",
        "l_pair": "2*l_min",
        "l_mirror": "2.5*l_min",
        "l_sink": "3*l_min",
        "l_bias": "6*l_min",
    },
    roles=(
        Role("pair_p", "2*i_bias", "pair"),
        Role("mirror_p", "2*i_bias", "mirror"),
        Role("sink_p", "2*i_bias*m_ratio", "sink"),
        Role("tail", "4*i_bias", "bias", relief=("bias", "pair")),
    ),
    effects={
        "gain": {"gm_id_pair": 0.9, "l_mirror": 0.5, "l_sink": 0.5},
        "ugbw": {"i_bias": 0.9, "m_ratio": 0.8, "gm_id_pair": 0.9, "w_pair": -0.05, "w_mirror": -0.1,
                 "w_sink": -0.1},
        "pm": {"l_mirror": -25.0, "w_mirror": -12.0, "gm_id_mirror": 5.0, "l_sink": -15.0,
               "w_sink": -7.0, "gm_id_sink": 3.0, "m_ratio": -15.0, "w_pair": -3.0,
               "gm_id_pair": -8.0},
        "slew_rate": {"i_bias": 0.9, "m_ratio": 0.9, "gm_id_pair": -0.1},
        "cmrr": {"gm_id_pair": 0.8, "l_bias": 0.8, "gm_id_bias": 0.6, "l_mirror": 0.4, "l_sink": 0.3},
        "psrr": {"gm_id_pair": 0.9, "l_mirror": 0.4, "l_sink": 0.4, "l_bias": 0.2},
        "swing": {"gm_id_mirror": 0.15, "gm_id_sink": 0.15, "l_mirror": 0.1, "l_sink": 0.1},
        "noise": {"i_bias": -0.5, "gm_id_pair": -0.7, "gm_id_mirror": 0.3, "gm_id_sink": 0.15,
                  "l_pair": -0.2, "w_pair": -0.1, "l_mirror": -0.2, "l_sink": -0.15},
        "power": {"i_bias": 1.0, "m_ratio": 0.8},
    },
)  # fmt: skip

_TELESCOPIC = Plan(
    start={
        "m_tail": "16",
        "i_bias": "0.95*power/vdd/(3+m_tail)",
        "gm_id_pair": "min(max(2*3.1416*ugbw*1.2*c_load/(i_bias*(m_tail-1)/2),8),23)",
        "gm_id_ncas": "17",
        "gm_id_pcas": "14",
        "gm_id_load": "11",
        "gm_id_bias": "15",
        "a_device": "sqrt(2*10**(gain/20))",
        "l_gain": "min(max(a_device/25,1.5),6)*l_min",
        "l_pair": "0.75*l_gain",
        "l_ncas": "0.75*l_gain",
        "l_pcas": "0.75*l_gain",
        "l_load": "l_gain",
        "l_bias": "1.5*l_gain",
        "room_pair": "0.06",
        "room_load": "0.06",
    },
    roles=(
        Role("pair_p", "i_bias*(m_tail-1)/2", "pair"),
        Role("ncas_n", "i_bias*(m_tail-1)/2", "ncas"),
        Role("pcas_n", "i_bias*(m_tail-1)/2", "pcas"),
        Role("load_n", "i_bias*(m_tail-1)/2", "load"),
        Role("tail", "i_bias*m_tail", "bias", relief=("bias", "pair")),
    ),
    shifts=(
        Shift("nshift", "i_bias", "ncas", "pair_n", "pair"),
        Shift("pshift", "i_bias", "pcas", "load_n", "load"),
    ),
    effects={
        "gain": {"gm_id_pair": 0.8, "l_pair": 0.4, "l_load": 0.4, "l_ncas": 0.4, "l_pcas": 0.4,
                 "gm_id_ncas": 0.4, "gm_id_pcas": 0.4, "room_pair": 0.15, "room_load": 0.15},
        "ugbw": {"i_bias": 0.9, "gm_id_pair": 1.0, "w_ncas": -0.1, "w_pcas": -0.1},
        "pm": {"l_load": -18.0, "w_load": -8.0, "gm_id_load": 3.0, "l_pcas": -5.0, "w_pcas": -4.0,
               "w_pair": -4.0, "w_ncas": -4.0, "l_ncas": -3.0, "gm_id_pair": -5.0},
        "cmrr": {"gm_id_pair": 0.6, "l_bias": 0.8, "gm_id_bias": 0.6, "l_load": 0.4, "l_pcas": 0.3},
        "noise": {"i_bias": -0.5, "gm_id_pair": -0.7, "gm_id_load": 0.3, "l_pair": -0.3, "w_pair": -0.2,
                  "l_load": -0.3},
        "swing": {"gm_id_load": 0.2, "gm_id_pcas": 0.2, "gm_id_ncas": 0.15, "gm_id_pair": 0.15,
                  "gm_id_bias": 0.2, "room_pair": -0.1, "room_load": -0.1},
        "power": {"i_bias": 1.0},
    },
)  # fmt: skip

_FOLDED = Plan(
    start={
        "i_bias": "0.95*power/vdd/31",
        "m_tail": "18",
        "m_src": "14",
        "gm_id_pair": "min(max(2*3.1416*ugbw*1.2*c_load/(i_bias*m_tail/2),8),23)",
        "gm_id_src": "10",
        "gm_id_pcas": "15",
        "gm_id_ncas": "15",
        "gm_id_load": "11",
        "gm_id_bias": "13",
        "a_device": "sqrt(2*10**(gain/20))",
        "l_gain": "min(max(a_device/25,1.5),6)*l_min",
        "l_pair": "0.75*l_gain",
        "l_src": "l_gain",
        "l_cas": "0.75*l_gain",
        "l_load": "l_gain",
        "l_bias": "1.5*l_gain",
        "room_src": "0.06",
        "room_load": "0.06",
    },
    roles=(
        Role("pair_p", "i_bias*m_tail/2", "pair"),
        Role("src_n", "i_bias*m_src", "src"),
        Role("pcas_n", "i_bias*(m_src-m_tail/2)", "pcas"),
        Role("ncas_n", "i_bias*(m_src-m_tail/2)", "ncas"),
        Role("load_n", "i_bias*(m_src-m_tail/2)", "load"),
        Role("tail", "i_bias*m_tail", "bias", relief=("bias", "pair")),
    ),
    shifts=(
        Shift("nshift", "i_bias", "ncas", "load_n", "load"),
        Shift("pshift", "i_bias", "pcas", "src_n", "src"),
    ),
    effects={
        "gain": {"gm_id_pair": 0.8, "l_pair": 0.2, "l_src": 0.4, "l_cas": 0.6, "l_load": 0.3,
                 "gm_id_pcas": 0.4, "gm_id_ncas": 0.3, "room_src": 0.15, "room_load": 0.15},
        "ugbw": {"i_bias": 0.9, "gm_id_pair": 1.0, "w_pcas": -0.1, "w_ncas": -0.1},
        "pm": {"w_pair": -5.0, "l_src": -5.0, "w_src": -5.0, "w_pcas": -4.0, "l_cas": -10.0,
               "gm_id_pcas": 6.0, "l_load": -12.0, "w_load": -6.0, "gm_id_load": 3.0, "w_ncas": -4.0,
               "gm_id_pair": -5.0},
        "slew_rate": {"i_bias": 0.9, "m_src": 0.5},
        "cmrr": {"gm_id_pair": 0.6, "l_bias": 0.8, "gm_id_bias": 0.6, "l_load": 0.3, "l_cas": 0.3},
        "noise": {"i_bias": -0.5, "gm_id_pair": -0.7, "gm_id_src": 0.3, "gm_id_load": 0.1,
                  "l_pair": -0.2, "w_pair": -0.1, "l_src": -0.2, "l_load": -0.2},
        "swing": {"gm_id_src": 0.2, "gm_id_pcas": 0.15, "gm_id_ncas": 0.15, "gm_id_load": 0.2,
                  "room_src": -0.1, "room_load": -0.1},
        "input_range": {"gm_id_pair": 0.3, "gm_id_bias": 0.2, "gm_id_src": 0.1},
        "power": {"i_bias": 1.0, "m_src": 0.9},
    },
)  # fmt: skip

_OPAMP = Plan(
    start={
        "i_total": "0.9*power/vdd",
        "c_comp": "0.3*c_load",
        "m_tail": "6",
        "m_out": "14",
        "i_bias": "i_total/(1+m_tail+m_out)",
        "gm_id_pair": "min(max(2*3.1416*ugbw*1.4*c_comp/(i_bias*m_tail/2),15),20)",
        "gm_id_load": "11",
        "gm_id_bias": "14",
        "l_pair": "4*l_min",
        "l_load": "3*l_min",
        "l_bias": "6*l_min",
        "r_zero": "1.3/(gm_id_load*i_bias*m_out)",
    },
    roles=(
        Role("pair_p", "i_bias*m_tail/2", "pair"),
        Role("load_p", "i_bias*m_tail/2", "load"),
        Role("driver", "i_bias*m_out", "load"),
        Role("tail", "i_bias*m_tail", "bias", relief=("bias", "pair")),
    ),
    effects={
        "gain": {"gm_id_pair": 0.9, "gm_id_load": 0.9, "l_pair": 0.4, "l_load": 0.8, "l_bias": 0.4},
        "ugbw": {"i_bias": 0.9, "m_tail": 0.9, "gm_id_pair": 1.0, "c_comp": -1.0},
        "pm": {"c_comp": 15.0, "m_tail": -15.0, "m_out": 15.0, "gm_id_pair": -18.0, "gm_id_load": 10.0,
               "l_load": -8.0, "w_load": -5.0, "r_zero": 12.0},
        "slew_rate": {"i_bias": 0.9, "m_tail": 0.9, "c_comp": -0.9},
        "settling_time": {"i_bias": -0.8, "m_tail": -0.8, "c_comp": 0.5, "gm_id_pair": -0.5},
        "cmrr": {"gm_id_pair": 0.8, "l_bias": 0.8, "gm_id_bias": 0.6, "l_load": 0.4},
        "psrr": {"gm_id_pair": 0.8, "gm_id_load": 0.5, "l_load": 0.5, "l_bias": 0.4, "l_pair": 0.3},
        "noise": {"i_bias": -0.4, "m_tail": -0.4, "gm_id_pair": -0.5, "gm_id_load": 0.3, "l_pair": -0.4,
                  "l_load": -0.4, "w_pair": -0.3},
        "swing": {"gm_id_load": 0.1, "gm_id_bias": 0.1, "l_load": 0.1},
        "input_range": {"gm_id_pair": 0.3, "gm_id_bias": 0.2},
        "power": {"i_bias": 1.0, "m_tail": 0.3, "m_out": 0.6},
    },
)  # fmt: skip

# No operating point to look at: the energy of a cycle is shared out, all of it at the shortest channel.
_COMPARATOR = Plan(
    start={
        "w_all": "0.7*power*t_period/(vdd*vdd)/1.5e-9",
        "w_tail": "0.15*w_all",
        "w_pair": "0.25*w_all",
        "w_ncross": "0.10*w_all",
        "w_pcross": "0.07*w_all",
        "w_reset": "0.07*w_all",
        "l_pair": "l_min",
        "l_cross": "l_min",
    },
    effects={
        "decision_time": {"w_tail": -0.2, "w_pair": -0.2, "w_ncross": -0.2, "w_pcross": -0.1,
                          "w_reset": 0.2, "l_pair": 0.4, "l_cross": 0.7},
        "reset_time": {"w_reset": -0.6, "w_pcross": 0.1, "w_ncross": 0.2, "w_pair": 0.1,
                       "l_cross": 0.3},
        "power": {"w_tail": 0.15, "w_pair": 0.15, "w_ncross": 0.2, "w_pcross": 0.15, "w_reset": 0.3},
        "kickback": {"w_pair": 0.7, "w_tail": 0.3, "l_pair": 0.3, "w_ncross": 0.1},
        "pair_area": {"w_pair": 1.0, "l_pair": 1.0},
        "offset": {"w_pair": -0.4, "l_pair": -0.4, "w_ncross": -0.1, "w_tail": 0.1},
    },
)  # fmt: skip

_LDO = Plan(
    start={
        "l_pass": "l_min",
        # A channel that carries the load at the dropout, at about 80 uA/V² and half of it lost to
        # velocity saturation.
        "m_pass": "i_full*l_pass/(80e-6*0.5*0.6*0.7*dropout)/50e-6",
        "r_div": "v_out/(0.04*i_q)",
        "k_out": "3",
        "m_tail": "4",
        "i_bias": "0.9*i_q/(1+m_tail*(1.5+0.5*k_out))",
        "gm_id_pair": "18",
        "gm_id_load": "10",
        "gm_id_sink": "10",
        "gm_id_bias": "12",
        "l_pair": "2*l_min",
        "l_load": "3*l_min",
        "l_sink": "3*l_min",
        "l_bias": "4*l_min",
        "c_comp": "0.03*c_load",
        "r_zero": "2e3",
    },
    roles=(
        Role("pair_p", "i_bias*m_tail/2", "pair"),
        Role("load_p", "i_bias*m_tail/2", "load"),
        Role("sink_d", "i_bias*m_tail/2", "sink"),
        Role("tail", "i_bias*m_tail", "bias", relief=("bias", "pair")),
    ),
    effects={
        "error": {"gm_id_pair": -0.9, "l_load": -0.4, "l_sink": -0.4, "m_pass": -0.3},
        "load_regulation": {"gm_id_pair": -0.9, "l_load": -0.4, "l_sink": -0.4, "m_pass": -0.3},
        "line_regulation": {"gm_id_pair": -0.9, "l_load": -0.4, "l_sink": -0.4, "l_pass": -0.3},
        "dropout": {"m_pass": -0.9, "l_pass": 0.9},
        "psrr": {"gm_id_pair": 0.9, "l_load": 0.4, "l_sink": 0.4, "l_pass": 0.3},
        "pm_light": {"c_comp": 10.0, "r_zero": 15.0, "m_pass": -8.0, "l_load": -8.0, "l_sink": -8.0,
                     "gm_id_pair": -10.0},
        "pm_full": {"c_comp": 10.0, "r_zero": -10.0, "l_load": -10.0, "l_sink": -10.0,
                    "gm_id_pair": -15.0},
        "pm_middle": {"c_comp": 15.0, "r_zero": 5.0, "l_load": -10.0, "l_sink": -10.0,
                      "gm_id_pair": -15.0, "i_bias": 5.0},
        "undershoot": {"i_bias": -0.7, "k_out": -0.5, "c_comp": 0.3, "m_pass": 0.4,
                       "gm_id_pair": -0.3},
        "overshoot": {"i_bias": -0.7, "k_out": -0.5, "c_comp": 0.3, "m_pass": 0.4, "gm_id_pair": -0.3},
        "i_q": {"i_bias": 0.9, "k_out": 0.4, "r_div": -0.05},
    },
)  # fmt: skip

# Phase margins of a loop, whose effects its modulus margin shares: a degree is about a hundredth.
_MARGINS = ("pm", "pm_middle")
_OF_A_DEGREE = 0.012


def _with_what_all_are_asked(plan: Plan) -> Plan:
    """The plan with the metrics whose knobs are the same in every circuit."""
    parts = {role.part for role in plan.roles}
    lengths = [k for k in plan.start if k.startswith("l_") and k != "l_gain"]
    widths = [k for k in plan.start if k.startswith("w_") and k != "w_all"]
    sizes = [*widths, *(f"w_{part}" for part in parts), *lengths]
    added: dict[str, Mapping[str, float]] = {
        "area": {k: 1.5 / len(sizes) for k in sizes}
        | {k: 0.4 for k in ("c_comp", "m_pass") if k in plan.start},
    }
    if parts:  # Vdsat falls as gm/Id rises, and everything in the stack has more room.
        added["saturation"] = {f"gm_id_{part}": 0.3 for part in sorted(parts)}
    for margin in _MARGINS:
        if margin in plan.effects:
            effects = plan.effects[margin]
            added["modulus_margin"] = {k: _OF_A_DEGREE * v for k, v in effects.items()}
            if "slew_rate" in plan.effects:  # A step is driven.
                added["overshoot"] = {k: -0.1 * _OF_A_DEGREE * v for k, v in effects.items()}
    return replace(plan, effects={**added, **plan.effects})


PLANS: Mapping[str, Plan] = {
    task: _with_what_all_are_asked(plan)
    for task, plan in {
        "ACS-CommonSource-v0": _COMMON_SOURCE,
        "ACS-OTA5T-v0": _OTA5T,
        "ACS-SymmetricalOTA-v0": _SYMMETRICAL,
        "ACS-Telescopic-v0": _TELESCOPIC,
        "ACS-FoldedCascode-v0": _FOLDED,
        "ACS-OpAmp-v0": _OPAMP,
        "ACS-Comparator-v0": _COMPARATOR,
        "ACS-LDO-v0": _LDO,
    }.items()
}
