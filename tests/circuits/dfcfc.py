"""Three-stage op-amp with damping-factor control."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move(
        "UGBW = gm1/Cm1, slew = I_tail/Cm1",
        {"c_m1": 1.4}, up=("area",), down=("ugbw", "slew_rise", "slew_fall"),
    ),
    Move("more current slews faster", {"i_bias": 1.25}, up=("slew_rise", "power")),
    Move("ro grows with length", {"l_turn": 2}, up=("gain",)),
    Move("gm of a fixed current falls with length", {"l_pair": 2}, down=("ugbw",)),
    Move("small sinks of the same shape have more flicker noise", {"w_sink": 0.5, "l_sink": 0.5},
         up=("noise",)),
    Move("a crossing nearer to the load's pole leaves less margin", {"c_m1": 0.7},
         up=("overshoot",), down=("pm_heavy", "mm_heavy")),
    Move("a damping stage of more current leaves later stages less gain to push that pole out",
         {"m_damp": 4}, up=("power",), down=("pm_heavy",)),
)  # fmt: skip
_BENCH, _LIGHT = "bench_follower.spice", "bench_light.spice"
_GROUNDED = {"cl   out": "rd out 0 1\ncl out"}
_TIED = {"cl   out": "rd out vdd 1\ncl out"}
_ALL = (
    "gain", "ugbw", "pm", "modulus_margin", "peaking", "slew_rate", "settling_time", "cmrr", "psrr",
    "noise", "power",
)  # fmt: skip
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"Xpair_n  fn   inn ": "Xpair_n  fn   inp "}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: _GROUNDED, _LIGHT: _GROUNDED}, _ALL),
    Dead("output tied to the supply", {_BENCH: _TIED, _LIGHT: _TIED}, _ALL),
    Dead("no output driver", {"dut.spice": {"Xdriver ": "* "}}, _ALL),
)
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
