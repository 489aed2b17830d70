"""Training steps that do not fit in memory: how many images would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from devices.errors import OutOfMemoryError

T = TypeVar("T")

# How the allocator of the CPU says it.
_SAID = ("not enough memory", "can't allocate memory")


def within_memory(
    step: Callable[[], T], batch_size: int, device: str, attempt: Callable[[int], object] | None
) -> T:
    """What a step gives.

    Args:
        step: run once.
        batch_size: images in it.
        device: torch device that trains.
        attempt: the same step on that many of its images, tried with half as many again and again
            after the step did not fit; nothing is tried without it.

    Raises:
        OutOfMemoryError: the step does not fit; says how many images did.
    """
    try:
        return step()
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        why = str(error).partition("\n")[0][:200]
    # Here the error is gone, and with it the tensors of the steps that it was raised in.
    fitting = batch_size // 2
    while attempt is not None and fitting >= 2 and not _fits(attempt, fitting):
        fitting //= 2
    is_known = attempt is not None and fitting >= 2
    raise OutOfMemoryError(
        f"a batch of {batch_size} images does not fit in the memory of {device}",
        why,
        f"a batch of {fitting}, which fitted" if is_known else "a smaller batch, or another device",
    )


def _fits(attempt: Callable[[int], object], count: int) -> bool:
    # Nothing where CUDA is not in use.
    torch.cuda.empty_cache()
    try:
        attempt(count)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        return False
    return True


def _is_out_of_memory(error: Exception) -> bool:
    is_told = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_told or any(said in str(error).lower() for said in _SAID)
