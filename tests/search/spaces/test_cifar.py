from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from devices.errors import InputError
from search.spaces.cifar import proxyless_cifar
from search.spaces.registry import open_space


def test_it_is_a_pyramid_of_three_stages_on_cifar_10() -> None:
    space = proxyless_cifar()
    assert (space.name, space.input_shape, space.classes) == ("proxyless-cifar", (3, 32, 32), 10)
    shapes = [block[0].output_shape for block in space.blocks]
    assert [len(list(run)) for _, run in itertools.groupby(shapes, lambda shape: shape[1])] == [
        6
    ] * 3
    assert [size for size, _ in itertools.groupby(shapes, lambda shape: shape[1])] == [32, 16, 8]
    widths = [width for width, _ in itertools.groupby(shape[0] for shape in shapes)]
    # Where it widens, it does so by the same amount.
    assert set(np.diff(widths)) == {32}
    assert widths[-1] == 304
    assert math.log10(space.size) == pytest.approx(15.7, abs=0.05)


def test_a_block_has_every_mbconv_a_residual_block_and_nothing_where_it_may_be_skipped() -> None:
    for block in proxyless_cifar().blocks:
        kinds = [op.kind for op in block]
        assert kinds.count("mbconv") == 6
        assert kinds.count("residual_block") == 1
        may_skip = block[0].input_shape == block[0].output_shape
        assert kinds.count("identity") == int(may_skip)
        # What is skipped or widens takes turns, so that a path with residuals is always left.
    skipped = [any(op.is_free for op in block) for block in proxyless_cifar().blocks]
    assert skipped == [False, True] * 9


def test_networks_have_about_as_many_parameters_as_the_published_one() -> None:
    space = proxyless_cifar()
    generator = np.random.default_rng(0)
    counts = [sum(op.parameters for op in space.ops(space.sample(generator))) for _ in range(50)]
    # 5.7 million were published.
    assert min(counts) < 5.7e6 < max(counts)


@pytest.mark.parametrize(
    "text",
    [
        "proxyless-cifar?resolution=16&width=0.1&classes=7&depth=2-1-3",
        "proxyless-cifar?width=0.25&depth=1-1-1",
    ],
)
def test_a_network_of_any_size_runs_and_its_space_opens_by_name(text: str) -> None:
    space = open_space(text)
    assert space.name == text
    network = space.build(space.sample(np.random.default_rng(0))).eval()
    outputs = network(torch.zeros(2, *space.input_shape))
    assert outputs.shape == (2, space.classes)


def test_parameters_of_a_built_network_are_those_counted() -> None:
    space = proxyless_cifar(width=0.25)
    for seed in range(3):
        architecture = space.sample(np.random.default_rng(seed))
        built = sum(p.numel() for p in space.build(architecture).parameters())
        assert built == sum(op.parameters for op in space.ops(architecture))


def test_every_path_of_it_fits_together() -> None:
    space = proxyless_cifar(depth="3-2-1")
    for architecture in space.covering():
        ops = space.ops(architecture)
        assert all(a.output_shape == b.input_shape for a, b in itertools.pairwise(ops))


@pytest.mark.parametrize(
    "parameters", [{"resolution": 30}, {"depth": "6-6"}, {"width": 0.0}, {"classes": 1}]
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float | str]) -> None:
    with pytest.raises(InputError):
        proxyless_cifar(**parameters)  # type: ignore[arg-type]
