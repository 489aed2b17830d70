"""Batch norm in steps that must leave no trace in its running statistics.

Validation images must not leak into a network, and what is run a second time in the backward pass
must not be counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_Flags = tuple[nn.BatchNorm2d, bool, bool]
"""A batch norm, whether it uses running statistics, and whether it is in training mode."""


@contextmanager
def frozen_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Batch norm by the batch at hand inside, its running statistics untouched.

    Args:
        modules: whose batch norms, at any depth, are meant.
    """
    norms = [norm for norm in _norms(modules) if norm.track_running_stats]
    before = _flags(norms)
    try:
        for norm in norms:
            norm.track_running_stats = False
            norm.training = True
        yield
    finally:
        _set_flags(before)


def rerun(module: nn.Module, x: Tensor) -> Tensor:
    """Output of a module whose activations are not kept: the backward pass makes them again.

    The second run is like the first: batch norm goes by the batch where it did, and only the first
    run counts in running statistics. So outputs, gradients and statistics are those of a plain
    call.

    Args:
        module: what to run; a function of ``x``.
        x: its input.
    """
    flags = _flags(_norms([module]))
    output: Tensor = checkpoint(
        module, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _second_run(flags))
    )
    return output


def _norms(modules: Iterable[nn.Module]) -> Iterator[nn.BatchNorm2d]:
    for module in modules:
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                yield norm


def _flags(norms: Iterable[nn.BatchNorm2d]) -> list[_Flags]:
    return [(norm, norm.track_running_stats, norm.training) for norm in norms]


def _set_flags(flags: Sequence[_Flags]) -> None:
    for norm, track, training in flags:
        norm.track_running_stats = track
        norm.training = training


@contextmanager
def _second_run(flags: Sequence[_Flags]) -> Iterator[None]:
    """Batch norms in the mode of the first run inside, counting in copies of their statistics."""
    now = _flags([norm for norm, _, _ in flags])
    buffers = [(norm, dict(norm.named_buffers(recurse=False))) for norm, _, _ in flags]
    try:
        _set_flags(flags)
        for norm, kept in buffers:
            for name, buffer in kept.items():
                setattr(norm, name, buffer.clone())
        yield
    finally:
        _set_flags(now)
        for norm, kept in buffers:
            for name, buffer in kept.items():
                setattr(norm, name, buffer)
