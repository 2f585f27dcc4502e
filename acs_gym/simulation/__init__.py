"""From a deck to metrics: text in, numbers out, nothing else.

netlist.py   reads a circuit folder's SPICE into records, refusing anything that could run or read
deck.py      records + PDK -> the program a worker runs
program.py   that program, as plain records: decks, bindings, analyses, measures
driver.py    libngspice in this process, through ctypes
engine.py    runs a program in one driver: parameters -> metrics
measure.py   waveforms -> numbers
worker.py    an engine in a process of its own
pool.py      many workers: results in order, deadlines, respawn
"""
