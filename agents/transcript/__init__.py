"""What was said and simulated in a run, as a file: written, read back, shown, replayed.

python -m agents.transcript FILE            # a readable page
python -m agents.transcript FILE --replay   # the same simulations and score, without a model
"""
