"""The same training on other people's engines, for a policy that outgrows one process: TRL (`trl`)
and verl (`verl`).

Each is imported by name and brings its own dependencies. Episodes, rewards and advantages come from
`roll_out` and `assign`, as in `loop`; an engine samples, computes gradients and spreads them.
"""
