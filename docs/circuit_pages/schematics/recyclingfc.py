"""Recycling folded-cascode OTA."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=13.5, left=0, right=44.5)
    # bias: the reference current, its PMOS copy, and the two cascode gate voltages
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("sink_a", 6, 1.5)
    s.two("ibias", "ib", (2, 13.5), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "sink_a.g")
    s.net("nb", (4, 1.5), "above")
    s.pfet("copy_a", 6, 12, gate="right")
    s.pfet("copy_b", 10.2, 12)
    s.wire("copy_a.g", "copy_b.g")
    s.wire("copy_a.d", (8.1, None), (None, 12))
    s.net("pb", (8.1, 12), "above")
    s.wire("copy_a.d", "sink_a.d")
    s.nfet("nshift", 10.2, 4.5)
    s.wire("copy_b.d", "nshift.d")
    s.wire("nshift.g", (None, 6), (10.2, None))
    s.net("vcn", (10.2, 7.5), "right")
    s.nfet("sink_b", 14, 1.5)
    s.pfet("pshift", 14, 12)
    s.net("nb", "sink_b.g", "left")
    s.wire("pshift.d", "sink_b.d")
    s.wire("pshift.g", (None, 10.5), (14, None))
    s.net("vcp", (14, 7.5), "right")
    # the pair, its inner devices under the inputs of the mirrors
    s.nfet("tail", 26, 1.5)
    s.net("nb", "tail.g", "left")
    s.wire("tail.d", (None, 3))
    for x, device, gate in (
        (19, "pair_pa", "right"), (23, "pair_pb", "left"),
        (29, "pair_nb", "right"), (33, "pair_na", "left"),
    ):  # fmt: skip
        s.nfet(device, x, 4.5, gate)
        s.wire(f"{device}.s", (None, 3), (26, None))
    for port, a, b in (("inp", "pair_pa", "pair_pb"), ("inn", "pair_nb", "pair_na")):
        s.wire(f"{a}.g", f"{b}.g")
        s.port(port, ((s.at(f"{a}.g")[0] + s.at(f"{b}.g")[0]) / 2, 4.5), "above", 0.6)
    s.net("a", "pair_pa.d", "above")
    s.net("b", "pair_na.d", "above")
    for half, pair, gate in (("nb", "pair_pb", "left"), ("pb", "pair_nb", "right")):
        x = s.at(f"{pair}.d")[0]
        s.pfet(f"fold_{half}", x, 12, gate)
        s.pfet(f"pcas_{half}", x, 8, gate)
        s.net(f"g{half[0]}", f"fold_{half}.g", gate)
        s.net("vcp", f"pcas_{half}.g", gate)
        s.wire(f"fold_{half}.d", f"pcas_{half}.s")
        s.wire(f"pcas_{half}.d", f"{pair}.d")
        s.net(f"g{half[0]}", (x, 6.2), "right" if gate == "left" else "left")
    # output branches
    left, right = 38, 43
    for x, half, gate, side in ((left, "p", "right", "left"), (right, "n", "left", "right")):
        s.pfet(f"fold_{half}a", x, 12, gate)
        s.pfet(f"pcas_{half}a", x, 8, gate)
        s.nfet(f"ncas_{half}", x, 4.5, gate)
        s.nfet(f"load_{half}", x, 1.5, gate)
        s.net(f"g{half}", f"fold_{half}a.g", gate)
        s.wire(f"fold_{half}a.d", f"pcas_{half}a.s")
        s.wire(f"pcas_{half}a.d", f"ncas_{half}.d")
        s.wire(f"ncas_{half}.s", f"load_{half}.d")
        s.net("a" if half == "p" else "b", (x, 10), side)
    s.wire("pcas_na.g", "pcas_pa.g")
    s.net("vcp", (39.7, 8), "above")
    s.wire("ncas_n.g", "ncas_p.g")
    s.net("vcn", (39.7, 4.5), "above")
    s.wire("load_n.g", "load_p.g")
    s.wire((left, 6.2), (40.5, None), (None, 1.5))
    s.port("mir", (left, 6.2), "left", 1.3)
    s.port("out", (right, 6.2), "right", 1.3)
    s.to_rail("bias", "sink_a", "nshift", "sink_b", "tail", "load_n", "load_p")
    s.to_rail("copy_a", "copy_b", "pshift", "fold_pb", "fold_nb", "fold_pa", "fold_na")
