from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from search.batch_norm import frozen_statistics, rerun


def block() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))


def images() -> Tensor:
    return torch.randn(5, 3, 7, 7, generator=torch.Generator().manual_seed(1))


def flags(module: nn.Module) -> list[tuple[bool, bool]]:
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    return [(norm.track_running_stats, norm.training) for norm in norms]


def statistics(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.named_buffers()}


@pytest.mark.parametrize("training", [True, False])
def test_inside_batch_norm_goes_by_the_batch_and_counts_nothing(training: bool) -> None:
    plain, frozen = block(), block().train(training)
    before, modes = statistics(frozen), flags(frozen)
    with frozen_statistics([frozen]):
        assert torch.equal(frozen(images()), plain(images()))
    after = statistics(frozen)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert flags(frozen) == modes


def test_after_an_exception_all_is_as_it_was() -> None:
    module = block().eval()
    modes = flags(module)
    with pytest.raises(RuntimeError, match="stop"), frozen_statistics([module]):
        raise RuntimeError("stop")
    assert flags(module) == modes


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_rerun_gives_what_a_plain_call_gives(training: bool, frozen: bool) -> None:
    results = []
    for call in (rerun, lambda module, x: module(x)):
        module = block().train(training)
        x = images().requires_grad_()
        with frozen_statistics([module] if frozen else []):
            out = call(module, x)
        (out**2).sum().backward()
        gradients = [p.grad for p in module.parameters()]
        results.append([out, x.grad, *gradients, *statistics(module).values()])
        assert flags(module) == [(True, training)]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_rerun_keeps_no_activations() -> None:
    kept = []
    for call in (rerun, lambda module, x: module(x)):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: (sizes.append(tensor.numel()), tensor)[1], lambda t: t
        ):
            call(block(), images())
        kept.append(sum(sizes))
    assert kept[0] < kept[1] / 2
