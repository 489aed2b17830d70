from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, LutierError, UnknownNameError
from search.spaces.cifar import proxyless_cifar
from search.spaces.mobile import mobile, mobile_tiny
from search.spaces.nasbench201 import nasbench201
from search.spaces.published import PROXYLESS_MOBILE
from search.spaces.registry import (
    architecture_names,
    open_architecture,
    open_chain,
    open_space,
    space_names,
)


def test_built_in_spaces_are_listed_and_open() -> None:
    assert {"mobile", "mobile-tiny", "proxyless-cifar"} <= set(space_names())
    assert open_space("proxyless-cifar") == proxyless_cifar()
    assert open_space("nasbench201") == nasbench201()
    assert open_space("mobile") == mobile()
    assert open_space("mobile-tiny") == mobile_tiny()


@given(
    st.sampled_from(["mobile", "mobile-tiny"]),
    st.integers(8, 512),
    st.sampled_from([0.25, 0.5, 1.0, 1.4, 1 / 3, 2.00001]),
    st.integers(2, 1000),
)
def test_a_space_opens_from_its_own_name(
    name: str, resolution: int, width: float, classes: int
) -> None:
    space = open_space(f"{name}?resolution={resolution}&width={width}&classes={classes}")
    assert open_space(space.name) == space
    assert space.input_shape == (3, resolution, resolution)
    assert space.classes == classes


def test_a_chain_is_asked_for_by_what_searches_no_other_spaces() -> None:
    assert open_chain("mobile-tiny", "ProxylessNAS") == mobile_tiny()
    with pytest.raises(InputError, match="ProxylessNAS searches no other") as caught:
        open_chain("nasbench201?cells=1", "ProxylessNAS")
    assert "lutier search knas --space 'nasbench201?cells=1'" in caught.value.hint


def test_an_unknown_space_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="mobile-tiny"):
        open_space("mobil-tiny")


def test_an_unknown_parameter_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="resolution"):
        open_space("mobile?resolutoin=96")


def test_a_parameter_said_twice_is_refused() -> None:
    with pytest.raises(InputError, match="resolution twice"):
        open_space("mobile?resolution=96&resolution=128")


@pytest.mark.parametrize(
    "text",
    ["mobile?width=wide", "mobile?resolution=9.5", "mobile?classes=", "mobile?classes=1_000"],
)
def test_a_parameter_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a number"):
        open_space(text)


@given(
    st.sampled_from(["mobile", "mobile-tiny", "proxyless-cifar"]),
    st.lists(st.integers(1, 5), min_size=3, max_size=6),
    st.integers(2, 64).map(lambda n: 4 * n),
)
def test_a_space_of_any_depth_opens_from_its_own_name(
    name: str, cells: list[int], resolution: int
) -> None:
    stages = cells * 2 if name == "mobile" else cells
    depth = "-".join(map(str, stages[: 6 if name == "mobile" else 3]))
    space = open_space(f"{name}?resolution={resolution}&depth={depth}")
    assert open_space(space.name) == space


def test_published_networks_open_by_name_and_networks_by_id() -> None:
    network = open_architecture("proxyless-mobile")
    assert network == PROXYLESS_MOBILE.architecture()
    assert open_architecture(network.id) == network
    assert open_architecture("mobile-tiny:000000000").choices == (0,) * 9
    small = open_architecture("proxyless-mobile?resolution=96&classes=10")
    assert small == PROXYLESS_MOBILE.architecture(96, 10)
    assert all(open_architecture(name).choices for name in architecture_names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("proxyless-mobil", "proxyless-mobile"),
        ("proxyless-mobile?resolutoin=96", "resolution"),
        ("proxyless-mobile?width=2", "resolution"),
        ("mobil-tiny:000000000", "mobile-tiny"),
        ("mobile-tiny:00", "9 blocks"),
        ("mobile-tiny:00000000z", "candidates 0 to"),
        ("mobile-tiny:", "not an architecture"),
        ("proxyless-mobile?classes=many", "not a number"),
        ("proxyless-mobile?classes=10&classes=10", "classes twice"),
        ("", "unknown published network"),
    ],
)
def test_a_network_that_is_not_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_architecture(text)


@given(st.text(max_size=30))
def test_any_query_opens_a_space_or_is_refused(query: str) -> None:
    with contextlib.suppress(LutierError):
        assert open_space(f"mobile-tiny?{query}").blocks
