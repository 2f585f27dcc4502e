"""Folded-cascode OTA."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=13.5, left=0, right=34)
    # bias: the reference current, its PMOS copy, and the two cascode gate voltages
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("sink_a", 6, 1.5)
    s.two("ibias", "ib", (2, 13.5), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "sink_a.g")
    s.net("nb", (4, 1.5), "above")
    s.pfet("src", 6, 12, gate="right")
    s.pfet("src_b", 10.2, 12)
    s.wire("src.g", "src_b.g")
    s.wire("src.d", (8.1, None), (None, 12))
    s.net("pb", (8.1, 12), "above")
    s.wire("src.d", "sink_a.d")
    s.nfet("nshift", 10.2, 4.5)
    s.wire("src_b.d", "nshift.d")
    s.wire("nshift.g", (None, 6), (10.2, None))
    s.net("vcn", (10.2, 7.5), "right")
    s.nfet("sink_b", 14, 1.5)
    s.pfet("pshift", 14, 12)
    s.wire("sink_b.g", (12.4, None))
    s.net("nb", (12.4, 1.5), "left")
    s.wire("pshift.d", "sink_b.d")
    s.wire("pshift.g", (None, 10.5), (14, None))
    s.net("vcp", (14, 7.5), "right")
    # pair
    s.nfet("tail", 20, 1.5)
    s.wire("tail.g", (18.4, None))
    s.net("nb", (18.4, 1.5), "left")
    s.nfet("pair_p", 17.5, 4.5)
    s.nfet("pair_n", 22.5, 4.5, gate="right")
    s.wire("pair_p.s", (None, 3), (20, None), "tail.d")
    s.wire("pair_n.s", (None, 3), (20, None))
    s.port("inp", "pair_p.g", "left", 0.5)
    s.port("inn", "pair_n.g", "right", 0.5)
    # output branches, folded at the drains of the pair
    left, right = 27.5, 32.5
    for x, half, gate in ((left, "p", "right"), (right, "n", "left")):
        s.pfet(f"src_{half}", x, 12, gate)
        s.pfet(f"pcas_{half}", x, 8, gate)
        s.nfet(f"ncas_{half}", x, 4.5, gate)
        s.nfet(f"load_{half}", x, 1.5, gate)
        s.wire(f"src_{half}.d", f"pcas_{half}.s")
        s.wire(f"pcas_{half}.d", f"ncas_{half}.d")
        s.wire(f"ncas_{half}.s", f"load_{half}.d")
    for device, net in {"src": "pb", "pcas": "vcp", "ncas": "vcn", "load": "mir"}.items():
        s.wire(f"{device}_n.g", f"{device}_p.g")
        if net != "mir":
            s.net(net, (29.2, s.at(f"{device}_n.g")[1]), "above")
    s.wire((left, 6.2), (30, None), (None, 1.5))
    s.wire("pair_p.d", (None, 10.3), (left, None))
    s.wire("pair_n.d", (None, 9.6), (right, None))
    s.port("mir", (left, 6.2), "left", 1.3)
    s.port("out", (right, 6.2), "right", 1.3)
    s.to_rail("bias", "sink_a", "nshift", "sink_b", "tail", "load_n", "load_p")
    s.to_rail("src", "src_b", "pshift", "src_n", "src_p")
