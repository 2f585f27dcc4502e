"""Tables for sizing by gm/Id, of the very models that are simulated.

    table.py      a table, and what is looked up in it
    measuring.py  how one comes out of ngspice
    stored.py     those of this machine: measured once, kept in the user's cache
    drawing.py    its curves as a picture

    from acs_gym.gmid import gm_id_table
    table = gm_id_table("sky130", "nfet", corner="ss")
    pair = table.at(gm_id=15.0, l=0.5e-6)
    width = 20e-6 / pair.id_per_w      # for 20 uA

The method: Silveira, Flandre, Jespers, JSSC 1996; Jespers, Murmann, Systematic Design of Analog CMOS
Circuits, Cambridge 2017.
"""

from acs_gym.gmid.measuring import WIDTH, fets
from acs_gym.gmid.stored import gm_id_table
from acs_gym.gmid.table import Bias, GmIdTable, OutOfTable

__all__ = ["WIDTH", "Bias", "GmIdTable", "OutOfTable", "fets", "gm_id_table"]
