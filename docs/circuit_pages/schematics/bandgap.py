"""Bandgap reference with a start-up circuit."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=14, left=0, right=42)
    # start-up
    s.pfet("pull", 4, 12.5)
    s.nfet("sense", 4, 1.5)
    s.wire("pull.d", "sense.d")
    s.wire("pull.g", (2, None), (None, 0))
    s.net("out", "sense.g", "left")
    s.nfet("start", 8, 4)
    s.wire((4, 4), "start.g")
    s.net("st", (5, 4), "above")
    s.net("gate", "start.d", "above")
    # bias
    s.pfet("copy", 12, 12.5)
    s.nfet("bias", 12, 1.5, gate="right")
    s.wire("copy.d", "bias.d")
    s.wire((12, 3), (13.1, None), "bias.g")
    s.net("gate", "copy.g", "left")
    s.net("nb", "bias.g", "right")
    # amplifier
    left, middle, right = 18, 20.5, 23
    s.nfet("tail", middle, 1.5)
    s.net("nb", "tail.g", "left")
    for x, half, outer, inner in ((left, "b", "left", "right"), (right, "a", "right", "left")):
        s.nfet(f"pair_{half}", x, 5.5, outer)
        s.pfet(f"load_{half}", x, 12.5, inner)
        s.wire(f"pair_{half}.s", (None, 3.5), (middle, None))
        s.wire(f"pair_{half}.d", f"load_{half}.d")
        s.net(f"v{half}", f"pair_{half}.g", outer)
    s.wire("tail.d", (None, 3.5))
    s.wire("load_b.g", "load_a.g")
    s.wire((left, 10.5), (middle, None), (None, 12.5))
    s.net("nd", (left, 9), "left")
    s.port("drive", (right, 9), "right", 1)
    # pass device and capacitors
    s.pfet("pass", 31.5, 12.5)
    s.two("cap", "cc", (28, 12.5), (28, 14))
    s.wire("cc.a", "pass.g")
    s.port("gate", (28, 12.5), "below", 1)
    # branches
    one, many = 36.5, 31.5
    s.wire("pass.d", (many, 10.5))
    s.two("res", "rtop_b", (many, 10), (many, 7.5))
    s.two("res", "rtop_a", (one, 10), (one, 7.5))
    s.wire((many, 10.5), "rtop_b.a")
    s.wire((many, 10.5), (one, None), "rtop_a.a")
    s.two("res", "rptat", (many, 6.5), (many, 4))
    s.wire("rtop_b.b", "rptat.a")
    s.net("vb", (many, 7), "left")
    s.net("va", (one, 7), "left")
    for x, name, top in ((many, "q_many", "rptat.b"), (one, "q_one", "rtop_a.b")):
        s.pnp(name, x, 1.5)
        s.wire(top, f"{name}.e")
        s.wire(f"{name}.c", (None, 0))
        s.wire(f"{name}.b", (None, 0))
    s.net("e", (many, 3), "left")
    s.two("cap", "co", (41, 6), (41, 3))
    s.wire((one, 10.5), (41, None), "co.a")
    s.wire("co.b", (None, 0))
    s.port("out", (41, 10.5), "right", 1)
    s.to_rail("sense", "start", "bias", "tail")
    s.to_rail("pull", "copy", "load_b", "load_a", "pass")
