from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from devices.errors import InputError, UnknownNameError
from profiler.builders.modules import build_chain
from search.gradient_kernel import BatchNorm, Output, mean_gram
from search.spaces.mobile import mobile_tiny

SAMPLES = 6


def batch(seed: int, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(SAMPLES, 3, 16, 16, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(classes, (SAMPLES,), generator=generator)


def tiny_network(seed: int) -> nn.Sequential:
    """In float64: the last bit of a statistic in float32 may move a value over ReLU6's kink."""
    space = mobile_tiny(resolution=16)
    architecture = space.sample(np.random.default_rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_chain(space.ops(architecture)).double()


def with_constants_of(model: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """A copy in evaluation mode whose running statistics are those of the batch."""
    model = copy.deepcopy(model).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    stored: list[tuple[torch.Tensor, torch.Tensor]] = []

    def store(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        x = args[0].detach().transpose(0, 1).flatten(1)
        stored.append((x.mean(1), x.var(1, correction=0)))

    for norm in norms:
        norm.register_forward_pre_hook(store)
    with torch.no_grad():
        model(inputs)
    for norm, (mean, var) in zip(norms, stored, strict=True):
        norm.running_mean, norm.running_var = mean, var
        norm._forward_pre_hooks.clear()
    return model.eval()


def explicit_gram(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, output: Output
) -> torch.Tensor:
    """All inner products of per-sample gradients, by torch.func; float64, shape (n, n)."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def of_one(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(model, weights, (x[None],))
        return logits.sum() if output == "logits" else F.cross_entropy(logits, y[None])

    gradients = torch.func.vmap(torch.func.grad(of_one), (None, 0, 0))(parameters, inputs, targets)
    rows = torch.cat([gradient.flatten(1) for gradient in gradients.values()], 1).double()
    return rows @ rows.T


@pytest.mark.parametrize("output", ["logits", "loss"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_mean_of_the_explicit_gram_matrix(seed: int, output: Output) -> None:
    model, (inputs, targets) = tiny_network(seed), batch(seed)
    gram = explicit_gram(with_constants_of(model, inputs), inputs, targets, output)
    score = mean_gram(model, inputs, targets, output)
    assert score == pytest.approx(gram.mean().item(), rel=1e-9)


def test_equals_it_with_running_statistics_too() -> None:
    model, (inputs, targets) = tiny_network(0).train(), batch(0)
    model(2 * inputs + 1)
    gram = explicit_gram(copy.deepcopy(model).eval(), inputs, targets, "logits")
    score = mean_gram(model, inputs, batch_norm="running")
    assert score == pytest.approx(gram.mean().item(), rel=1e-9)


def test_the_mean_of_an_inner_product_by_hand() -> None:
    # One output w.x + b: the gradient of a sample is (x, 1), and the mean gradient (2, 3, 1).
    model = nn.Linear(2, 1)
    assert mean_gram(model, torch.tensor([[1.0, 2.0], [3.0, 4.0]])) == pytest.approx(4 + 9 + 1)


def test_the_score_does_not_depend_on_the_mode_or_the_memory_format() -> None:
    model, (inputs, _) = tiny_network(0), batch(0)
    score = mean_gram(model.train(), inputs)
    assert mean_gram(model.eval(), inputs) == score
    last = torch.channels_last
    assert mean_gram(model.to(memory_format=last), inputs.to(memory_format=last)) == pytest.approx(
        score, rel=1e-9
    )


def test_frozen_outputs_are_those_of_training_mode() -> None:
    model, (inputs, targets) = tiny_network(0).train(), batch(0)
    frozen = with_constants_of(model, inputs)
    assert torch.allclose(frozen(inputs), model(inputs), rtol=1e-9, atol=1e-9)
    assert mean_gram(model, inputs, targets, "loss") == pytest.approx(
        mean_gram(frozen, inputs, targets, "loss", "running"), rel=1e-9
    )


class Norms(nn.Module):
    """Batch norm as a function, without statistics, and over features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)
        self.linear = nn.Linear(4, 5)
        self.features = nn.BatchNorm1d(5, affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x))
        x = F.batch_norm(x, None, None, training=True)
        out: torch.Tensor = self.features(self.linear(x.amax((2, 3))))
        return out


def test_every_way_to_write_batch_norm_is_frozen() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Norms().double()
    inputs, _ = batch(0)
    # The last norm's outputs have mean 0 whatever the weights; only with constants do they not.
    assert mean_gram(model, inputs) > 1e-3
    assert model.features.num_batches_tracked == 0
    with pytest.raises(InputError, match="no running statistics"):
        mean_gram(model, inputs, batch_norm="running")


class Odd(nn.Module):
    """Fails, or answers with something that cannot be scored."""

    def __init__(self, answer: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.answer = answer
        self.double()

    def forward(self, x: torch.Tensor) -> Any:
        torch.rand(3)
        return self.answer(self.net(x))


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        "modes": [module.training for module in model.modules()],
        "tensors": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "requires": [p.requires_grad for p in model.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "random": torch.random.get_rng_state(),
        "grad_enabled": torch.is_grad_enabled(),
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for key in ("modes", "requires", "hooks", "grad_enabled"):
        assert before[key] == after[key]
    assert before["tensors"].keys() == after["tensors"].keys()
    pairs = [(tensor, after["tensors"][name]) for name, tensor in before["tensors"].items()]
    pairs += [*zip(before["grads"], after["grads"], strict=True)]
    pairs.append((before["random"], after["random"]))
    for old, new in pairs:
        assert (old is None and new is None) or torch.equal(old, new)


def crash(x: torch.Tensor) -> torch.Tensor:
    raise ZeroDivisionError


@pytest.mark.parametrize("batch_norm", ["frozen", "running"])
@pytest.mark.parametrize("answer", [lambda x: x.mean((2, 3)), crash], ids=["answers", "raises"])
def test_the_model_is_left_as_it_was(
    answer: Callable[[torch.Tensor], torch.Tensor], batch_norm: BatchNorm
) -> None:
    model = Odd(answer)
    model.train()
    model.net[2].eval()
    model.net[0].bias.requires_grad_(False)
    model.net[0].weight.grad = torch.ones_like(model.net[0].weight)
    before = state_of(model)
    try:
        assert mean_gram(model, batch(0)[0], batch_norm=batch_norm) > 0
    except ZeroDivisionError:
        assert answer is crash
    assert_same(before, state_of(model))
    x = torch.randn(4, 4, 2, 2)
    assert F.batch_norm(x, torch.zeros(4), torch.ones(4), eps=0.0).equal(x)


def test_works_where_gradients_are_off() -> None:
    model, (inputs, _) = tiny_network(0), batch(0)
    score = mean_gram(model, inputs)
    with torch.no_grad():
        assert mean_gram(model, inputs) == score


def test_only_parameters_that_require_a_gradient_count() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    assert mean_gram(model, torch.tensor([[1.0, 2.0], [3.0, 4.0]])) == pytest.approx(4 + 9)


@pytest.mark.parametrize("model", [nn.Flatten(), nn.Linear(2, 1).requires_grad_(False)])
def test_a_model_without_parameters_has_no_score(model: nn.Module) -> None:
    with pytest.raises(InputError, match="no parameter that requires a gradient"):
        mean_gram(model, torch.zeros(2, 2))


def test_an_output_that_depends_on_no_parameter_has_no_score() -> None:
    with pytest.raises(InputError, match="depends on no parameter"):
        mean_gram(Odd(lambda x: torch.zeros(len(x), 4)), batch(0)[0])


def test_a_gradient_that_is_not_finite_is_an_error_and_not_a_score() -> None:
    model = Odd(lambda x: (x - x.detach()).sqrt().mean((2, 3)))
    with pytest.raises(InputError, match=r"the gradient of net\.0\.weight is not finite"):
        mean_gram(model, batch(0)[0])


@pytest.mark.parametrize("factor", [math.inf, math.nan])
@pytest.mark.parametrize("after", [lambda x: x, torch.relu])
def test_an_output_that_is_not_finite_is_an_error_and_not_a_score(
    factor: float, after: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    model = Odd(lambda x: after(x * factor).mean((2, 3)))
    with pytest.raises(InputError, match="its outputs are not finite"):
        mean_gram(model, batch(0)[0])


@pytest.mark.parametrize(
    "answer", [lambda x: x[:2].mean((2, 3)), lambda x: x, lambda x: (x, x), lambda x: x.mean()]
)
def test_outputs_that_are_not_one_row_of_logits_a_sample_are_refused(
    answer: Callable[[torch.Tensor], Any],
) -> None:
    with pytest.raises(InputError, match=r"wants logits \(6, classes\)"):
        mean_gram(Odd(answer), batch(0)[0])


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        (None, "needs targets"),
        (torch.zeros(SAMPLES - 1, dtype=torch.long), "wants 6 class indices"),
        (torch.zeros(SAMPLES, 10), "wants 6 class indices"),
        (torch.zeros(SAMPLES), "wants 6 class indices"),
        (torch.full((SAMPLES,), 10), "has 10 classes"),
        (torch.full((SAMPLES,), -1), "has 10 classes"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: torch.Tensor | None, why: str) -> None:
    with pytest.raises(InputError, match=why):
        mean_gram(tiny_network(0), batch(0)[0], targets, "loss")


def test_a_batch_without_samples_or_variance_is_refused() -> None:
    with pytest.raises(InputError, match="at least one sample"):
        mean_gram(tiny_network(0), torch.zeros(0, 3, 16, 16))
    features = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(InputError, match="no variance"):
        mean_gram(features, torch.zeros(1, 2))


def test_an_unknown_output_or_batch_norm_shows_the_nearest() -> None:
    wrong: Any = "logit"
    with pytest.raises(UnknownNameError, match="logits"):
        mean_gram(tiny_network(0), batch(0)[0], output=wrong)
    with pytest.raises(UnknownNameError, match="frozen"):
        mean_gram(tiny_network(0), batch(0)[0], batch_norm=wrong)
