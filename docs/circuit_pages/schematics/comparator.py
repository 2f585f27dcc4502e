"""StrongARM latch comparator."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    left, middle, right = 13.0, 16.0, 19.0
    s.rails(top=12, left=0, right=32)
    s.nfet("tail", middle, 1.5)
    s.port("clk", "tail.g", "left", 1.5)
    # the half of inp pulls outn down, and the other way round
    for x, half, out, outer, inner, away in (
        (left, "p", "n", "left", "right", -1),
        (right, "n", "p", "right", "left", 1),
    ):
        s.nfet(f"pair_{half}", x, 4.5, outer)
        s.nfet(f"ncross_{half}", x, 7.5, inner)
        s.pfet(f"pcross_{half}", x, 10.5, inner)
        s.wire(f"pair_{half}.s", (None, 3), (middle, None))
        s.wire(f"pair_{half}.d", f"ncross_{half}.s")
        s.wire(f"ncross_{half}.d", f"pcross_{half}.d")
        s.port(f"in{half}", f"pair_{half}.g", outer, 0.6)
        # precharge of the drain of the pair, then of the output
        s.pfet(f"reset_d{half}", x + 5.4 * away, 10.5, outer)
        s.pfet(f"reset_o{out}", x + 10.2 * away, 10.5, outer)
        s.wire(f"reset_d{half}.d", (None, 6), (x, None))
        s.wire(f"reset_o{out}.d", (None, 9), (x, None))
        s.port(f"out{out}", (x + 10.2 * away, 9), outer, 1.5)
        for device in (f"reset_d{half}", f"reset_o{out}"):
            gate = s.at(f"{device}.g")
            s.wire(gate, (gate[0] + 0.3 * away, None))
            s.net("clk", (gate[0] + 0.3 * away, gate[1]), outer)
        s.to_rail(f"pcross_{half}", f"reset_d{half}", f"reset_o{out}")
    s.wire("tail.d", (None, 3))
    # each output drives the gates of the other side
    for half, x, level, across in (("p", 15.0, 9.35, right), ("n", 17.0, 8.65, left)):
        s.wire(f"ncross_{half}.g", (x, None), (None, 10.5), f"pcross_{half}.g")
        s.wire((x, level), (across, None))
    s.to_rail("tail")
