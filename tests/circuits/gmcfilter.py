"""gm-C low-pass biquad."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("gm follows the current", {"i_bias": 1.3}, up=("corner", "power")),
    Move(
        "the corner is gm/C, the noise kT/C", {"c_one": 1.4, "c_two": 1.4},
        up=("area",), down=("corner", "noise"),
    ),
    Move("Q is the ratio of the time constants", {"c_two": 2}, up=("peaking",)),
    Move("the output resistance is in the gain at DC", {"l_load": 0.6}, down=("gain", "psrr")),
    Move("a joint that conducts less has less gm", {"w_lin": 0.25}, down=("corner",)),
    Move("a load's noise current follows its gm", {"w_load": 3}, up=("noise",)),
)  # fmt: skip
_BENCH, _DUT = "bench_filter.spice", "dut.spice"
_RESPONSE = ("corner_error", "gain", "ripple", "stop")
_ALL = (*_RESPONSE, "thd", "noise", "psrr", "modulus_margin", "power")
DEAD = (
    Dead("feedback to the wrong input", {_DUT: {
        "Xpair_1p d1   in ": "Xpair_1p d1   fb ", "Xpair_1n x    fb ": "Xpair_1n x    in ",
    }}, _ALL),
    Dead("bias off", {_DUT: {"i={i_bias*(temperature+273.15)/300.15}": "i=1e-15"}}, _ALL),
    Dead("the feedback is cut", {_BENCH: {"vfb  fb  out": "rfb fb 0 1e9\nvfb gone out"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no load", {_DUT: {"Xload_2n": "*"}}, _ALL),
)  # fmt: skip
HARMLESS = {"in shorted to vss": "a resistor across the bench's own ideal source of the input"}
