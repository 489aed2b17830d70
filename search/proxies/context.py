"""What proxies are computed from: a network, a batch, and passes that several proxies share.

A pass is run when the first proxy asks for it, and kept. Batch norm normalises by the statistics of
the batch, which are differentiated, as in training; dropout is off. The network is left as it was:
its mode, its buffers, its gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from devices.errors import InputError
from search.gradient_kernel import mean_gram_parts
from search.modes import BatchNormMode, check_has_variance, evaluating

Norms = Literal["batch", "removed"]
_WEIGHTED = (nn.Conv2d, nn.Linear)
_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish)


@dataclass(frozen=True)
class Trace:
    """What one forward pass left behind, the graph of its gradients included.

    Attributes:
        inputs: of the network, shape ``(n, C, H, W)``; can be differentiated by.
        logits: shape ``(n, classes)``.
        convolutions: output of each convolution in order of execution, ``(n, C, H, W)``.
        patterns: for each rectifier in order of execution, where its output is above 0, shape
            ``(n, units)``.
        blocks: outputs of the network's parts in order, ``(n, C, H, W)`` each, but for parts of
            batch norm and rectifiers alone; of none where the network is no ``nn.Sequential``.
    """

    inputs: Tensor
    logits: Tensor
    convolutions: tuple[Tensor, ...]
    patterns: tuple[Tensor, ...]
    blocks: tuple[Tensor, ...]


@dataclass(frozen=True)
class LossGradients:
    """Gradients of the mean cross-entropy of the batch.

    Attributes:
        weights: of each weight of :attr:`ScoreContext.weights`, zeros where it has no part.
        convolutions: of each output in :attr:`Trace.convolutions`.
    """

    weights: tuple[Tensor, ...]
    convolutions: tuple[Tensor, ...]


class ScoreContext:
    """A network and a batch, and what several proxies need of them.

    Args:
        model: maps ``(n, C, H, W)`` to logits ``(n, classes)``.
        inputs: the batch, shape ``(n, C, H, W)``.
        targets: class indices, shape ``(n,)``.
        seed: of what a proxy draws itself.
        label: how errors call the network.

    Raises:
        InputError: inputs and targets that are no batch of two images or more.
    """

    def __init__(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, seed: int = 0, label: str = ""
    ) -> None:
        if inputs.ndim != 4 or len(inputs) < 2 or targets.shape != inputs.shape[:1]:
            raise InputError(
                f"inputs {tuple(inputs.shape)} with targets {tuple(targets.shape)}",
                "a proxy wants (n, C, H, W) and (n,), n at least 2",
            )
        self.model = model
        self.inputs = inputs
        self.targets = targets
        self.seed = seed
        self.label = label or type(model).__name__
        self.shared_seconds: dict[str, float] = {}

    def generator(self) -> torch.Generator:
        """A generator of the context's seed, the same anew at each call."""
        return torch.Generator().manual_seed(self.seed)

    def noise(self, *shape: int) -> Tensor:
        """Standard normal numbers of the context's seed, where the inputs are."""
        return torch.randn(*shape, generator=self.generator()).to(self.inputs)

    def fail(self, why: str) -> InputError:
        """The error of a network that has no score."""
        return InputError(f"{self.label} has no score", why)

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """Weights of convolutions and linear layers that require a gradient.

        Raises:
            InputError: there are none.
        """
        found = [m.weight for m in self.model.modules() if isinstance(m, _WEIGHTED)]
        weights = tuple(weight for weight in found if weight.requires_grad)
        if not weights:
            raise self.fail("no convolution or linear layer has a weight to differentiate by")
        return weights

    @cached_property
    def trace(self) -> Trace:
        """A forward pass of the batch."""
        with self._shared("forward"):
            return self.traced(self.inputs)

    @cached_property
    def loss(self) -> Tensor:
        """Mean cross-entropy of the batch, a scalar with its graph."""
        return self.loss_of(self.trace.logits, self.targets)

    @cached_property
    def loss_gradients(self) -> LossGradients:
        """Gradients of the loss by weights and by what convolutions put out.

        Raises:
            InputError: none reaches a weight, or one that is not finite.
        """
        outputs, loss = self.trace.convolutions, self.loss
        with self._shared("loss backward"):
            found = self.gradients(loss, (*self.weights, *outputs))
        weights = len(self.weights)
        return LossGradients(self.checked(found[:weights]), found[weights:])

    @cached_property
    def logit_gradients(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gradients of the sum of all logits by the inputs, ``(n, C, H, W)``, and by weights."""
        trace = self.trace
        with self._shared("logits backward"):
            by_inputs, *by_weights = self.gradients(
                trace.logits.sum(), (trace.inputs, *self.weights)
            )
        return by_inputs, tuple(by_weights)

    @cached_property
    def half_gradients(self) -> tuple[Tensor, ...]:
        """Gradients of the mean cross-entropy of each half of the batch, each half on its own.

        Returns:
            Of each weight of :attr:`weights`, shape ``(2, numbers)``.

        Raises:
            InputError: fewer than four images, no gradient that reaches a weight, or one that is
                not finite.
        """
        if len(self.inputs) < 4:
            raise self.fail("its batch has fewer than four images: no two halves to compare")
        with self._shared("halves"):
            of_half = []
            for inputs, targets in zip(self.inputs.chunk(2), self.targets.chunk(2), strict=True):
                loss = self.loss_of(self.forward(inputs), targets)
                of_half.append(self.checked(self.gradients(loss, self.weights)))
            return tuple(
                torch.stack([g.flatten() for g in layer]) for layer in zip(*of_half, strict=True)
            )

    @cached_property
    def kernel(self) -> dict[str, float]:
        """Shares of the parameters in the gradient kernel, batch norm frozen."""
        with self._shared("gradient kernel"):
            return mean_gram_parts(self.model, self.inputs)

    def traced(self, inputs: Tensor) -> Trace:
        """A forward pass of other inputs, shape ``(n, C, H, W)``."""
        convolutions: list[Tensor] = []
        patterns: list[Tensor] = []
        blocks: list[Tensor] = []

        def keep_pattern(_: nn.Module, __: Any, output: Tensor) -> None:
            patterns.append((output.detach() > 0).flatten(1))

        def keep_convolution(_: nn.Module, __: Any, output: Tensor) -> None:
            convolutions.append(output)

        def keep_block(_: nn.Module, __: Any, output: Tensor) -> None:
            if output.ndim == 4:
                blocks.append(output)

        hooks: list[tuple[nn.Module, Callable[..., None]]] = []
        for module in self.model.modules():
            if isinstance(module, _RECTIFIERS):
                hooks.append((module, keep_pattern))
            if isinstance(module, nn.Conv2d):
                hooks.append((module, keep_convolution))
        if isinstance(self.model, nn.Sequential):
            hooks += [(part, keep_block) for part in self.model if _is_block(part)]
        leaf = inputs.detach().clone().requires_grad_()
        handles = [module.register_forward_hook(hook) for module, hook in hooks]
        try:
            logits = self.forward(leaf)
        finally:
            for handle in handles:
                handle.remove()
        return Trace(leaf, logits, tuple(convolutions), tuple(patterns), tuple(blocks))

    def forward(
        self,
        inputs: Tensor,
        norms: Norms = "batch",
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits ``(n, classes)`` with their graph.

        Args:
            inputs: shape ``(n, C, H, W)``.
            norms: whether batch norm normalises by the batch, or hands on what it is given.
            parameters: by name, in place of the network's own.

        Raises:
            InputError: the network gives something else.
        """
        with evaluating(self.model), torch.enable_grad(), _Norms(norms):
            logits = torch.func.functional_call(self.model, dict(parameters or {}), (inputs,))
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(inputs):
            raise self.fail(f"it does not give logits ({len(inputs)}, classes)")
        if not bool(logits.isfinite().all()):
            raise self.fail("its outputs are not finite")
        return logits

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy, a scalar.

        Raises:
            InputError: a target beyond the classes.
        """
        if int(targets.min()) < 0 or int(targets.max()) >= logits.shape[1]:
            raise self.fail(
                f"targets from {int(targets.min())} to {int(targets.max())}, "
                f"and it has {logits.shape[1]} classes"
            )
        return F.cross_entropy(logits, targets)

    def gradients(
        self, scalar: Tensor, by: Sequence[Tensor], *, create_graph: bool = False
    ) -> tuple[Tensor, ...]:
        """Gradients of a scalar, zeros where it does not depend on what it is differentiated by."""
        if not scalar.requires_grad:
            raise self.fail("its output depends on no parameter")
        return torch.autograd.grad(
            scalar,
            tuple(by),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )

    def checked(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return gradients by weights, or raise :class:`InputError` where they say nothing."""
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            raise self.fail("a gradient is not finite")
        if not any(bool(gradient.any()) for gradient in gradients):
            raise self.fail("no gradient reaches a weight")
        return gradients

    @contextmanager
    def _shared(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.shared_seconds[name] = time.perf_counter() - start


def _is_block(part: nn.Module) -> bool:
    """Whether a part does more than norm and rectify what the one before it gave."""
    leaves = [module for module in part.modules() if not list(module.children())]
    return not all(isinstance(leaf, (nn.BatchNorm2d, *_RECTIFIERS)) for leaf in leaves)


class _Norms(BatchNormMode):
    """Inside, batch norm normalises by its batch or not at all, and keeps no statistics."""

    def __init__(self, norms: Norms) -> None:
        super().__init__()
        self.norms = norms

    def batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if self.norms == "removed":
            # A copy: a rectifier in place would change what others read too.
            return x.clone()
        check_has_variance(x)
        return F.batch_norm(x, None, None, weight, bias, True, momentum, eps)
