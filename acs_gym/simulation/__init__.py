"""From a deck to metrics: text in, numbers out, nothing else.

netlist.py         reads a circuit folder's SPICE into records, refusing anything that could run or read
element_values.py  what may stand as the value of an element there
deck.py            records + PDK -> the program a worker runs
listing.py         that program as a file for plain ngspice
program.py         that program, as plain records: decks, bindings, analyses, measures
driver.py          libngspice in this process, through ctypes
driver_choice.py   that, or PySpice's binding
engine.py          runs a program in one driver: parameters -> metrics
readout.py         waveforms -> the metrics of a program
measures/          one curve -> one number
noise_split.py     the noise of a design by device
worker.py          an engine in a process of its own
pool.py            many workers: results in order, deadlines, respawn
uncharged.py       the only way to a simulator without a session, and who takes it
cache.py           an opt-in store of outcomes on disk
version.py         which ngspice simulates here
"""
