"""All networks of a chain space in one module, one path of it run at a time.

ProxylessNAS (Cai, Zhu, Han, ICLR 2019, section 3.2). Each block holds all its candidates and one
architecture parameter alpha a candidate; ``p = softmax(alpha)``. Weights are trained on one path
drawn by ``p``, at the cost of that one network. Alphas are trained with the paper's two-path
estimate: two candidates of each block are drawn without replacement by ``p``, one of the two is
active and makes the output, and with ``g`` the binary gates of the two,

    dL/dg_j     = <dL/dout, o_j(x)>
    dL/dalpha_i = sum_j dL/dg_j q_j (delta_ij - q_i),    q = softmax of the two alphas

After the step both alphas are shifted by one offset, so that no other candidate's probability
changes. There is no mode: which path runs is an argument, so nothing can stay behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from devices.errors import DivergedError, InputError
from profiler.builders.modules import build_chain, build_op, check_chain
from search.spaces.base import ChainSpace
from search.train import seeded

# Standard deviation of the alphas at the start, as in the paper's code.
_ALPHA_SPREAD = 1e-3


@dataclass(frozen=True)
class Pair:
    """Two different candidates of a block, of which the first is active.

    Attributes:
        active: candidate whose output is the block's output.
        inactive: candidate whose output is only compared with it; ``None`` in a block of one.
    """

    active: int
    inactive: int | None

    @property
    def members(self) -> list[int]:
        """The candidates that take part, the active one first."""
        return [self.active] if self.inactive is None else [self.active, self.inactive]


class _Gated(torch.autograd.Function):
    """The active output, as ``g_active * o_active + g_inactive * o_inactive`` with gates 1 and 0.

    The inactive output is never multiplied into the result, so that an infinity in it cannot make
    the result NaN; it is met in the backward pass only, where the gates get their gradients.
    """

    @staticmethod
    def forward(ctx: Any, active: Tensor, inactive: Tensor, gates: Tensor) -> Tensor:
        ctx.save_for_backward(active, inactive)
        return active.view_as(active)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor]:
        (grad,) = grads
        return grad, None, torch.stack([(grad * output).sum() for output in ctx.saved_tensors])


class Supernet(nn.Module):
    """Every candidate of every block of a space, with architecture parameters.

    Args:
        space: the space.
        seed: of the initial weights and alphas; torch's global generator is left as found.

    Raises:
        InputError: ops whose shapes do not follow from one another.
    """

    def __init__(self, space: ChainSpace, seed: int) -> None:
        super().__init__()
        # All candidates of a block have the same shapes, so one network stands for all.
        check_chain(space.ops(space.architecture([0] * len(space.blocks))))
        self.space = space
        with seeded(seed):
            self.stem = build_chain(space.stem)
            self.blocks = nn.ModuleList(
                nn.ModuleList(build_op(candidate) for candidate in block) for block in space.blocks
            )
            self.head = build_chain(space.head)
            self.alphas = nn.ParameterList(
                nn.Parameter(_ALPHA_SPREAD * torch.randn(width)) for width in space.widths
            )

    def weight_parameters(self) -> list[nn.Parameter]:
        """All parameters but the alphas."""
        alphas = {id(alpha) for alpha in self.alphas}
        return [parameter for parameter in self.parameters() if id(parameter) not in alphas]

    def architecture_parameters(self) -> list[nn.Parameter]:
        """The alphas of the blocks that have a choice."""
        return [alpha for alpha in self.alphas if len(alpha) > 1]

    def probabilities(self) -> list[Tensor]:
        """For each block the probability of each candidate, ``(candidates,)``, differentiable."""
        return [torch.softmax(alpha, 0) for alpha in self.alphas]

    def log_probabilities(self) -> list[Tensor]:
        """For each block the natural logarithms in float64, ``(candidates,)``, detached."""
        return [torch.log_softmax(alpha.detach().double().cpu(), 0) for alpha in self.alphas]

    def sample_paths(self, generator: torch.Generator) -> list[int]:
        """One candidate of each block, drawn by the probabilities."""
        return [_drawn(scores, 1, generator)[0] for scores in self.log_probabilities()]

    def sample_pairs(self, generator: torch.Generator) -> list[Pair]:
        """Two candidates of each block without replacement, and by which of them it is active."""
        pairs: list[Pair] = []
        for scores in self.log_probabilities():
            if len(scores) == 1:
                pairs.append(Pair(0, None))
                continue
            two = _drawn(scores, 2, generator)
            first = _drawn(scores[two], 1, generator)[0]
            pairs.append(Pair(two[first], two[1 - first]))
        return pairs

    def forward(self, x: Tensor, paths: Sequence[int]) -> Tensor:
        """Run exactly one path.

        Args:
            x: images, ``(N, *space.input_shape)``.
            paths: candidate of each block.

        Returns:
            Logits, ``(N, classes)``.

        Raises:
            InputError: a path the space does not have.
        """
        choices = self.space.architecture(paths).choices
        x = self.stem(x)
        for candidates, choice in zip(self._candidates(), choices, strict=True):
            x = candidates[choice](x)
        logits: Tensor = self.head(x)
        return logits

    def forward_pairs(self, x: Tensor, pairs: Sequence[Pair]) -> tuple[Tensor, list[Tensor]]:
        """Run the active path, and make the gates of the active and inactive candidates.

        Weights are treated as constants: differentiate the logits with respect to the gates.
        Batch norm goes by this batch, and its running statistics stay as they are.

        Args:
            x: images, ``(N, *space.input_shape)``.
            pairs: of each block.

        Returns:
            Logits ``(N, classes)``, and for each block that has a choice a tensor ``(2,)`` of the
            gates of the active and the inactive candidate, valued 1 and 0.

        Raises:
            InputError: not one pair for each block.
        """
        if len(pairs) != len(self.blocks):
            raise InputError(
                f"{len(pairs)} pairs", f"{self.space.name} has {len(self.blocks)} blocks"
            )
        taking_part = [
            [candidates[member] for member in pair.members]
            for candidates, pair in zip(self._candidates(), pairs, strict=True)
        ]
        with frozen_statistics([self.stem, *itertools.chain(*taking_part), self.head]):
            return self._gated(x, taking_part)

    def _gated(
        self, x: Tensor, taking_part: Sequence[Sequence[nn.Module]]
    ) -> tuple[Tensor, list[Tensor]]:
        gates: list[Tensor] = []
        with torch.no_grad():
            x = self.stem(x)
        for active, *inactive in taking_part:
            # Before the first gate nothing is differentiated, so no graph is kept.
            with torch.set_grad_enabled(bool(gates)):
                out = active(x)
            for module in inactive:
                with torch.no_grad():
                    other = module(x)
                gates.append(torch.tensor([1.0, 0.0], device=x.device, requires_grad=True))
                out = _Gated.apply(out, other, gates[-1])  # type: ignore[no-untyped-call]  # torch leaves apply untyped
            x = out
        logits: Tensor = self.head(x)
        return logits, gates

    def _candidates(self) -> Iterator[Sequence[nn.Module]]:
        for block in self.blocks:
            yield list(block.children())


@contextmanager
def frozen_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Batch norm by the batch at hand inside, its running statistics untouched.

    For steps on validation images, whose statistics must not leak into the network.

    Args:
        modules: whose batch norms, at any depth, are meant.
    """
    norms = [
        (norm, norm.training)
        for module in modules
        for norm in module.modules()
        if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats
    ]
    try:
        for norm, _ in norms:
            norm.track_running_stats = False
            norm.training = True
        yield
    finally:
        for norm, mode in norms:
            norm.track_running_stats = True
            norm.training = mode


