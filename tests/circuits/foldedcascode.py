"""Folded-cascode OTA."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("UGBW = gm/CL, slew = I/CL", {"i_bias": 1.4}, up=("ugbw", "slew_rate", "power")),
    Move("gm and 1/f noise want a wide pair", {"w_pair": 0.3}, up=("noise",), down=("ugbw",)),
    Move("short cascodes hide less", {"l_cas": 0.5}, down=("gain",)),
    Move(
        "a short mirror has a low ro and a high gm", {"l_load": 0.4}, up=("noise",), down=("gain",)
    ),
    Move("a larger mirror has a slower pole", {"w_load": 1.6, "l_load": 2}, down=("pm",)),
    Move("a lower gate of the PMOS cascodes costs output", {"l_pshift": 4}, down=("swing",)),
    Move("a higher gate of the NMOS cascodes costs output", {"l_nshift": 2}, down=("swing",)),
    Move("less tail current slews slower", {"m_tail": 0.7}, down=("slew_rate", "ugbw")),
)
_BENCH = "bench_follower.spice"
_ALL = ("gain", "ugbw", "pm", "slew_rate", "cmrr", "noise", "swing", "power")
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"Xpair_n  b    inn ": "Xpair_n  b    inp "}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no tail", {"dut.spice": {"Xtail": "*"}}, _ALL),
    Dead("no cascode over the output", {"dut.spice": {"Xpcas_n": "*"}}, _ALL),
)  # fmt: skip
# Both inputs are held by ideal sources; inputs that are one net inside the circuit are in DEAD.
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
