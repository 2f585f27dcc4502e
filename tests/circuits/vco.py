"""Current-starved ring VCO."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("the control's current is V/R", {"r_gain": 1.3}, down=("k_vco", "f_high", "power")),
    Move("less current that is always there", {"r_floor": 1.3}, up=("tuning_range",)),
    Move(
        "a wide ring is more to charge", {"w_ninv": 1.3, "w_pinv": 1.3}, down=("f_high", "k_vco")
    ),
    Move("long mirrors want headroom", {"l_starve": 1.5}, down=("saturation",)),
    Move("a wide buffer draws and loads", {"w_nbuf": 3, "w_pbuf": 3}, up=("power",), down=("f_high",)),
)  # fmt: skip
_BENCH, _DUT = "bench_stepped.spice", "dut.spice"
_ALL = ("f_high", "detuning", "tuning_range", "k_vco", "k_ratio", "pushing", "longer_half", "power")
_TWO_STAGES = {"Xpinv_1    n1 n3 ": "Xpinv_1    n1 n2 ", "Xninv_1    n1 n3 ": "Xninv_1    n1 n2 "}
_OPEN = {"Xpinv_1    n1 n3 ": "Xpinv_1    n1 vss ", "Xninv_1    n1 n3 ": "Xninv_1    n1 vss "}
_NO_CURRENT = {"Xnstarve_d nb nb": "rnone nb vss 1\nXnstarve_d nb nb"}
DEAD = (
    Dead("two stages latch", {_DUT: _TWO_STAGES}, _ALL),
    Dead("a chain is no ring", {_DUT: _OPEN}, _ALL),
    Dead("no current for the NMOS side", {_DUT: _NO_CURRENT}, _ALL),
    Dead("a stage without its PMOS source", {_DUT: {"Xpstarve_2": "*"}}, _ALL),
    Dead("output tied to ground", {_BENCH: {"cl   out": "rd out 0 1\ncl out"}}, _ALL),
    Dead("output tied to the supply", {_BENCH: {"cl   out": "rd out vdd 1\ncl out"}}, _ALL),
    Dead("no buffer", {_DUT: {"Xpbuf": "*", "Xnbuf": "*"}}, _ALL),
)  # fmt: skip
# A stage is as good as another, and the third, which the buffer loads, stands for all.
ALIKE = tuple((f"{name}1", f"{name}2", f"{name}3") for name in ("n", "h", "e")) + tuple(
    (f"{name}_1", f"{name}_2", f"{name}_3") for name in ("pstarve", "pinv", "ninv", "nstarve")
)
HARMLESS = {
    "ctl shorted to vss": "a resistor across the bench's own ideal source of the control",
}
