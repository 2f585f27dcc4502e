"""Lets any agent spend the same simulation budget on the same tasks, and compares them.

    contract.py      what an agent is
    registry.py      agent names to agents
    suites.py        named sets of tasks
    cells.py         one cell = task x agent x repetition: its spec, its seeds, its key
    records.py       what is written of a cell
    store.py         the files of a cell, and how a damaged one is noticed
    fingerprint.py   what produced a result: versions, machine, simulator
    cell_runner.py   one cell, metered, verified
    cell_process.py  a process that runs cells it is handed
    replay.py        what an interrupted cell had is not simulated again
    plan.py          the cells of a run, and how long such cells took
    progress.py      what is seen of a run, with the time left
    dry_run.py       what a run would do
    backends/        where cells run: processes of this machine, Ray, Slurm
    statistics.py    numbers from scores
    cell_figures.py  numbers of one stored cell
    comparison.py    which agent is better: paired tests, ranks over tasks
    standings.py     numbers from stored cells: ranks, per-task rows, curves
    chosen.py        the comparable cells of a folder
    waveforms.py     what is kept of a winner's curves
    figures.py       charts as plain data; drawing.py makes SVG of them
    page.py          the report's HTML, from templates/
    run.py           python -m leaderboard.run
    summary.py       the standings for a terminal and as JSON
    report.py        python -m leaderboard.report
    findings.py      one thing that does not hold
    verification.py  what must hold of a finished cell
    verify.py        python -m leaderboard.verify
    perturbations.py hidden conditions and targets, drawn from a salt
    merge.py         python -m leaderboard.merge
    export.py        python -m leaderboard.export
    submission.py    python -m leaderboard.submission
    wire/            agents in any language, as processes that speak JSON lines
    analytic.py      a task without ngspice
    check_agent.py   python -m leaderboard.check_agent

Importing this package imports no agent and no optimisation library.
"""
