"""Published networks against the figures that were published of them."""

from __future__ import annotations

import pytest
import torch

from devices.errors import InputError, UnknownNameError
from profiler.ops import OpSpec
from search.spaces.published import (
    MOBILENET_V2,
    PROXYLESS_CPU,
    PROXYLESS_GPU,
    PROXYLESS_MOBILE,
    PROXYLESS_MOBILE_14,
    PUBLISHED,
    PublishedNetwork,
    published,
)

NETWORKS = pytest.mark.parametrize("network", PUBLISHED.values(), ids=PUBLISHED)


def ops(network: PublishedNetwork) -> tuple[OpSpec, ...]:
    return network.space().ops(network.architecture())


@NETWORKS
def test_parameters_are_exactly_the_published_ones(network: PublishedNetwork) -> None:
    # imgclsmob: 4,080,512, 6,857,568, 4,361,648 and 7,119,848; torchvision: 3,504,872.
    assert sum(op.parameters for op in ops(network)) == network.parameters


@pytest.mark.parametrize("network", [PROXYLESS_MOBILE, PROXYLESS_MOBILE_14, MOBILENET_V2])
def test_multiply_accumulates_are_those_that_the_authors_publish(
    network: PublishedNetwork,
) -> None:
    # The README of mit-han-lab/proxylessnas gives 320, 581 and 300 million, without a fraction.
    assert sum(op.flops for op in ops(network)) / 2e6 == pytest.approx(network.mega_macs, abs=1)


@pytest.mark.parametrize("network", [PROXYLESS_CPU, PROXYLESS_GPU])
def test_multiply_accumulates_are_a_little_below_a_count_that_holds_batch_norm(
    network: PublishedNetwork,
) -> None:
    # imgclsmob counts batch norm and activations too: of the networks above its figures, 332.46
    # and 597.10 million, are 3 and 4 % above their authors'.
    assert 0.95 < sum(op.flops for op in ops(network)) / 2e6 / network.mega_macs < 0.98


def test_the_phone_s_network_is_the_one_in_its_authors_trace() -> None:
    # logs/proxyless_mobile_10_latency.txt: up_E-ks_K-st_S-id_I of the blocks that were run.
    trace = (
        "1-3-1-0 3-5-2-0 3-3-1-1 3-7-2-0 3-3-1-1 3-5-1-1 3-5-1-1 6-7-2-0 3-5-1-1 3-5-1-1 3-5-1-1"
        " 6-5-1-0 3-5-1-1 3-5-1-1 3-5-1-1 6-7-2-0 6-7-1-1 3-7-1-1 3-7-1-1 6-7-1-0"
    )
    blocks = [
        f"{op['expand']}-{op['kernel']}-{op['stride']}-{int(op.input_shape == op.output_shape)}"
        for op in ops(PROXYLESS_MOBILE)
        if op.kind == "mbconv"
    ]
    assert blocks == trace.split()


@NETWORKS
def test_a_published_network_is_one_of_a_mobile_space_at_any_resolution(
    network: PublishedNetwork,
) -> None:
    architecture = network.architecture(96, 10)
    space = network.space(96, 10)
    assert space.check(architecture) is architecture
    assert space.input_shape == (3, 96, 96)
    # The same choices, whatever the size of the images.
    assert architecture.choices == network.architecture().choices


def test_one_is_built_with_as_many_parameters_and_runs() -> None:
    network = PROXYLESS_GPU.space(64, 10).build(PROXYLESS_GPU.architecture(64, 10)).eval()
    fewer = 1728 * 990 + 990
    assert sum(p.numel() for p in network.parameters()) == PROXYLESS_GPU.parameters - fewer
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


def test_an_unknown_network_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="proxyless-mobile"):
        published("proxyless-mobil")


def test_a_resolution_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="8 to 4096"):
        PROXYLESS_CPU.architecture(4)
