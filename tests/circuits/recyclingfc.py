"""Recycling folded-cascode OTA."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("UGBW = gm/CL, slew = I/CL", {"i_bias": 1.3}, up=("ugbw", "slew_rate", "power")),
    Move("gm and 1/f noise want a wide pair", {"w_pair": 0.12}, up=("noise",), down=("ugbw",)),
    Move(
        "a smaller ratio recycles less and draws less", {"k_fold": 0.67},
        down=("ugbw", "slew_rate", "power"),
    ),
    Move("larger mirrors are a slower pole", {"w_fold": 1.8, "l_fold": 1.8}, down=("pm",)),
    Move("short cascodes hide less", {"l_cas": 0.62}, down=("gain",)),
    Move("a lower gate of the PMOS cascodes costs output", {"l_pshift": 4}, down=("swing",)),
    Move("less tail current slews slower", {"m_tail": 0.7}, down=("slew_rate", "power")),
)  # fmt: skip
_BENCH = "bench_follower.spice"
_ALL = (
    "gain", "ugbw", "pm", "slew_rate", "settling_time", "cmrr", "psrr", "noise", "swing",
    "input_range", "power",
)  # fmt: skip
DEAD = (
    Dead("inputs shorted", {"dut.spice": {
        "Xpair_na b    inn ": "Xpair_na b    inp ", "Xpair_nb gp   inn ": "Xpair_nb gp   inp ",
    }}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("the tail is off", {"dut.spice": {"Xtail    tail nb ": "Xtail    tail vss "}}, _ALL),
    Dead("no cascode over the output", {"dut.spice": {"Xpcas_na": "*"}}, _ALL),
)  # fmt: skip
# Both inputs are held by ideal sources; inputs that are one net inside the circuit are in DEAD.
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
