"""Pages of the bundled circuits, made from their folders: `python -m docs.circuit_pages`.

    sheet       drawing a schematic from the devices of a netlist, by name
    lvs         what a drawing connects, held against the netlist; what overlaps in it
    schematics  one drawing script a circuit
    page        the text of a page, its numbers simulated as it is made

Nothing here is part of the installed packages.
"""
