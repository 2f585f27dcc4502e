"""Capacitively coupled instrumentation amplifier."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=14, left=0, right=55)
    # bias: the reference current, its PMOS copy, and the two cascode gate voltages
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("sink_a", 6, 1.5)
    s.two("ibias", "ib", (2, 14), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "sink_a.g")
    s.net("nb", (4, 1.5), "above")
    s.pfet("copy_a", 6, 12.5, gate="right")
    s.pfet("copy_b", 10.2, 12.5)
    s.wire("copy_a.g", "copy_b.g")
    s.wire("copy_a.d", (8.1, None), (None, 12.5))
    s.net("pb", (8.1, 12.5), "above")
    s.wire("copy_a.d", "sink_a.d")
    s.nfet("nshift", 10.2, 4.5)
    s.wire("copy_b.d", "nshift.d")
    s.wire("nshift.g", (None, 6), (10.2, None))
    s.net("vcn", (10.2, 7.5), "right")
    s.nfet("sink_b", 14, 1.5)
    s.pfet("pshift", 14, 12.5)
    s.net("nb", "sink_b.g", "left")
    s.wire("pshift.d", "sink_b.d")
    s.wire("pshift.g", (None, 11), (14, None))
    s.net("vcp", (14, 7.5), "right")
    # capacitors and pseudo-resistors: inp above, inn below
    for half, y, port, end in (("p", 8.5, "inp", "ref"), ("n", 2, "inn", "fb")):
        s.port(port, (18, y), "left", 0.6)
        s.two("cap", f"cin_{half}", (19, y), (21, y), text=(0, 0.95))
        s.wire((18, y), f"cin_{half}.a")
        s.two("cap", f"cf_{half}", (25, y), (27, y))
        s.wire(f"cin_{half}.b", f"cf_{half}.a")
        s.wire(f"cf_{half}.b", (29.5, None))
        s.port(end, (29.5, y), "right", 0.6)
        s.net(f"g{half}", (23.5, y), "below")
        for device, x, side in (("a", 22.5, "left"), ("b", 29.5, "right")):
            name = f"res_{half}{device}"
            s.pfet(name, x, y + 2.5, gate=side, bulk=True)
            s.wire(f"{name}.d", (None, y))
            s.wire(f"{name}.g", (None, y + 1), (x, None))
            s.wire(f"{name}.b", (None, y + 3.5))
        s.wire(f"res_{half}a.s", f"res_{half}b.s")
        s.net(f"w{half}", (26, y + 3.5), "above")
    # the pair and its diodes
    left, middle, right = 35, 37.5, 40
    s.nfet("tail", middle, 1.5)
    s.net("nb", "tail.g", "left")
    for x, half, outer, inner, net in (
        (left, "p", "left", "right", "a"), (right, "n", "right", "left", "b"),
    ):  # fmt: skip
        s.nfet(f"pair_{half}", x, 5, outer)
        s.pfet(f"load_{half}", x, 12.5, inner)
        s.wire(f"pair_{half}.s", (None, 3.2), (middle, None))
        s.wire(f"pair_{half}.d", f"load_{half}.d")
        s.wire(f"load_{half}.g", (None, 11), (x, None))
        s.net(f"g{half}", f"pair_{half}.g", outer)
        s.net(net, (x, 9), outer)
    s.wire("tail.d", (None, 3.2))
    # output branches
    left, right = 46, 51
    for x, half, gate, net, ends in (
        (left, "m", "right", "b", "df"), (right, "o", "left", "a", "ce"),
    ):  # fmt: skip
        s.pfet(f"load_{half}", x, 12.5, gate)
        s.pfet(f"pcas_{half}", x, 9, gate)
        s.nfet(f"ncas_{half}", x, 5, gate)
        s.nfet(f"mir_{half}", x, 1.5, gate)
        s.net(net, f"load_{half}.g", gate)
        s.wire(f"load_{half}.d", f"pcas_{half}.s")
        s.wire(f"pcas_{half}.d", f"ncas_{half}.d")
        s.wire(f"ncas_{half}.s", f"mir_{half}.d")
        away = "left" if gate == "right" else "right"
        s.net(ends[0], (x, 10.7), away)
        s.net(ends[1], (x, 3.2), away)
    s.wire("pcas_m.g", "pcas_o.g")
    s.net("vcp", (48, 9), "above")
    s.wire("ncas_m.g", "ncas_o.g")
    s.net("vcn", (48, 5), "above")
    s.wire("mir_m.g", "mir_o.g")
    s.wire((left, 7), (48.5, None), (None, 1.5))
    s.net("mir", (left, 7), "left")
    s.two("cap", "co", (54, 5.5), (54, 3.5))
    s.wire((right, 7), (54, None), "co.a")
    s.wire("co.b", (None, 0))
    s.port("out", (54, 7), "right", 0.6)
    s.to_rail("bias", "sink_a", "nshift", "sink_b", "tail", "mir_m", "mir_o")
    s.to_rail("copy_a", "copy_b", "pshift", "load_p", "load_n", "load_m", "load_o")
