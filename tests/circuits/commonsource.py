"""Common-source stage."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("UGBW = gm/CL", {"i_bias": 1.5}, up=("ugbw", "power")),
    Move(
        "a wide driver has more gm and more gate", {"w_driver": 2},
        up=("ugbw", "c_in"), down=("noise",),
    ),
    Move("gm of a fixed current falls with length", {"l_driver": 2}, up=("c_in",), down=("ugbw",)),
    Move("ro grows with length", {"l_load": 0.5}, down=("gain",)),
    Move("a load's noise current follows its gm", {"w_load": 3}, up=("noise",)),
    Move("overdrive of the load is taken from the output", {"w_load": 0.4}, down=("gain_high",)),
)  # fmt: skip
_BENCH = "bench_quiescent.spice"
_ALL = ("gain", "gain_swing", "ugbw", "c_in", "noise", "power")
DEAD = (
    Dead("gate tied to drain", {"dut.spice": {"out  in   vss": "out  out  vss"}}, _ALL),
    Dead("bias off", {"dut.spice": {"ibias i={i_bias}": "ibias i=1e-15"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no driver", {"dut.spice": {"Xdriver": "*"}}, _ALL),
    Dead("no load", {"dut.spice": {"Xload_out": "*"}}, _ALL),
)  # fmt: skip
