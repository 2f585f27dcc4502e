"""gm-C low-pass biquad."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=12, left=-1, right=44)
    # bias
    s.nfet("tail_d", 1, 1.5, gate="right")
    s.two("ibias", "ib", (1, 12), (1, 3), text=(0.6, 1.4))
    s.wire("ib.b", "tail_d.d")
    s.wire("ib.b", (2.1, None), "tail_d.g")
    s.net("nb", (2.1, 1.5), "right")
    s.to_rail("tail_d")
    # the two transconductors, each with its capacitor
    for k, left, capacitor in ((1, 8.0, "c_one"), (2, 27.0, "c_two")):
        right = left + 10
        for half, x, gate in (("p", left, "left"), ("n", right, "right")):
            s.nfet(f"tail_{k}{half}", x, 1.5, gate)
            s.net("nb", f"tail_{k}{half}.g", gate)
            s.nfet(f"pair_{k}{half}", x, 7.5, gate)
            s.wire(f"pair_{k}{half}.s", f"tail_{k}{half}.d")
        s.nfet(f"lin_{k}p", left + 2.8, 4.5)
        s.nfet(f"lin_{k}n", right - 2.8, 4.5, gate="right")
        s.wire((left, 5.5), f"lin_{k}p.d", f"lin_{k}n.d")
        s.wire(f"lin_{k}p.s", f"lin_{k}n.s", (right, 3.5))
        s.net("in" if k == 1 else "x", f"lin_{k}p.g", "left")
        s.net("fb", f"lin_{k}n.g", "right")
        s.pfet(f"load_{k}p", left, 10.5, gate="right")
        s.pfet(f"load_{k}n", right, 10.5)
        s.wire(f"load_{k}p.g", f"load_{k}n.g")
        s.wire(f"load_{k}p.d", f"pair_{k}p.d")
        s.wire((left, 9), (left + 1.1, None), f"load_{k}p.g")
        s.net(f"d{k}", (left + 5, 10.5), "above")
        s.wire(f"load_{k}n.d", f"pair_{k}n.d")
        s.two("cap", capacitor, (right + 4, 6), (right + 4, 0))
        s.wire((right, 9), (right + 4, None), f"{capacitor}.a")
        s.to_rail(*(f"{name}_{k}{half}" for name in ("tail", "load") for half in "pn"))
    s.port("in", "pair_1p.g", "left", 1)
    s.net("fb", "pair_1n.g", "right")
    s.wire((22, 9), (25.9, None), "pair_2p.g")
    s.net("x", (24, 9), "above")
    s.port("fb", "pair_2n.g", "right", 1)
    s.port("out", (41, 9), "right", 1.5)
