"""Five-transistor OTA."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("UGBW = gm/CL", {"i_bias": 1.5}, up=("ugbw", "power")),
    Move("ro grows with length", {"l_load": 0.8}, down=("gain",)),
    Move("a longer mirror has a slower pole", {"l_load": 2}, down=("pm",)),
    Move("gm grows with width", {"w_pair": 0.25}, down=("ugbw",)),
)
_BENCH = "bench_follower.spice"
_ALL = ("gain", "ugbw", "pm", "cmrr", "power")
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"Xpair_n out  inn ": "Xpair_n out  inp "}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no load on the output", {"dut.spice": {"Xload_n": "*"}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
