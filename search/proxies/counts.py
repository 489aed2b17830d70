"""How large a network is: what every other proxy has to beat."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from search.proxies.base import proxy
from search.proxies.context import ScoreContext

_SOURCE = "Dong and Yang, NAS-Bench-201, ICLR 2020; as proxies: Ning et al., NeurIPS 2021"


@proxy(_SOURCE)
def parameters(context: ScoreContext) -> float:
    """Number of trainable parameters.

    Raises:
        InputError: there are none.
    """
    count = sum(p.numel() for p in context.model.parameters() if p.requires_grad)
    if not count:
        raise context.fail("it has no parameter that requires a gradient")
    return float(count)


@proxy(_SOURCE)
def flops(context: ScoreContext) -> float:
    """Floating-point operations of one image, two for each multiply-accumulate.

    By the convention of ``torch.utils.flop_counter``: convolutions and products count, additions,
    pooling and batch norm do not.

    Raises:
        InputError: there are none.
    """
    # Two images: batch norm cannot do with one value a channel.
    with _Flops() as counter:
        context.forward(context.inputs[:2])
    if not counter.total:
        raise context.fail("it has no convolution and no product")
    total: float = counter.total / 2
    return total


class _Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts inside, as ``FlopCounterMode`` does, which spends most of its time on which module."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.total: float = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **kwargs, out_val=result)
        return result
