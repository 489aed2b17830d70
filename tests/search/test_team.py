from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from team_search import start, trained
from torch import nn

from devices.errors import InputError
from search.augment import Augmentation, augmented
from search.proxyless_config import ProxylessConfig
from search.team import (
    ALONE,
    JointBatchNorm2d,
    Team,
    device_of_rank,
    joined,
    team_of_torchrun,
)

CONFIG: dict[str, Any] = {
    "warmup_epochs": 1,
    "search_epochs": 1,
    "batch_size": 16,
    "learning_rate": 0.05,
}


@pytest.mark.parametrize(
    "gradient",
    [
        "two",
        pytest.param("recompute", marks=pytest.mark.slow),
        pytest.param("reinforce", marks=pytest.mark.slow),
    ],
)
def test_two_processes_find_what_one_does_with_the_whole_batch(
    gradient: str, tmp_path: Path
) -> None:
    config = {**CONFIG, "gradient": gradient}
    processes = start(2, tmp_path, **config)
    alone = trained(ProxylessConfig(**config))
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    expected = alone.supernet.state_dict()
    assert first["supernet"].keys() == second["supernet"].keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(first["supernet"][name], second["supernet"][name]), name
        is_alpha = name.startswith("alphas")
        torch.testing.assert_close(
            first["supernet"][name], value, rtol=0, atol=1e-5 if is_alpha else 1e-4, msg=name
        )
    assert first["history"] == second["history"]
    for record, ours in zip(first["history"], alone.history, strict=True):
        assert record["train_loss"] == pytest.approx(ours.train_loss, abs=1e-4)
        assert record["validation_loss"] == (
            ours.validation_loss and pytest.approx(ours.validation_loss, abs=1e-4)
        )


def test_an_interrupt_of_one_process_stops_all_after_the_same_step(tmp_path: Path) -> None:
    first, second = start(2, tmp_path, **{**CONFIG, "search_epochs": 100}, interrupt=True)
    assert [first.wait(timeout=300), second.wait(timeout=300)] == [0, 0]
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert states[0]["reached"] == states[1]["reached"] == [2, 3]


def test_each_process_changes_its_images_as_one_would_that_has_them_all() -> None:
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    how = Augmentation(crop=0.25, flip=True, cutout=0.5)
    whole = augmented(images, how, torch.Generator().manual_seed(0))
    for rank in range(3):
        generator = torch.Generator().manual_seed(0)
        part = augmented(images[rank::3], how, generator, Team(rank, 3))
        assert torch.equal(part, whole[rank::3])


def test_batches_are_shared_out_evenly_or_not_at_all() -> None:
    Team(1, 3).check_batch(6)
    with pytest.raises(InputError, match=r"a batch of 8 images for 3 processes.*a batch of 9"):
        Team(1, 3).check_batch(8)
    with pytest.raises(InputError, match="a batch of 15 images for 2 processes"):
        trained(ProxylessConfig(**{**CONFIG, "batch_size": 15}), Team(0, 2))


def test_one_process_is_a_team_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with team_of_torchrun("cpu") as team:
        assert team == ALONE
    assert team.is_first
    assert not Team(1, 2).is_first
    values = [torch.arange(3.0), torch.ones(2, 2)]
    assert team.mean_each(values) == values
    module = nn.Sequential(nn.BatchNorm2d(3))
    assert joined(module, team) is module
    assert type(module[0]) is nn.BatchNorm2d


def test_processes_that_find_no_one_are_told_how_they_are_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(InputError, match=r"WORLD_SIZE is 2.*torchrun --nproc-per-node 2"),
        team_of_torchrun("cpu"),
    ):
        pytest.fail("there is no team")


def test_the_gpu_of_a_process_goes_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device_of_rank("cuda") == "cuda:3"
    assert (device_of_rank("cuda:1"), device_of_rank("cpu")) == ("cuda:1", "cpu")
    monkeypatch.delenv("LOCAL_RANK")
    assert device_of_rank("cuda") == "cuda:0"


@pytest.mark.parametrize("momentum", [0.1, None])
def test_joint_batch_norm_is_batch_norm(momentum: float | None, tmp_path: Path) -> None:
    x = 3 + torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        plain = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, momentum=momentum))
        # Weights near zero would leave gradients that are little but rounding.
        nn.init.orthogonal_(plain[0].weight, generator=torch.Generator().manual_seed(0))
        joint = joined(copy.deepcopy(plain), Team(0, 2))
        assert type(joint[1]) is JointBatchNorm2d
        for _ in range(2):
            found = [net(x) for net in (plain, joint)]
            torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
            for output in found:
                output.square().sum().backward()
        for (name, one), two in zip(plain.named_parameters(), joint.parameters(), strict=True):
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-3, msg=name)
        for (name, one), two in zip(plain.named_buffers(), joint.buffers(), strict=True):
            torch.testing.assert_close(one, two, msg=name)
        torch.testing.assert_close(plain.eval()(x[:1]), joint.eval()(x[:1]))
    finally:
        dist.destroy_process_group()
