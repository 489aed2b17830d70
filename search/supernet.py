"""All networks of a chain space in one module, one path of it run at a time.

ProxylessNAS (Cai, Zhu, Han, ICLR 2019, section 3.2). Each block holds all its candidates and one
architecture parameter alpha a candidate; ``p = softmax(alpha)``. Weights are trained on one path
drawn by ``p``, at the cost of that one network. Alphas are trained by the gates of
:mod:`search.gates`, of all candidates of a block or of two: these are drawn without replacement by
``p``, and one of them is active and makes the output. There is no mode: which path runs is an
argument, so nothing can stay behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from devices.errors import InputError
from profiler.builders.modules import build_chain, build_op, check_chain
from search.batch_norm import frozen_statistics, rerun
from search.gates import gated
from search.spaces.base import ChainSpace
from search.train import seeded

Members = tuple[int, ...]
"""Candidates of a block that take part in an alpha step; the first is active."""

# Standard deviation of the alphas at the start, as in the paper's code.
_ALPHA_SPREAD = 1e-3


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

    def sample_pairs(self, generator: torch.Generator) -> list[Members]:
        """Two candidates of each block without replacement, and by which of them it is active.

        Of a block of one candidate, that one.
        """
        pairs: list[Members] = []
        for scores in self.log_probabilities():
            if len(scores) == 1:
                pairs.append((0,))
                continue
            two = _drawn(scores, 2, generator)
            first = _drawn(scores[two], 1, generator)[0]
            pairs.append((two[first], two[1 - first]))
        return pairs

    def sample_all(self, generator: torch.Generator) -> list[Members]:
        """All candidates of each block, the active one drawn by the probabilities."""
        paths = self.sample_paths(generator)
        return [
            (active, *(other for other in range(width) if other != active))
            for active, width in zip(paths, self.space.widths, strict=True)
        ]

    def forward(self, x: Tensor, paths: Sequence[int], *, checkpointed: bool = False) -> Tensor:
        """Run exactly one path.

        Args:
            x: images, ``(N, *space.input_shape)``.
            paths: candidate of each block.
            checkpointed: make the activations inside a block again in the backward pass instead of
                keeping them: less memory, the same result and gradients.

        Returns:
            Logits, ``(N, classes)``.

        Raises:
            InputError: a path the space does not have.
        """
        choices = self.space.architecture(paths).choices
        x = _run(self.stem, x, checkpointed)
        for candidates, choice in zip(self._candidates(), choices, strict=True):
            x = _run(candidates[choice], x, checkpointed)
        logits: Tensor = self.head(x)
        return logits

    def forward_gates(
        self,
        x: Tensor,
        members: Sequence[Members],
        *,
        recompute: bool = False,
        checkpointed: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the active path, and make the gates of the candidates that take part.

        Weights are treated as constants: differentiate the logits with respect to the gates.
        Batch norm goes by this batch, and its running statistics stay as they are.

        Args:
            x: images, ``(N, *space.input_shape)``.
            members: of each block.
            recompute: run inactive candidates in the backward pass, one by one, instead of keeping
                their outputs; the gradients are the same.
            checkpointed: as in :meth:`forward`.

        Returns:
            Logits ``(N, classes)``, and for each block with more than one member a tensor
            ``(members,)`` of their gates, valued 1 for the active one and 0 for the others.

        Raises:
            InputError: not members for each block.
        """
        if len(members) != len(self.blocks):
            raise InputError(
                f"members of {len(members)} blocks",
                f"{self.space.name} has {len(self.blocks)} blocks",
            )
        taking_part = [
            [candidates[member] for member in block]
            for candidates, block in zip(self._candidates(), members, strict=True)
        ]
        gates: list[Tensor] = []
        actives = [active for active, *_ in taking_part]
        with frozen_statistics([self.stem, *actives, self.head]):
            with torch.no_grad():
                x = self.stem(x)
            for active, *inactive in taking_part:
                # Before the first gate nothing is differentiated, so no graph is kept.
                with torch.set_grad_enabled(bool(gates)):
                    out = _run(active, x, checkpointed and bool(gates))
                if inactive:
                    out, gate = gated(out, x, inactive, recompute=recompute)
                    gates.append(gate)
                x = out
            logits: Tensor = self.head(x)
        return logits, gates

    def _candidates(self) -> Iterator[Sequence[nn.Module]]:
        for block in self.blocks:
            yield list(block.children())


def _run(module: nn.Module, x: Tensor, checkpointed: bool) -> Tensor:
    output: Tensor = rerun(module, x) if checkpointed else module(x)
    return output


def _drawn(scores: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """Indices drawn without replacement by probabilities, given as logarithms ``(n,)``.

    The largest of the logarithms plus Gumbel noise (Vieira, 2014): unlike
    ``torch.multinomial`` it does not fail where all but one probability has rounded to zero.
    """
    noise = torch.empty_like(scores).exponential_(generator=generator)
    drawn: list[int] = (scores - noise.log()).topk(count).indices.tolist()
    return drawn
