"""Numbers from cells.

chosen.py        the comparable cells of a folder
cell_figures.py  numbers of one cell
statistics.py    numbers from scores
comparison.py    which agent is better: paired tests, ranks over tasks
standings.py     all of it together: ranks, per-task rows, curves, best designs
"""
