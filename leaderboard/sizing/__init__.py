"""One circuit sized for its owner: `acs-gym size`.

    live.py      what a person watches while it runs
    answer.py    what is known of the sizing that came of it
    page.py      the same as a page, from templates/
    terminal.py  the same as a table
    files.py     the same as files: sizing.toml, sized.spice

A sizing is a cell like any other (metered, traced, resumed, verified); what is here looks at it.
"""
