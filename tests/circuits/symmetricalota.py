"""Symmetrical (current-mirror) OTA."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move(
        "UGBW = B·gm/CL, slew = B·I_tail/CL", {"m_ratio": 1.25}, up=("ugbw", "slew_rate", "power")
    ),
    Move("the mirror's pole carries 1 + B gates", {"m_ratio": 1.5}, down=("pm",)),
    Move("the mirror's pole falls with its length squared", {"l_mirror": 1.5}, down=("pm",)),
    Move("ro of the output grows with length", {"l_sink": 0.4}, down=("gain",)),
    Move("gm of the pair grows with width", {"w_pair": 0.25}, down=("ugbw",)),
    Move("a short mirror is fast, and its gm is noise", {"l_mirror": 0.6}, up=("pm", "noise")),
    Move("more tail current slews faster", {"i_bias": 1.3}, up=("slew_rate", "power")),
)
_BENCH = "bench_follower.spice"
_ALL = ("gain", "ugbw", "pm", "slew_rate", "cmrr", "psrr", "noise", "power")
DEAD = (
    Dead("inputs shorted", {"dut.spice": {"n2   inn  tail": "n2   inp  tail"}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("nothing sources the output", {"dut.spice": {"Xmirror_u": "*"}}, _ALL),
    Dead("nothing sinks the output", {"dut.spice": {"Xsink_p": "*"}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
}
