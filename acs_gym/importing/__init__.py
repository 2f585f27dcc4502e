"""A designer's netlist as a circuit folder, and back.

    text.py        lines to cards; the place of every word
    values.py      numbers, parameters, formulas
    formulas.py    what formulas have beyond arithmetic: choices, `pow`, `.func`
    hierarchy.py   subcircuits, which of them is the circuit, one flat list
    devices.py     elements to this project's devices, in SI units
    merging.py     what a layout's extraction writes many times, once
    matching.py    which transistors belong together, by how they are connected
    wishes.py      what the owner marked
    sizing.py      parameters, their names and ranges
    testbench.py   pins, and what the owner's testbench has at them
    circuit.py     all of it in order: `import_text`
    netlist.py     `dut.spice`
    bench.py       a first testbench and `circuit.toml`
    folder.py      writes the folder and the way back
    exporting.py   a sizing in the owner's own text
    xschem.py      the same in a schematic
    cace.py        specs as a datasheet, cace_templates.py testbenches for it

Nothing here runs or reads what a netlist names: no `.include`, no `.control`. What is written is the
small dialect of `acs_gym.simulation.netlist`.
"""

from acs_gym.importing.circuit import Imported, import_text
from acs_gym.importing.text import read_file, read_text

__all__ = ["Imported", "import_text", "read_file", "read_text"]
