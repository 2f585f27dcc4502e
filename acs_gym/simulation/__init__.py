"""From a deck to metrics: text in, numbers out, nothing else.

netlist.py   reads a circuit folder's SPICE into records, refusing anything that could run or read
deck.py      records + PDK -> the program a worker runs
program.py   that program, as plain records: decks, bindings, analyses, measures
driver.py    libngspice in this process, through ctypes
engine.py    runs a program in one driver: parameters -> metrics
readout.py   waveforms -> the metrics of a program
measure.py   one curve -> one number
worker.py    an engine in a process of its own
pool.py      many workers: results in order, deadlines, respawn
cache.py     an opt-in store of outcomes on disk
version.py   which ngspice simulates here
"""
