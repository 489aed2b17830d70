from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from striped_images import stripes

from devices.errors import BudgetError, DatasetError, DivergedError, InputError
from profiler.ops import OpSpec
from search.augment import NONE, Augmentation
from search.data import DataSource, from_dataset
from search.derive import derive
from search.expected_latency import LatencyMatrix, Limit
from search.proxyless import EpochRecord, ProxylessResult, proxyless_search
from search.proxyless_config import GRADIENTS, LOSSES, ProxylessConfig
from search.spaces.base import ChainSpace
from search.supernet import Supernet

CONFIG = ProxylessConfig(warmup_epochs=1, search_epochs=3, batch_size=16, learning_rate=0.05)


def small(name: str = "small") -> ChainSpace:
    stem = OpSpec.make("conv", (3, 8, 8), out=4, kernel=3, stride=2)
    shape = stem.output_shape
    block = (
        OpSpec.make("mbconv", shape, out=4, kernel=3, stride=1, expand=3),
        OpSpec.make("mbconv", shape, out=4, kernel=5, stride=1, expand=3),
        OpSpec.make("identity", shape),
    )
    fixed = (OpSpec.make("conv", shape, out=4, kernel=1),)
    pool = OpSpec.make("global_avg_pool", shape)
    head = (pool, OpSpec.make("linear", (4,), out=2))
    return ChainSpace(name, (stem,), (block, fixed, block, block), head)


def matrix() -> LatencyMatrix:
    choice = (1.0, 2.0, 0.0)
    return LatencyMatrix(small(), 0.5, (choice, (0.5,), choice, choice))


def source(seed: int = 0) -> DataSource:
    return from_dataset(stripes(64, seed), stripes(16, 2), stripes(32, 1), name="stripes")


def search(
    config: ProxylessConfig = CONFIG, budget_ms: float = 4.0, **more: Any
) -> ProxylessResult:
    return proxyless_search(small(), matrix(), source(), budget_ms, config, **more)


def test_the_result_is_the_likeliest_network_within_the_budget() -> None:
    result = search()
    assert result.predicted_ms <= 4.0
    assert result.predicted_ms == matrix().price([result.architecture])[0]
    assert result.argmax_ms == matrix().price([result.argmax_architecture])[0]
    assert derive(matrix(), result.log_probabilities, 4.0) == result.architecture
    assert derive(matrix(), result.log_probabilities, 1.0).choices == (2, 0, 2, 2)
    assert [sum(block) for block in result.probabilities] == pytest.approx([1] * 4)


def test_warm_up_trains_weights_only() -> None:
    warm, *rest = search().history
    assert (warm.epoch, warm.phase, warm.validation_loss) == (1, "warmup", None)
    assert warm.entropy == pytest.approx(1.0986, abs=1e-4)
    assert [record.phase for record in rest] == ["search"] * 3
    assert all(record.validation_loss is not None for record in rest)
    assert rest[-1].entropy < warm.entropy
    assert rest[-1].train_loss < warm.train_loss


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_pulls_the_expected_latency_down_to_the_budget(loss: str) -> None:
    config = dataclasses.replace(
        CONFIG, loss=loss, b=20.0, weight=20.0, search_epochs=6, alpha_learning_rate=0.3
    )
    warm, *_, last = search(config, budget_ms=2.5).history
    assert warm.expected_ms == pytest.approx(4.0, abs=0.1)
    assert last.expected_ms < 2.7


def test_the_hinge_lets_go_below_the_budget() -> None:
    config = dataclasses.replace(
        CONFIG, loss="add#hinge", search_epochs=5, weight=100.0, alpha_learning_rate=0.2
    )
    below = [search(dataclasses.replace(config, weight=weight), 6.9) for weight in (100.0, 1.0)]
    assert below[0] == below[1]
    pushed = search(dataclasses.replace(config, loss="add#linear"), 6.9)
    assert pushed.history[-1].expected_ms < below[0].history[-1].expected_ms - 1


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_every_gradient_comes_to_choices_within_the_budget(gradient: str) -> None:
    result = search(dataclasses.replace(CONFIG, gradient=gradient), 2.5)
    assert result.predicted_ms <= 2.5
    assert result.history[-1].entropy < result.history[0].entropy


def test_full_and_recompute_find_the_same_with_and_without_checkpointed_activations() -> None:
    found = [
        search(dataclasses.replace(CONFIG, gradient=gradient, checkpoint_activations=again))
        for gradient, again in (("full", False), ("recompute", False), ("recompute", True))
    ]
    assert found[0] == found[1] == found[2]


