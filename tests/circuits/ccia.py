"""Capacitively coupled instrumentation amplifier."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move(
        "gain is n_gain, and what it costs is bandwidth", {"n_gain": 0.7},
        up=("bandwidth",), down=("gain",),
    ),
    Move(
        "the lower corner is one over the pseudo-resistor and c_f", {"c_f": 0.6},
        up=("high_pass",), down=("area",),
    ),
    Move(
        "bandwidth is gm over c_out, and noise is integrated over it", {"c_out": 1.6},
        down=("bandwidth", "noise"),
    ),
    Move("a small pair flickers", {"w_pair": 0.3, "l_pair": 0.5}, up=("noise_1k",)),
    Move(
        "gm of a pair in weak inversion is its current", {"i_bias": 0.75},
        down=("bandwidth", "power"),
    ),
    Move(
        "smaller copies draw less and drive less", {"m_load": 2},
        up=("noise_1k",), down=("bandwidth", "power"),
    ),
)  # fmt: skip
_BENCH, _DUT = "bench_amplifier.spice", "dut.spice"
_ALL = (
    "gain_error", "high_pass", "bandwidth", "noise", "cmrr", "psrr", "modulus_margin", "thd", "power",
)  # fmt: skip
_SWAPPED = {"Xpair_p  a    gp ": "Xpair_p  a    gn ", "Xpair_n  b    gn ": "Xpair_n  b    gp "}
DEAD = (
    # Its operating point may be the right one still: the loop's sign finds out.
    Dead("inputs swapped", {_DUT: _SWAPPED}, _ALL),
    Dead("the pair's gates shorted", {_DUT: {"Xpair_n  b    gn ": "Xpair_n  b    gp "}}, _ALL),
    Dead("bias off", {_DUT: {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no mirror for one half", {_DUT: {"Xmir_m ": "* "}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "nb shorted to ref": "at this sizing two nets of almost one voltage, and the reference holds both",
}
