from __future__ import annotations

import dataclasses
import itertools
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from striped_images import stripes
from torch import Tensor, nn
from torch.utils.data import Dataset

import search.train as module
from devices.errors import DatasetError, DivergedError, InputError
from search.augment import Augmentation
from search.data import DataSource, from_dataset
from search.spaces.mobile import mobile_tiny
from search.train import (
    TrainConfig,
    build_network,
    evaluate,
    scheduled,
    seeded,
    set_learning_rate,
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


def test_evaluation_leaves_modes_and_statistics_as_found() -> None:
    model = network()
    model.train()
    model[1].eval()
    before = state(model)
    evaluate(model, source().test)
    assert [module.training for module in model] == [True, False, True, True, True]
    assert same(state(model), before)


class Interrupting(Dataset[tuple[Tensor, Tensor]]):
    """Training images that send this process a signal when the n-th of them is asked for."""

    def __init__(self, n: int, number: int = signal.SIGINT) -> None:
        self.images, self.labels = stripes(96, 0)
        self.left = n
        self.number = number

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return self.images[index], self.labels[index]


def dropping() -> nn.Sequential:
    """A network that draws from torch's global generator while it is trained."""
    model = network()
    model.insert(3, nn.Dropout(0.2))
    return model


FULL = dataclasses.replace(
    CONFIG, augmentation=Augmentation(0.2, True, 0.3), average_decay=0.9, label_smoothing=0.2
)
NEVER = 10**9


# 96 images are 6 steps an epoch: in the middle of the first and second, at the end of one.
@pytest.mark.parametrize("n", [40, 96 + 30, 96, 2 * 96 + 96])
def test_an_interrupted_training_goes_on_bit_for_bit(n: int, tmp_path: Path) -> None:
    data = from_dataset(Interrupting(NEVER), stripes(40, 1), stripes(40, 2))
    expected = dropping()
    wanted = train(expected, data, FULL)
    path = tmp_path / "training.pt"
    # Past the items that are looked at beforehand.
    cut = from_dataset(Interrupting(n + 96 + 1 + 96), stripes(40, 1), stripes(40, 2))
    with pytest.raises(KeyboardInterrupt):
        train(dropping(), cut, FULL, checkpoint=path)
    resumed = dropping()
    assert train(resumed, data, FULL, checkpoint=path) == wanted
    assert same(state(resumed), state(expected))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    first, second = network(), network()
    result = train(first, source(), FULL, checkpoint=path)
    told: list[int] = []
    again = train(second, source(), FULL, lambda epoch, loss: told.append(epoch), checkpoint=path)
    assert again == result
    assert told == []
    assert same(state(first), state(second))


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import importlib.util
spec = importlib.util.spec_from_file_location("test_train", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
data = module.from_dataset(
    module.Interrupting({n}, {number}), module.stripes(40, 1), module.stripes(40, 2)
)
module.train(module.dropping(), data, module.FULL, checkpoint=Path({path!r}))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_leaves_a_file_to_go_on_from(number: int, tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    tests = str(Path(__file__).parents[1])
    code = KILLED.format(
        tests=tests, file=__file__, n=2 * 96 + 1 + 96 + 30, number=int(number), path=str(path)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -number, done.stderr
    data = from_dataset(Interrupting(NEVER), stripes(40, 1), stripes(40, 2))
    expected, resumed = dropping(), dropping()
    wanted = train(expected, data, FULL)
    assert path.exists()
    assert train(resumed, data, FULL, checkpoint=path) == wanted
    assert same(state(resumed), state(expected))


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(network(), source(), CONFIG, checkpoint=path)
    with pytest.raises(
        InputError, match=r"another run: training\.learning_rate was 0\.05, is 0.06"
    ):
        train(network(), source(), dataclasses.replace(CONFIG, learning_rate=0.06), checkpoint=path)
    with pytest.raises(InputError, match="another run: network was"):
        train(
            dropping().append(nn.Identity()).append(nn.Linear(2, 2)),
            source(),
            CONFIG,
            checkpoint=path,
        )


def test_a_divergence_keeps_the_last_good_checkpoint_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    inputs, labels = stripes(96, 0)
    data = from_dataset((inputs, labels), stripes(40, 1), stripes(40, 2))
    before = b""

    def poison(epoch: int, loss: float) -> None:
        nonlocal before
        before = path.read_bytes()
        if epoch == 2:
            inputs[5] = float("inf")

    with pytest.raises(DivergedError, match=r"epoch 3.*training.pt keeps .* after 2 epochs"):
        train(network(), data, CONFIG, on_epoch=poison, checkpoint=path)
    assert path.read_bytes() == before


def test_weights_that_are_not_finite_end_the_training() -> None:
    def poison(epoch: int, loss: float) -> None:
        with torch.no_grad():
            model[1].running_var[0] = math.inf

    model = network()
    with pytest.raises(DivergedError, match=r"1\.running_var is not finite after epoch 2"):
        train(model, source(), CONFIG, on_epoch=poison)


def test_a_time_limit_ends_the_training_with_its_learning_rate_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count()
    rates: list[float] = []
    monkeypatch.setattr(module.time, "monotonic", lambda: next(ticks) / 10)
    monkeypatch.setattr(
        module,
        "set_learning_rate",
        lambda optimizer, rate: (rates.append(rate), set_learning_rate(optimizer, rate)),
    )
    config = dataclasses.replace(CONFIG, epochs=100, max_seconds=0.95, warmup_epochs=0)
    result = train(network(), source(), config)
    assert result.stopped_early
    assert result.epochs == len(result.train_loss) == 2
    assert len(rates) == 10
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.05 * rates[0]


def test_a_time_limit_that_is_not_reached_changes_nothing() -> None:
    one, other = network(), network()
    result = train(one, source(), CONFIG)
    assert train(other, source(), dataclasses.replace(CONFIG, max_seconds=1e6)) == result
    assert not result.stopped_early
    assert same(state(one), state(other))


def test_the_average_of_the_weights_is_the_network_then() -> None:
    plain, averaged = network(), network()
    train(plain, source(), CONFIG)
    result = train(averaged, source(), dataclasses.replace(CONFIG, average_decay=0.5))
    assert not same(state(plain), state(averaged))
    assert result.validation_accuracy == evaluate(averaged, source().validation) > 0.9


def test_data_suggest_an_augmentation_and_the_settings_have_the_last_word() -> None:
    def weights(suggested: Augmentation, wanted: Augmentation | None) -> list[Tensor]:
        data = from_dataset(stripes(96, 0), stripes(40, 1), augmentation=suggested)
        model = network()
        train(model, data, dataclasses.replace(CONFIG, augmentation=wanted))
        return state(model)

    plain, flipped = Augmentation(), Augmentation(flip=True)
    assert same(weights(plain, flipped), weights(flipped, None))
    assert same(weights(flipped, plain), weights(plain, None))
    assert not same(weights(flipped, None), weights(plain, None))


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match="no training on 'cuda:99'"):
        train(network(), source(), dataclasses.replace(CONFIG, device="cuda:99"))


@pytest.mark.gpu
def test_mixed_precision_learns_too() -> None:
    config = dataclasses.replace(CONFIG, device="cuda", mixed_precision=True, average_decay=0.9)
    assert train(network(), source(), config).validation_accuracy > 0.9


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
