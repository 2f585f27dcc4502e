"""Telescopic cascode OTA."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=14, left=0, right=30)
    # bias: the reference current, its PMOS copy, and the current and the gate of the cascodes
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("sink_a", 6, 1.5)
    s.two("ibias", "ib", (2, 14), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "sink_a.g")
    s.net("nb", (4, 1.5), "above")
    s.pfet("feed_a", 6, 12.5, gate="right")
    s.pfet("feed_b", 10.2, 12.5)
    s.wire("feed_a.g", "feed_b.g")
    s.wire("feed_a.d", (8.1, None), (None, 12.5))
    s.net("pb", (8.1, 12.5), "above")
    s.wire("feed_a.d", "sink_a.d")
    s.wire("feed_b.d", (None, 10))
    s.net("vcn", (10.2, 10), "below")
    s.nfet("sink_b", 14, 1.5)
    s.pfet("pshift", 14, 12.5)
    s.wire("sink_b.g", (12.4, None))
    s.net("nb", (12.4, 1.5), "left")
    s.wire("pshift.d", "sink_b.d")
    s.wire("pshift.g", (None, 11), (14, None))
    s.net("vcp", (14, 8), "right")
    # output branches
    left, middle, right = 18.7, 23.2, 27.7
    for x, half, outer, inner in ((left, "p", "left", "right"), (right, "n", "right", "left")):
        s.nfet(f"pair_{half}", x, 4.5, outer)
        s.nfet(f"ncas_{half}", x, 7, inner)
        s.pfet(f"pcas_{half}", x, 10, inner)
        s.pfet(f"load_{half}", x, 12.5, inner)
        s.wire(f"pair_{half}.d", f"ncas_{half}.s")
        s.wire(f"ncas_{half}.d", f"pcas_{half}.d")
        s.wire(f"pcas_{half}.s", f"load_{half}.d")
        s.wire(f"pair_{half}.s", (None, 3), (middle, None))
    for device, net in {"ncas": "vcn", "pcas": "vcp", "load": "mir"}.items():
        s.wire(f"{device}_p.g", f"{device}_n.g")
        if net != "mir":
            s.net(net, (21.5, s.at(f"{device}_n.g")[1]), "above")
    s.wire((left, 8.5), (middle, None), (None, 12.5))
    # the tail, and the diode that lets the cascode gates follow it
    s.nfet("tail", middle, 1.5)
    s.wire("tail.g", (21.5, None))
    s.net("nb", (21.5, 1.5), "left")
    s.nfet("nshift", middle, 4.7)
    s.wire("nshift.s", "tail.d")
    s.wire("nshift.d", (None, 7))
    s.wire("nshift.g", (None, 6.1), (middle, None))
    s.port("inp", "pair_p.g", "left", 0.5)
    s.port("inn", "pair_n.g", "right", 0.5)
    s.port("mir", (left, 8.5), "left", 1.6)
    s.port("out", (right, 8.5), "right", 1.6)
    s.to_rail("bias", "sink_a", "sink_b", "tail")
    s.to_rail("feed_a", "feed_b", "pshift", "load_p", "load_n")
