"""One task, one agent, one repetition.

spec.py          what a cell is, its seeds, the key that its result is kept under
records.py       what is written of it
store.py         its files, and how a damaged one is noticed
runner.py        runs it: metered, its winner simulated again
replay.py        what an interrupted cell had is not simulated again
fingerprint.py   what produced a result: versions, machine, simulator
waveforms.py     what is kept of a winner's curves
"""
