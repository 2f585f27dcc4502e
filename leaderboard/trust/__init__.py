"""What must hold of a cell, whoever wrote it, and what a rank takes.

findings.py      one thing that does not hold
verification.py  everything that follows from something else in a cell
verify.py        all of that, and the winner simulated again
perturbations.py hidden conditions and targets, drawn from a salt
ranked.py        what it takes for a row to claim its rank
merge.py         the runs of several machines in one folder
submission.py    a manifest and its runs
"""
