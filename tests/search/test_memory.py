from __future__ import annotations

import re

import pytest
import torch
from striped_images import stripes
from team_search import begun
from torch import Tensor, nn

from devices.errors import OutOfMemoryError
from search.data import from_dataset
from search.interrupts import Interrupts
from search.memory import within_memory
from search.proxyless_config import ProxylessConfig
from search.train import TrainConfig, train

ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError("no room"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("room", "hint"), [(17, "a batch of 16"), (1, "a smaller batch")])
def test_what_fits_is_found_by_halves(error: Exception, room: int, hint: str) -> None:
    tried = []

    def attempt(count: int) -> None:
        tried.append(count)
        if count > room:
            raise error

    with pytest.raises(OutOfMemoryError) as told:
        within_memory(lambda: attempt(64), 64, "cuda:0", attempt)
    line = str(told.value)
    assert line.startswith("a batch of 64 images does not fit in the memory of cuda:0: ")
    assert f"Try: {hint}" in line
    assert "\n" not in line
    assert tried == ([64, 32, 16] if room == 17 else [64, 32, 16, 8, 4, 2])


def test_a_step_that_fits_gives_what_it_gives_and_other_errors_stay() -> None:
    assert within_memory(lambda: 3, 8, "cpu", None) == 3
    with pytest.raises(ZeroDivisionError):
        within_memory(lambda: 1 // 0, 8, "cpu", None)
    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(lambda: _fail("shapes differ"), 8, "cpu", None)
    with pytest.raises(RuntimeError, match="something else"):
        within_memory(
            lambda: _fail("not enough memory"), 8, "cpu", lambda _: _fail("something else")
        )
    with pytest.raises(OutOfMemoryError, match="Try: a smaller batch, or another device"):
        within_memory(lambda: _fail("Not enough memory: you tried"), 8, "cpu", None)


def _fail(said: str) -> None:
    raise RuntimeError(said)


class Room(nn.Module):
    """Takes no more than so many images."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.images = images

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return x


def test_training_says_what_batch_fitted() -> None:
    data = from_dataset(stripes(64, 0), stripes(16, 2), stripes(32, 1))
    network = nn.Sequential(Room(9), nn.Flatten(), nn.Linear(3 * 64, 2))
    with pytest.raises(OutOfMemoryError, match=re.escape("Try: a batch of 8, which fitted")):
        train(network, data, TrainConfig(epochs=1, batch_size=32))


@pytest.mark.parametrize("where", ["stem", "validation"])
def test_a_search_says_what_batch_fitted_of_weights_and_of_alphas(where: str) -> None:
    config = ProxylessConfig(warmup_epochs=0, search_epochs=1, batch_size=16)
    run = begun(config)
    if where == "stem":
        run.supernet.stem = nn.Sequential(Room(5), run.supernet.stem)
    else:
        step = run.alpha_steps.step

        def limited(inputs: Tensor, *rest: object) -> float:
            Room(5).train()(inputs)
            return step(inputs, *rest)  # type: ignore[arg-type]

        run.alpha_steps.step = limited  # type: ignore[method-assign, assignment]
    with (
        Interrupts(hold=False) as interrupts,
        pytest.raises(OutOfMemoryError, match=r"a batch of 16 images.*Try: a batch of 4, which"),
    ):
        run.train_epoch(interrupts)
