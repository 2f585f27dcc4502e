"""Torch as the optimisers need it: one thread, and random numbers that depend on a seed alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """One thread and a stream seeded with `seed` inside; both as they were outside.

    On one thread sums are always taken in the same order, so results agree to the last bit; several
    processes share the cores better than several threads do anyway.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Of line searches that end early and of arguments that are experimental.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
