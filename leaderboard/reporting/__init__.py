"""A board as a page, a table, JSON or CSV.

report.py        reads the files of a board and writes its page
page.py          the page's HTML, from templates/
figures.py       charts as plain data; drawing.py makes SVG of them
conditions.py    the conditions of best designs
summary.py       the board for a terminal and as JSON
export.py        its cells as CSV and JSON lines, its ranks as Markdown
"""
