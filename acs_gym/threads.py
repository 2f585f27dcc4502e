"""The environment variables that say how many threads numerical libraries start.

They are read when a library is loaded, so they are set for a process before it begins.
"""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
# For processes that fill the cores between them.
ONE_THREAD = dict.fromkeys(THREAD_VARIABLES, "1")
