"""Processes that train one network together, each on its share of every batch.

``torchrun`` starts them and tells each its number. Each takes the images of a batch that are its
own, and gradients are averaged, so that all of them hold the same weights at every step, and the
same as one process with the whole batch, but for rounding. For the latter, batch norm has to go by
the whole batch too (:func:`joined`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from devices.errors import InputError

_PATIENCE = timedelta(hours=24)
"""How long a process waits for the others, of which one may be busy with the device."""


@dataclass(frozen=True)
class Team:
    """The processes that work together, seen from one of them.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes, which must all ask for it: of the same shape, on each alike."""
        if self.size == 1:
            return values
        values = values.detach().clone()
        dist.all_reduce(values)
        return values / self.size

    def mean_each(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each of several tensors over all processes, in one message."""
        if self.size == 1 or not values:
            return list(values)
        means = self.mean(torch.cat([value.detach().flatten() for value in values]))
        parts = torch.split(means, [value.numel() for value in values])
        return [part.view_as(value) for part, value in zip(parts, values, strict=True)]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average what gradients there are over all processes, which must have the same ones."""
        if self.size > 1:
            gradients = [p.grad for p in parameters if p.grad is not None]
            for gradient, mean in zip(gradients, self.mean_each(gradients), strict=True):
                gradient.copy_(mean)

    def check_batch(self, batch_size: int) -> None:
        """Raise :class:`InputError` where a batch cannot be shared out evenly."""
        if batch_size % self.size:
            raise InputError(
                f"a batch of {batch_size} images for {self.size} processes",
                "each takes as many images of a batch",
                f"a batch of {-(-batch_size // self.size) * self.size}",
            )


ALONE = Team()


@contextmanager
def team_of_torchrun(device: str) -> Iterator[Team]:
    """The processes that ``torchrun`` started, or this one alone where it did not.

    Args:
        device: torch device that trains; decides how processes talk, NCCL or Gloo.

    Raises:
        InputError: what the environment says of them is no team.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    is_cuda = device.startswith("cuda")
    try:
        if is_cuda:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if is_cuda else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes found no one another",
            str(error).partition("\n")[0],
            "torchrun --nproc-per-node 2 -m lutier search proxyless ...",
        ) from error
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def device_of_rank(device: str) -> str:
    """``cuda`` as the GPU of this process among those of its machine; others as they are."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device


class _Sum(torch.autograd.Function):
    """Sum over all processes, of which every one's loss depends on every one's input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


class JointBatchNorm2d(nn.BatchNorm2d):
    """Batch norm by the statistics of the whole batch, whose parts are with several processes.

    What ``torch.nn.SyncBatchNorm`` does on CUDA devices only (Peng et al.: "MegDet", CVPR 2018).
    The processes must have as many images each.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C, H, W)``."""
        if not self.training:
            return super().forward(x)
        size = dist.get_world_size()
        axes = (0, 2, 3)
        shape = (1, -1, 1, 1)
        # In two steps: the mean square less the squared mean would lose digits.
        mean = self._sum(x.float().mean(axes)) / size
        centred = x.float() - mean.view(shape)
        variance = self._sum(centred.square().mean(axes)) / size
        if self.track_running_stats:
            self._follow(mean, variance, size * x.numel() // x.shape[1])
        normal = (centred * torch.rsqrt(variance + self.eps).view(shape)).to(x.dtype)
        if not self.affine:
            return normal
        return normal * self.weight.view(shape) + self.bias.view(shape)

    @staticmethod
    def _sum(values: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        return total

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        with torch.no_grad():
            tracked = self.num_batches_tracked
            if tracked is not None:
                tracked.add_(1)
            rate = self.momentum
            if rate is None:
                # The plain mean of all batches so far.
                rate = 1.0 if tracked is None else 1.0 / int(tracked)
            unbiased = variance * (count / max(count - 1, 1))
            for kept, now in ((self.running_mean, mean), (self.running_var, unbiased)):
                if kept is not None:
                    kept.lerp_(now.to(kept.dtype), rate)


def joined(module: nn.Module, team: Team) -> nn.Module:
    """A module whose batch norms go by the batch of all processes; of one process, itself.

    Names of parameters and buffers stay, and so do their values.
    """
    if team.size == 1:
        return module
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _joint(child))
    return module


def _joint(norm: nn.BatchNorm2d) -> JointBatchNorm2d:
    joint = JointBatchNorm2d(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    joint.load_state_dict(norm.state_dict())
    return joint.train(norm.training)
