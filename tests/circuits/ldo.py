"""Low-dropout regulator."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("a narrow pass device needs more voltage", {"m_pass": 0.5}, up=("dropout",)),
    Move(
        "gds falls with length",
        {"l_load": 0.5},
        down=("psrr", "gain_full"),
        up=("line_regulation",),
    ),
    Move(
        "UGBW = beta·gm/Cc, away from the output pole",
        {"c_comp": 0.6},
        up=("ugbw_light",),
        down=("pm_light",),
    ),
    Move("the zero follows the output pole", {"r_zero": 0.2}, down=("pm_light",)),
    Move("current buys speed", {"i_bias": 1.5}, up=("i_q",), down=("undershoot",)),
    Move("the divider draws v_out/r_div", {"r_div": 0.5}, up=("i_q",)),
    Move(
        "a wide pair has more gm",
        {"w_pair": 0.2},
        down=("gain_full", "ugbw_light"),
        up=("load_regulation",),
    ),
)
_LIGHT, _FULL = "bench_light.spice", "bench_full.spice"
_ALL = (
    "error", "load_regulation", "line_regulation", "dropout", "psrr",
    "pm_light", "pm_full", "undershoot", "overshoot", "i_q",
)  # fmt: skip
_GROUNDED = {"cl    out": "rd out 0 1\ncl out"}
_SWAPPED = {
    "Xpair_n nn   fb  ": "Xpair_n nn   vref",
    "Xpair_p np   vref": "Xpair_p np   fb  ",
}
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"Xpair_n nn   fb  ": "Xpair_n nn   vref"}}, _ALL),
    Dead("inputs swapped", {"dut.spice": _SWAPPED}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_LIGHT: _GROUNDED, _FULL: _GROUNDED}, _ALL),
    Dead("pass device always on", {"dut.spice": {"Xrz     gate": "rd gate vss 1\nXrz gate"}}, _ALL),
    Dead("no pass device", {"dut.spice": {"Xpass ": "* "}}, _ALL),
    Dead("no feedback divider", {"dut.spice": {"Xtop  ": "* "}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "nb shorted to vref": "the bias diode wants about as much as the bench's ideal reference gives",
    "vref shorted to vss": "a resistor across the bench's own ideal source vref",
    "without clamp": "it only conducts where the output is below ground, in dead circuits",
}