def _drawn(scores: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """Indices drawn without replacement by probabilities, given as logarithms ``(n,)``.

    The largest of the logarithms plus Gumbel noise (Vieira, 2014): unlike
    ``torch.multinomial`` it does not fail where all but one probability has rounded to zero.
    """
    noise = torch.empty_like(scores).exponential_(generator=generator)
    drawn: list[int] = (scores - noise.log()).topk(count).indices.tolist()
    return drawn


def gate_to_alpha(gate_gradients: Tensor, alphas: Tensor) -> Tensor:
    """Gradient of the loss with respect to alphas from the one with respect to their gates.

    ``dL/dalpha_i = sum_j dL/dg_j q_j (delta_ij - q_i)`` with ``q = softmax(alphas)``, ProxylessNAS
    equation 4.

    Args:
        gate_gradients: of the candidates that take part, ``(n,)``.
        alphas: of the same candidates, ``(n,)``.
    """
    q = torch.softmax(alphas, 0)
    return q * (gate_gradients - (q * gate_gradients).sum())


def update_alphas(
    supernet: Supernet,
    pairs: Sequence[Pair],
    gate_gradients: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step of the alphas, confined to a pair of candidates in each block.

    The two alphas of a block are shifted by one offset after the step, so that the probabilities
    of its other candidates stay as they were.

    Args:
        supernet: whose alphas are updated.
        pairs: of each block.
        gate_gradients: for each block that has a choice, gradients of the loss with respect to
            the gates of the active and the inactive candidate, ``(2,)``.
        optimizer: of :meth:`Supernet.architecture_parameters` and nothing else.

    Raises:
        DivergedError: a gradient that is not finite; names the candidates. No alpha is changed.
    """
    chosen = [
        (block, alpha, pair.members)
        for block, (alpha, pair) in enumerate(zip(supernet.alphas, pairs, strict=True))
        if pair.inactive is not None
    ]
    for (block, _, members), gradient in zip(chosen, gate_gradients, strict=True):
        if not bool(torch.isfinite(gradient).all()):
            ops = " or ".join(supernet.space.blocks[block][member].key for member in members)
            raise DivergedError(
                f"the gates of block {block} have gradients {gradient.tolist()}",
                f"{ops} gives values that are not finite",
                "a lower learning rate of the weights",
            )
    optimizer.zero_grad()
    before = [alpha.detach().clone() for _, alpha, _ in chosen]
    for (_, alpha, members), gradient in zip(chosen, gate_gradients, strict=True):
        alpha.grad = torch.zeros_like(alpha)
        alpha.grad[members] = gate_to_alpha(gradient, alpha.detach()[members])
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        for (_, alpha, members), old in zip(chosen, before, strict=True):
            new = alpha[members]
            offset = torch.logsumexp(new, 0) - torch.logsumexp(old[members], 0)
            alpha.copy_(old)
            alpha[members] = new - offset
