"""StrongARM latch comparator."""

from tests.circuits.proofs import Dead, Move

MOVES = (
    Move("the tail's current discharges the outputs", {"w_tail": 0.4}, up=("decision_time",)),
    Move("gate-drain capacitance couples into the inputs", {"w_pair": 2}, up=("kickback", "power")),
    Move("a long pair carries less current", {"l_pair": 2}, up=("decision_time",)),
    Move("a long latch regenerates slowly", {"l_cross": 3}, up=("decision_time",)),
    Move("precharge is charge and clock load", {"w_reset": 1.6}, up=("power",), down=("reset_time",)),
    Move("every output capacitance is charged each cycle", {"w_ncross": 3}, up=("power",)),
)  # fmt: skip
_BENCH, _DUT = "bench_clocked.spice", "dut.spice"
_ALL = ("decision_time", "reset_time", "power", "kickback")
_DIODES = {
    "Xncross_p outn outp": "Xncross_p outn outn",
    "Xncross_n outp outn": "Xncross_n outp outp",
}
_WITHOUT_LATCH = {"Xncross_p": "*", "Xncross_n": "*", "Xpcross_p": "*", "Xpcross_n": "*"}
DEAD = (
    Dead("inputs shorted", {_DUT: {"Xpair_n   dn   inn ": "Xpair_n   dn   inp "}}, _ALL),
    Dead("no clock at the tail", {_DUT: {"Xtail     tail clk ": "Xtail     tail vss "}}, _ALL),
    Dead("no precharge", {_DUT: {"Xreset_on": "*", "Xreset_op": "*"}}, _ALL),
    Dead("no latch", {_DUT: _WITHOUT_LATCH}, _ALL),
    Dead("diodes for a latch: nothing regenerates", {_DUT: _DIODES}, _ALL),
    Dead("always the same answer", {_BENCH: {"clp  outp": "rp outp vdd 1k\nclp outp"}}, _ALL),
    Dead("an output tied to ground", {_BENCH: {"clp  outp": "rp outp 0 1\nclp outp"}}, _ALL),
    Dead("outputs crossed", {_BENCH: {"outp outn clk": "outn outp clk"}}, _ALL),
)  # fmt: skip
HARMLESS: dict[str, str] = {}
