"""Two-stage Miller op-amp."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move(
        "UGBW = gm1/Cc, slew = I_tail/Cc", {"c_comp": 3, "r_zero": 0.3}, down=("ugbw", "slew_rate")
    ),
    Move("more tail current slews faster", {"i_bias": 1.5}, up=("slew_rise", "power")),
    Move("ro grows with length", {"l_load": 0.7}, down=("gain",)),
    Move("gm of a fixed current falls with length", {"l_pair": 1.8}, down=("ugbw",)),
    Move("a wide pair has less flicker noise", {"w_pair": 2, "l_pair": 2}, down=("noise",)),
    Move("output stage current costs power", {"m_out": 1.15}, up=("power",)),
)
_BENCH = "bench_follower.spice"
_ALL = (
    "gain", "ugbw", "pm", "slew_rate", "settling_time", "cmrr", "psrr", "noise", "power",
)  # fmt: skip
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"Xpair_n n1   inn ": "Xpair_n n1   inp "}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no output driver", {"dut.spice": {"Xdriver": "*"}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
