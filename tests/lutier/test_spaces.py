from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from lutier import spaces
from lutier.spaces import NamedNetwork, list_networks, list_spaces, sizes
from search.spaces import registry
from search.spaces.mobile import mobile, mobile_tiny
from search.spaces.published import PUBLISHED


def test_every_space_is_listed_with_its_size_and_parameters() -> None:
    found = {each.name: each for each in list_spaces()}
    assert {"mobile", "mobile-tiny", "proxyless-cifar"} <= set(found)
    assert found["mobile"].space == mobile()
    assert found["mobile"].parameters["depth"] == "1"
    assert "21 searchable blocks" in found["mobile"].summary
    assert found["mobile-tiny"].to_dict()["networks"] == mobile_tiny().size


def test_a_plug_in_that_cannot_be_opened_is_listed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("broken", "no.such.module:space", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    found = {each.name: each for each in spaces.list_spaces()}
    assert found["broken"].space is None
    assert "No module named 'no'" in found["broken"].trouble
    assert found["broken"].to_dict()["name"] == "broken"
    assert found["mobile"].space is not None


def test_every_published_network_is_listed_with_what_it_costs() -> None:
    found = {network.name: network for network in list_networks()}
    assert set(found) == set(PUBLISHED)
    assert found["mobilenet-v2"].parameters == 3_504_872
    assert found["mobilenet-v2"].mega_macs == pytest.approx(300.8, abs=0.1)
    assert found["mobilenet-v2"].to_dict()["architecture"].startswith("mobile?depth=2-3-4-3-3-1")


def test_a_network_without_a_name_has_its_costs_too() -> None:
    space = mobile_tiny()
    network = NamedNetwork.of(space.architecture([0] * 9))
    assert network.parameters == sum(op.parameters for op in space.ops(network.architecture))
    assert sizes(space)["ops"] == len(space.all_ops())
