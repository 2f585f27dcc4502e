"""Telescopic cascode OTA."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("UGBW = gm/CL, and a telescopic has one current", {"i_bias": 1.5}, up=("ugbw", "power")),
    Move("a narrow pair has less gm, and a Vgs that leaves the tail little",
         {"w_pair": 0.2}, up=("noise",), down=("ugbw", "cmrr")),
    Move("the gain is that of the pair times that of its cascode", {"l_pair": 0.4}, down=("gain",)),
    Move("ro of the load grows with its length", {"l_load": 0.5}, down=("gain",)),
    Move("a larger load has a slower mirror pole", {"l_load": 2}, down=("pm",)),
    Move("a lower gate of the NMOS cascodes crushes the pair", {"l_nshift": 0.2}, down=("gain",)),
    Move("a lower gate of the PMOS cascodes costs output", {"l_pshift": 4}, down=("swing",)),
)  # fmt: skip
_BENCH = "bench_follower.spice"
_ALL = ("gain", "ugbw", "pm", "cmrr", "noise", "swing", "power")
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
