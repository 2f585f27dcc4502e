"""Many cells: which they are, where they run, how far they are.

plan.py          from what was asked to cells with their keys
dry_run.py       what a run would do, and how long
progress.py      what is seen of a run
cell_process.py  a process that runs the cells it is handed
backends/        where cells run: processes of this machine, Ray, Slurm
"""
