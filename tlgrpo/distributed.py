"""Several processes that train one policy: each samples its share of the problems, gradients add
up.

Started by `torchrun --nproc-per-node N -m tlgrpo.train ...`; alone, every function here does
nothing. Losses are divided by the totals of all processes, so the sum of the gradients is the
gradient of the whole batch, up to the order of additions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def start(backend: str = "gloo") -> None:
    """Join the processes that torchrun started; nothing when this one is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group(backend)


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_numbers(values: Sequence[float]) -> list[float]:
    """The sums over all processes."""
    if size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(tensor)
    return [float(v) for v in tensor]


def largest(value: float) -> float:
    """The maximum over all processes."""
    if size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return float(tensor[0])


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Every process gets the sum; a parameter without a gradient counts as 0."""
    if size() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def gather(value: Any) -> list[Any]:
    """What every process gave, by rank."""
    if size() == 1:
        return [value]
    found: list[Any] = [None] * size()
    dist.all_gather_object(found, value)
    return found


def wait() -> None:
    """Until every process is here."""
    if size() > 1:
        dist.barrier()
