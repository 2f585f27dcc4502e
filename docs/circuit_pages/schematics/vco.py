"""Current-starved ring VCO."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=12, left=0, right=40)
    # the control's current, a fixed one beside it, and the mirrors
    s.pfet("pstarve_d", 3, 10.5, gate="right")
    s.nfet("follow", 3, 6)
    s.port("ctl", "follow.g", "left", 1)
    s.two("res", "rgain", (3, 3.5), (3, 0))
    s.wire("follow.s", "rgain.a")
    s.wire("pstarve_d.d", "follow.d")
    s.two("res", "rfloor", (7, 3.5), (7, 0))
    s.wire((3, 8), (7, None), "rfloor.a")
    s.wire((5, 8), (None, 10.5))
    s.pfet("pstarve_c", 11, 10.5)
    s.nfet("nstarve_d", 11, 1.5, gate="right")
    s.wire("pstarve_d.g", "pstarve_c.g")
    s.net("pb", (5, 10.5), "above")
    s.wire("pstarve_c.d", "nstarve_d.d")
    s.wire("nstarve_d.g", (12.6, None), (None, 3.2), (11, None))
    s.net("nb", (12.6, 1.5), "right")
    # the ring
    for k, x in ((1, 19.0), (2, 25.0), (3, 31.0)):
        s.pfet(f"pstarve_{k}", x, 10.5)
        s.pfet(f"pinv_{k}", x, 7.5)
        s.nfet(f"ninv_{k}", x, 4.5)
        s.nfet(f"nstarve_{k}", x, 1.5)
        s.net("pb", f"pstarve_{k}.g", "left")
        s.net("nb", f"nstarve_{k}.g", "left")
        s.wire(f"pstarve_{k}.d", f"pinv_{k}.s")
        s.wire(f"pinv_{k}.d", f"ninv_{k}.d")
        s.wire(f"ninv_{k}.s", f"nstarve_{k}.d")
        s.wire(f"pinv_{k}.g", f"ninv_{k}.g")
    s.net("n3", (17.9, 6), "left")
    s.wire((19, 6), (23.9, None))
    s.wire((25, 6), (29.9, None))
    # the buffer
    s.pfet("pbuf", 36.5, 7.5)
    s.nfet("nbuf", 36.5, 4.5)
    s.wire("pbuf.g", "nbuf.g")
    s.wire("pbuf.d", "nbuf.d")
    s.wire((31, 6), (35.4, None))
    for k, x in ((1, 21.5), (2, 27.5), (3, 33.5)):
        s.net(f"n{k}", (x, 6), "above")
    s.port("out", (36.5, 6), "right", 1.5)
    s.wire("pbuf.s", (None, 12))
    s.wire("nbuf.s", (None, 0))
    s.to_rail("pstarve_d", "pstarve_c", "nstarve_d")
    s.to_rail(*(f"{kind}starve_{k}" for kind in "pn" for k in (1, 2, 3)))
