"""Class-AB rail-to-rail op-amp."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move(
        "UGBW = gm/2Cm, slew = I/2Cm",
        {"c_m": 1.4}, up=("pm_mid", "area"), down=("ugbw", "slew_rise", "slew_fall"),
    ),
    Move("a larger output stage has more gm2 and draws more", {"m_out": 1.5},
         up=("pm_mid", "i_quiescent", "power")),
    Move("less tail current, less gm of either pair", {"m_tail": 0.6},
         down=("ugbw_low", "ugbw_mid", "ugbw_high", "power")),
    Move("long cascodes hide more", {"l_cas": 1.8}, up=("gain_mid",)),
    Move("more of all currents", {"i_bias": 1.2}, up=("slew_rise", "slew_fall", "ugbw_low", "power")),
    Move("a slower loop suppresses less distortion", {"c_m": 2}, up=("thd",)),
)  # fmt: skip
_OUT = {
    name: {"cl   out": "rd out 0 1\ncl out"}
    for name in ("bench_follower.spice", "bench_low.spice", "bench_high.spice")
}
_TIED = {
    name: {"cl   out": "rd out vdd 1\ncl out"}
    for name in ("bench_follower.spice", "bench_low.spice", "bench_high.spice")
}
_ALL = (
    "gain", "ugbw", "pm", "modulus_margin", "slew_rate", "settling_time", "thd", "cmrr", "psrr",
    "input_range", "swing", "class_ab", "power",
)  # fmt: skip
DEAD = (
    Dead("inputs shorted", {"dut.spice": {
        "Xnpair_n  pl  inn ": "Xnpair_n  pl  inp ", "Xppair_n  nl  inn ": "Xppair_n  nl  inp ",
    }}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", _OUT, _ALL),
    Dead("output tied to the supply", _TIED, _ALL),
    Dead("no NMOS pair", {"dut.spice": {"Xntail   tn   nb ": "Xntail   tn   vss "}}, _ALL),
    Dead("no PMOS pair", {"dut.spice": {"Xptail   tp   pb ": "Xptail   tp   vdd "}}, _ALL),
    Dead("no PMOS output device", {"dut.spice": {"Xpout ": "* "}}, _ALL),
    Dead("no NMOS output device", {"dut.spice": {"Xnout ": "* "}}, _ALL),
)  # fmt: skip
HARMLESS = {
    "inp shorted to vss": "a resistor across the bench's own ideal source vin",
    "without pfloat_l": "a floating source of two devices side by side: the NMOS alone carries it",
}
