"""Bandgap reference with a start-up circuit."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("the part that rises with temperature is k_top·VT·ln n", {"k_top": 0.95}, down=("vref",)),
    Move(
        "currents are VT·ln n over r_ptat, and gds rises with them", {"r_ptat": 0.5},
        up=("power", "line_regulation"), down=("start_time", "psrr"),
    ),
    Move("a small capacitor at the gate", {"c_comp": 0.3}, up=("noise",), down=("modulus_margin",)),
    Move(
        "a large one at the output is a pole near the gate's, and slow to charge", {"c_out": 2},
        up=("start_time",), down=("modulus_margin",),
    ),
    Move("few pass units need a larger overdrive", {"m_pass": 0.5}, down=("saturation",)),
)  # fmt: skip
_ALL = (
    "error", "tc", "line_regulation", "psrr", "psrr_worst", "modulus_margin", "noise", "start_time",
    "chip_area", "power",
)  # fmt: skip
_GROUNDED = {"cl   out  0 ": "rd out 0 1\ncl out 0"}
_SWAPPED = {
    "Xpair_a  drive va ": "Xpair_a  drive vb ",
    "Xpair_b  nd    vb ": "Xpair_b  nd    va ",
}
DEAD = (
    # Its operating point is the right one still: nothing but a start finds out.
    Dead("nothing to start it", {"dut.spice": {"Xstart ": "* "}}, _ALL),
    Dead("start-up never turned on", {"dut.spice": {"Xpull ": "* "}}, _ALL),
    Dead("start-up never turned off", {"dut.spice": {"Xsense ": "* "}}, _ALL),
    Dead("inputs swapped", {"dut.spice": _SWAPPED}, _ALL),
    Dead("no bias", {"dut.spice": {"Xcopy ": "* "}}, _ALL),
    Dead("output tied to ground", {"bench_core.spice": _GROUNDED}, _ALL),
    Dead("PNPs without emitters", {"dut.spice": {"Xq_one ": "* "}}, _ALL),
)
