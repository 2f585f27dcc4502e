"""Five-transistor OTA."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=9, left=0, right=13.5)
    # bias and tail
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("tail", 8, 1.5)
    s.two("ibias", "ib", (2, 9), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "tail.g")
    s.net("nb", (4.5, 1.5), "above")
    # pair and mirror load
    s.nfet("pair_p", 5.5, 4.5)
    s.nfet("pair_n", 10.5, 4.5, gate="right")
    s.pfet("load_p", 5.5, 7.5, gate="right")
    s.pfet("load_n", 10.5, 7.5)
    s.to_rail("bias", "tail", "load_p", "load_n")
    s.wire("pair_p.s", (None, 3), (8, None), "tail.d")
    s.wire("pair_n.s", (None, 3), (8, None))
    s.wire("pair_p.d", "load_p.d", (8, None), (None, 7.5))
    s.wire("load_p.g", "load_n.g")
    s.wire("pair_n.d", "load_n.d")
    s.port("inp", "pair_p.g", "left", 0.5)
    s.port("inn", "pair_n.g", "right", 1.2)
    s.port("out", "pair_n.d", "right", 2.3)