def test_each_optimizer_holds_its_own_parameters(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    search(checkpoint=path)
    kept = torch.load(path, weights_only=True)["state"]
    net = Supernet(small(), 0)
    counts = [
        sum(len(group["params"]) for group in optimizer["param_groups"])
        for optimizer in (kept["weight_optimizer"], kept["alpha_steps"]["optimizer"])
    ]
    # The fixed block has an alpha that nothing trains.
    assert counts == [len(net.weight_parameters()), len(net.architecture_parameters())]
    assert sum(counts) + 1 == len(list(net.parameters()))
    assert torch.equal(kept["supernet"]["alphas.1"], net.alphas[1])


def test_what_the_caller_gave_is_left_alone() -> None:
    space, prices, config = small(), matrix(), dataclasses.replace(CONFIG)
    proxyless_search(space, prices, source(), 4.0, config)
    assert (space, prices, config) == (small(), matrix(), CONFIG)


def server() -> LatencyMatrix:
    """A second device, on which the large kernel costs nearly as little as the small one."""
    choice = (3.0, 3.5, 0.0)
    return LatencyMatrix(small(), 1.0, (choice, (0.5,), choice, choice))


def test_a_search_for_two_devices_meets_both_budgets() -> None:
    limit = Limit(server(), 5.5)
    config = dataclasses.replace(CONFIG, search_epochs=6, alpha_learning_rate=0.3)
    result = search(config, 3.5, also=[limit])
    assert result.predicted_ms <= 3.5
    assert result.also_predicted_ms == (server().price([result.architecture])[0],)
    assert result.also_predicted_ms[0] <= 5.5
    first, *_, last = result.history
    assert first.also_expected_ms[0] > 7.0
    assert last.also_expected_ms[0] < 6.0
    alone = search(config, 3.5)
    assert alone.also_predicted_ms == ()
    assert alone.history[-1].also_expected_ms == ()


def test_a_search_for_two_devices_goes_on_and_tells_itself_from_others(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    also = [Limit(server(), 6.0)]

    def interrupt(record: EpochRecord, epochs: int) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(also=also, checkpoint=path, on_progress=interrupt)
    with pytest.raises(InputError, match=r"also_1.budget_ms was 6.0, is 7.0"):
        search(also=[Limit(server(), 7.0)], checkpoint=path)
    assert search(also=also, checkpoint=path) == search(also=also)


def test_budgets_that_cannot_be_met_together_are_said_before_anything_is_trained() -> None:
    opposite = LatencyMatrix(small(), 0.0, ((0, 0, 3.0), (0,), (0, 0, 3.0), (0, 0, 3.0)))
    with pytest.raises(BudgetError, match="together"):
        search(budget_ms=2.0, also=[Limit(opposite, 2.0)], on_progress=never)


def test_the_same_seed_finds_the_same() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert search() == search()
    assert search() != search(dataclasses.replace(CONFIG, seed=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("stop_after", "gradient", "warmup_epochs"),
    [(1, "two", 1), (2, "two", 1), (4, "two", 1), (1, "two", 2), (3, "reinforce", 1)],
)
def test_an_interrupted_search_goes_on_to_the_same_result(
    tmp_path: Path, stop_after: int, gradient: str, warmup_epochs: int
) -> None:
    config = dataclasses.replace(
        CONFIG,
        gradient=gradient,
        loss="lagrangian",
        warmup_epochs=warmup_epochs,
        search_epochs=4 - warmup_epochs,
        entropy_weight=0.1,
    )
    whole = tmp_path / "whole.pt"
    wanted = search(config, checkpoint=whole)

    def interrupt(record: EpochRecord, epochs: int) -> None:
        assert epochs == 4
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    path = tmp_path / "folder" / "search.pt"
    with pytest.raises(KeyboardInterrupt):
        search(config, checkpoint=path, on_progress=interrupt)
    epochs: list[int] = []
    found = search(
        config, checkpoint=path, on_progress=lambda record, _: epochs.append(record.epoch)
    )
    assert epochs == list(range(stop_after + 1, 5))
    assert found == wanted
    ended, unbroken = (torch.load(file, weights_only=True)["state"] for file in (path, whole))
    for name, tensor in unbroken["supernet"].items():
        assert torch.equal(ended["supernet"][name], tensor)


def test_a_checkpoint_of_another_search_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    search(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"config.seed was 0, is 1.*delete"):
        search(dataclasses.replace(CONFIG, seed=1), checkpoint=path)
    with pytest.raises(InputError, match=r"another run: budget_ms was 4.0, is 5.0"):
        search(budget_ms=5.0, checkpoint=path)
    with pytest.raises(InputError, match=r"another run: data was stripes"):
        proxyless_search(small(), matrix(), source(7), 4.0, CONFIG, checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 cut short", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "search.pt"
    path.write_bytes(contents)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        search(checkpoint=path)
    torch.save({"format": 0}, path)
    with pytest.raises(InputError, match="not a checkpoint of this version"):
        search(checkpoint=path)


def never(record: EpochRecord, epochs: int) -> None:
    raise AssertionError("nothing may be trained")


def test_a_hopeless_budget_is_said_before_anything_is_trained() -> None:
    with pytest.raises(BudgetError, match=r"the fastest is small:2022, predicted at 1.00 ms"):
        search(budget_ms=0.9, on_progress=never)


def test_data_that_do_not_fit_are_said_before_anything_is_trained() -> None:
    data = from_dataset((torch.zeros(9, 3, 9, 9), torch.arange(9) % 2), stripes(4, 0))
    with pytest.raises(DatasetError, match="images of 3x9x9"):
        proxyless_search(small(), matrix(), data, 4.0, CONFIG, on_progress=never)


def test_latencies_of_another_space_are_refused() -> None:
    with pytest.raises(InputError, match="latencies of small cannot price other"):
        proxyless_search(small("other"), matrix(), source(), 4.0, CONFIG, on_progress=never)


def test_a_budget_the_loss_cannot_take_is_said_before_anything_is_trained() -> None:
    fast = LatencyMatrix(small(), 1e-5, ((1e-5, 2e-5, 0.0), (0.0,), (0.0,) * 3, (0.0,) * 3))
    config = dataclasses.replace(CONFIG, loss="mul#log")
    with pytest.raises(InputError, match="mul#log"):
        proxyless_search(small(), fast, source(), 5e-5, config, on_progress=never)


def test_a_search_without_a_single_architecture_step_is_refused() -> None:
    config = dataclasses.replace(CONFIG, alpha_every=13)
    with pytest.raises(InputError, match="has 12 steps, so the architecture would not be trained"):
        search(config, on_progress=never)
    search(dataclasses.replace(CONFIG, alpha_every=12))


def test_a_loss_that_is_no_number_stops_the_search() -> None:
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(DivergedError, match="epoch 1"):
        search(config)


def test_a_search_that_diverges_says_what_is_kept_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "search.pt"
    written: list[bytes] = []

    def spoil(record: EpochRecord, epochs: int) -> None:
        if record.epoch == 2:
            written.append(path.read_bytes())
            data.train.tensors[0].fill_(float("nan"))  # type: ignore[attr-defined]

    data = source()
    with pytest.raises(DivergedError, match=r"epoch 3.*search\.pt keeps the search after 2 epochs"):
        proxyless_search(small(), matrix(), data, 4.0, CONFIG, checkpoint=path, on_progress=spoil)
    assert [path.read_bytes()] == written


def test_searches_under_several_budgets_share_one_warm_up(tmp_path: Path) -> None:
    warmup = tmp_path / "warmup.pt"
    config = dataclasses.replace(CONFIG, warmup_epochs=2, search_epochs=2)
    epochs: list[int] = []

    def note(record: EpochRecord, _: int) -> None:
        epochs.append(record.epoch)

    found = [search(config, budget, warmup=warmup, on_progress=note) for budget in (4.0, 2.5)]
    assert epochs == [1, 2, 3, 4, 3, 4]
    assert found == [search(config, budget) for budget in (4.0, 2.5)]
    half = (0.5, 1.0, 0.0)
    cheaper = LatencyMatrix(small(), 0.5, (half, (0.5,), half, half))
    other = proxyless_search(small(), cheaper, source(), 4.0, config, warmup=warmup)
    assert other == proxyless_search(small(), cheaper, source(), 4.0, config)
    with pytest.raises(InputError, match=r"config\.seed was 0, is 1"):
        search(dataclasses.replace(config, seed=1), warmup=warmup)


def test_weights_are_trained_on_augmented_images_where_asked() -> None:
    how = Augmentation(crop=0.25, flip=True)
    plain = search()
    assert search(dataclasses.replace(CONFIG, augmentation=NONE)) == plain
    changed = search(dataclasses.replace(CONFIG, augmentation=how))
    assert changed.history[0].train_loss != plain.history[0].train_loss
    suggested = dataclasses.replace(source(), augmentation=how)
    assert proxyless_search(small(), matrix(), suggested, 4.0, CONFIG) == plain
    asked = dataclasses.replace(CONFIG, augmentation=None)
    assert proxyless_search(small(), matrix(), suggested, 4.0, asked) == changed


def test_how_much_latency_counts_is_kept_of_every_search_epoch() -> None:
    config = dataclasses.replace(CONFIG, warmup_epochs=1, search_epochs=2, loss="lagrangian")
    warmup, *searched = search(config).history
    assert warmup.multipliers == ()
    assert all(len(record.multipliers) == 1 for record in searched)
    assert searched[0].multipliers != searched[1].multipliers
    hinge = search(dataclasses.replace(config, loss="add#hinge")).history
    assert {record.multipliers for record in hinge} == {()}
