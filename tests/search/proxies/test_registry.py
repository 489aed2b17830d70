from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tiny_scores import context, dead

from devices.errors import InputError, UnknownNameError
from search.proxies import registry
from search.proxies.az_nas import PARTS
from search.proxies.counts import parameters
from search.proxies.registry import open_proxy, proxy_names, score


def test_every_proxy_has_a_summary_and_a_source() -> None:
    assert {"mgm", "synflow", "zico", *PARTS} <= set(proxy_names())
    for name in proxy_names():
        proxy = open_proxy(name)
        assert proxy.name == name
        assert proxy.summary.endswith((".", ".."))
        assert len(proxy.source) > 10


def test_every_proxy_scores_a_network_the_same_twice() -> None:
    one, other = (score(context(), proxy_names()) for _ in range(2))
    assert not {name: found.failure for name, found in one.items() if found.failure}
    assert {name: found.value for name, found in one.items()} == {
        name: found.value for name, found in other.items()
    }
    assert all(found.seconds >= 0 for found in one.values())


def test_a_failure_says_why_and_the_others_go_on() -> None:
    found = score(context(dead()), ["grad_norm", "parameters"])
    assert found["grad_norm"].value is None
    assert "no gradient reaches a weight" in found["grad_norm"].failure
    assert found["parameters"].value
    assert not found["parameters"].failure


def test_an_unknown_proxy_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="synflow"):
        score(context(), ["sinflow"])


def plugged(value: str) -> Any:
    return lambda group: [EntryPoint("mine", value, group)]


def test_a_plug_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", plugged("search.proxies.counts:parameters"))
    assert proxy_names()[-1] == "mine"
    assert open_proxy("mine") is parameters


def test_a_plug_in_that_is_no_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", plugged("math:sqrt"))
    with pytest.raises(InputError, match="not a Proxy"):
        open_proxy("mine")


def test_proxies_that_need_the_same_pass_run_it_once() -> None:
    found = context()
    score(found, ["zico"])
    halves = found.half_gradients
    score(found, ["zico_signed", "naswot", "jacob_cov", "snip", "fisher", "mgm", "mgm_layers"])
    assert found.half_gradients is halves
    assert list(found.shared_seconds) == [
        "halves",
        "forward",
        "logits backward",
        "loss backward",
        "gradient kernel",
    ]
