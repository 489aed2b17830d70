from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from striped_images import stripes
from torch import Tensor, nn

from devices.errors import DatasetError, DivergedError, InputError
from search.data import DataSource, from_dataset
from search.spaces.mobile import mobile_tiny
from search.train import (
    TrainConfig,
    build_network,
    evaluate,
    evaluating,
    scheduled,
    seeded,
    sgd,
    train,
)

CONFIG = TrainConfig(epochs=3, batch_size=16, learning_rate=0.05)


def source() -> DataSource:
    return from_dataset(stripes(96, 0), stripes(40, 1), stripes(40, 2))


def network(outputs: int = 2) -> nn.Sequential:
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, outputs)
        )


def state(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_a_network_learns_what_there_is_to_learn() -> None:
    model = network()
    result = train(model, source(), CONFIG)
    assert result.validation_accuracy > 0.95
    assert result.test_accuracy == evaluate(model, source().test)
    assert len(result.train_loss) == result.epochs == 3
    assert result.train_loss[-1] < result.train_loss[0]


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    first, second, other = network(), network(), network()
    one = train(first, source(), CONFIG)
    torch.rand(7)
    assert train(second, source(), CONFIG) == one
    assert same(state(first), state(second))
    train(other, source(), dataclasses.replace(CONFIG, seed=1))
    assert not same(state(first), state(other))


def test_training_leaves_the_global_generator_as_found() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_network(mobile_tiny(resolution=8, width=0.25), mobile_tiny_first(), 3)
    train(network(), source(), dataclasses.replace(CONFIG, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def mobile_tiny_first() -> Any:
    space = mobile_tiny(resolution=8, width=0.25)
    return space.architecture([0] * len(space.blocks))


def test_each_epoch_is_reported() -> None:
    seen: list[tuple[int, float]] = []
    result = train(network(), source(), CONFIG, on_epoch=lambda *told: seen.append(told))
    assert seen == list(enumerate(result.train_loss, 1))


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    config = dataclasses.replace(CONFIG, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) in epoch 1.*1e\+29"):
        train(network(), source(), config)


def test_bad_data_are_refused_before_the_first_step() -> None:
    model = network()
    before = state(model)
    inputs, labels = stripes(20, 0)
    one_class = from_dataset((inputs, torch.zeros_like(labels)), (inputs, labels), classes=2)
    with pytest.raises(DatasetError, match="one class only"):
        train(model, one_class, CONFIG)
    assert same(state(model), before)


def test_a_network_with_too_few_outputs_is_refused() -> None:
    three = from_dataset((stripes(30, 0)[0], torch.arange(30) % 3), stripes(10, 1))
    with pytest.raises(DatasetError, match="3 classes: the network has 2 outputs"):
        train(network(), three, CONFIG)


def test_a_network_for_other_images_is_refused() -> None:
    with pytest.raises(DatasetError, match="cannot take images of 3x8x8"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), source(), CONFIG)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": math.nan}, {"batch_size": -1}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be above zero"):
        dataclasses.replace(CONFIG, **change)


def test_evaluation_leaves_modes_and_statistics_as_found() -> None:
    model = network()
    model.train()
    model[1].eval()
    before = state(model)
    evaluate(model, source().test)
    assert [module.training for module in model] == [True, False, True, True, True]
    assert same(state(model), before)


def test_modes_come_back_after_an_exception() -> None:
    model = network()
    modes: list[bool] = []

    def fail() -> None:
        with evaluating(model):
            modes.extend(module.training for module in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not any(modes)
    assert all(module.training for module in model.modules())


def test_batch_norm_and_biases_do_not_decay() -> None:
    optimizer = sgd(network().parameters(), 0.1, 0.9, 0.5)
    decay = {
        tuple(parameter.shape): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay == {(8, 3, 3, 3): 0.5, (2, 288): 0.5, (8,): 0.0, (2,): 0.0}


def test_the_learning_rate_rises_to_its_peak_then_falls_to_zero() -> None:
    rates = [scheduled(0.4, progress / 100, rise=0.1) for progress in range(101)]
    assert max(rates) == rates[10] == pytest.approx(0.4)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.01
    assert rates[-1] == pytest.approx(0, abs=1e-12)
