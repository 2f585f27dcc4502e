"""Low-dropout regulator."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=12, left=0, right=36)
    # bias
    s.nfet("bias", 2, 1.5, gate="right")
    s.two("ibias", "ib", (2, 12), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g")
    s.net("nb", "bias.g", "right")
    # error amplifier: pair and its diodes inside, their copies outside
    outer_left, left, middle, right, outer_right = 6.8, 10.8, 13.5, 16.2, 20.2
    s.nfet("tail", middle, 3.6)
    s.wire("tail.g", (12, None))
    s.net("nb", (12, 3.6), "left")
    for x, half, outer in ((left, "p", "left"), (right, "n", "right")):
        s.nfet(f"pair_{half}", x, 6.5, outer)
        s.pfet(f"load_{half}", x, 10.5, outer)
        s.wire(f"pair_{half}.s", (None, 5), (middle, None))
        s.wire(f"pair_{half}.d", f"load_{half}.d")
    s.wire("tail.d", (None, 5))
    for x, copy, half, inner in ((outer_left, "d", "p", "right"), (outer_right, "o", "n", "left")):
        s.pfet(f"load_{copy}", x, 10.5, inner)
        s.nfet(f"sink_{copy}", x, 1.5, inner)
        s.wire(f"load_{copy}.g", f"load_{half}.g")
        s.wire(f"load_{copy}.d", f"sink_{copy}.d")
    s.wire("load_p.d", (8.8, None), (None, 10.5))
    s.wire("load_n.d", (18.2, None), (None, 10.5))
    s.wire("sink_d.g", "sink_o.g")
    s.wire("sink_d.d", (8.8, None), (None, 1.5))
    s.port("vref", "pair_p.g", "left", 0.5)
    s.wire("pair_n.g", (17.7, None))
    s.net("fb", (17.7, 6.5), "right")
    # pass device, compensation, clamp
    out = 28.5
    s.pfet("pass", out, 10.5)
    s.two("res", "rz", (24, 7), (26.2, 7))
    s.two("cap", "cc", "rz.b", (out, None))
    s.wire((outer_right, 7), "rz.a", (None, 10.5), "pass.g")
    s.nfet("clamp", out, 1.7)
    s.wire("pass.d", "cc.b", "clamp.d")
    s.wire("clamp.g", (None, 0))
    s.port("out", (out, 7), "right", 1.6)
    # divider
    s.two("res", "top", (33, 6), (33, 3.6))
    s.two("res", "bottom", "top.b", (33, 0))
    s.port("sense", "top.a", "above", 0.5)
    s.wire("top.b", (31.5, None))
    s.net("fb", (31.5, 3.6), "left")
    s.to_rail("bias", "tail", "sink_d", "sink_o", "clamp")
    s.to_rail("load_d", "load_p", "load_n", "load_o", "pass")
