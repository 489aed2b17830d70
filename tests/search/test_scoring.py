from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from small_search import small
from striped_images import stripes
from tiny_scores import dead, network
from torch import nn

from devices.errors import InputError, UnknownNameError
from search.architecture import Architecture
from search.proxies.context import ScoreContext
from search.proxies.registry import proxy_names, score
from search.scoring import DEFAULT_SCORE, Scored, ScoreRule, ScoreWork
from search.train import build_network

NAMES = ("mgm", "naswot", "ntk_condition")


def work(names: tuple[str, ...] = NAMES, **more: Any) -> ScoreWork:
    return ScoreWork(small(), names, *stripes(8, 0), **more)


def test_a_rule_is_a_proxy_or_several_by_their_ranks() -> None:
    assert ScoreRule.parse("mgm") == ScoreRule(("mgm",), "one")
    assert ScoreRule.parse("naswot + flops") == ScoreRule(("naswot", "flops"), "sum")
    assert ScoreRule.parse("naswot*flops") == ScoreRule(("naswot", "flops"), "product")
    assert ScoreRule.parse("az_nas").aggregate == "product"
    assert ScoreRule.parse("random").names == ()
    assert ScoreRule.parse(DEFAULT_SCORE).names == ("naswot", "jacob_cov", "flops")
    for name in proxy_names():
        assert ScoreRule.parse(name).names == (name,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("naswott", r"unknown score 'naswott'. Try: naswot"),
        ("naswot+jacob_conv", "jacob_cov"),
        ("naswot+", "a name is missing"),
        ("", "a name is missing"),
        ("naswot+flops*mgm", "not both"),
        ("naswot+random", "random is not combined"),
        ("az_nas+flops", "az_nas is not combined"),
        ("flops+flops", "named twice"),
    ],
)
def test_what_is_no_rule_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ScoreRule.parse(text)


def test_a_name_that_is_not_known_is_of_its_own_kind() -> None:
    with pytest.raises(UnknownNameError):
        ScoreRule.parse("magic")


def scored(**values: float | None) -> Scored:
    return Scored(values, {name: "why" for name, value in values.items() if value is None})


def test_ranks_are_combined_over_those_that_have_all_scores() -> None:
    rule = ScoreRule.parse("naswot+flops")
    networks = [
        scored(naswot=1.0, flops=10.0),
        scored(naswot=None, flops=99.0),
        scored(naswot=2.0, flops=30.0),
        scored(naswot=3.0, flops=20.0),
    ]
    assert rule.combined(networks) == pytest.approx([1 / 3, None, 5 / 6, 5 / 6])
    product = ScoreRule.parse("naswot*flops").combined(networks)
    assert product[0] == pytest.approx(math.log(1 / 3))
    assert product[1] is None
    assert ScoreRule.parse("naswot").combined(networks) == [1.0, None, 2.0, 3.0]


def test_where_less_is_better_the_order_is_turned() -> None:
    networks = [scored(ntk_condition=1.0), scored(ntk_condition=9.0)]
    better, worse = ScoreRule.parse("ntk_condition").combined(networks)
    assert better is not None
    assert worse is not None
    assert better > worse


def test_scores_are_those_of_the_network_on_the_batch() -> None:
    architecture = small().architecture((0, 1, 2))
    inputs, targets = stripes(8, 0)
    expected = [
        score(
            ScoreContext(build_network(small(), architecture, seed), inputs, targets, seed), NAMES
        )
        for seed in (4, 5)
    ]
    found = work(seed=4, repeats=2)(architecture)
    for name in NAMES:
        values = [one[name].value for one in expected]
        assert found.values[name] == pytest.approx(sum(v or 0 for v in values) / 2, rel=1e-4)
    assert found.failure == ""


def test_threads_change_nothing_and_are_left_as_they_were() -> None:
    architecture = small().architecture((0, 1, 0))
    torch.set_num_threads(1)
    alone = work()(architecture)
    torch.set_num_threads(2)
    assert work()(architecture) == alone
    assert torch.get_num_threads() == 2


@dataclass(frozen=True)
class Given:
    """A space of one network, whatever that is."""

    model: nn.Module

    def build(self, architecture: Architecture) -> nn.Module:
        return self.model


def of(model: nn.Module, names: tuple[str, ...]) -> Scored:
    inputs = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    given = ScoreWork(Given(model), names, inputs, torch.tensor([0, 1, 2, 0]))  # type: ignore[arg-type]  # only built
    return given(Architecture("given", (0,)))


def test_a_model_without_parameters_is_a_failure() -> None:
    found = of(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), ("mgm", "parameters", "snip"))
    assert set(found.values.values()) == {None}
    assert "no parameter" in found.failures["parameters"]
    assert ScoreRule.parse("mgm").combined([found, scored(mgm=0.0)]) == [None, 0.0]


def test_a_model_without_batch_norm_has_scores() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    found = of(model, ("mgm", "naswot", "jacob_cov", "flops"))
    assert not found.failures
    assert all(value is not None and math.isfinite(value) for value in found.values.values())


def test_gradients_that_are_no_numbers_are_a_failure() -> None:
    model = network().float()
    with torch.no_grad():
        model[-1].weight.fill_(math.nan)
    found = of(model, ("mgm", "grad_norm", "jacob_cov"))
    assert set(found.values.values()) == {None}
    assert found.failure.count(":") >= 3


def test_a_dead_network_fails_where_gradients_count_and_not_elsewhere() -> None:
    found = of(dead().float(), ("grad_norm", "flops"))
    assert found.values["grad_norm"] is None
    assert found.values["flops"] is not None
    assert "no gradient reaches a weight" in found.failure
    assert ScoreRule.parse("grad_norm+flops").combined([found]) == [None]
