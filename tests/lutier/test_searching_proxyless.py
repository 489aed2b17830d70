"""What a search for several targets says before it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recorded_machine import NETWORKS, SPACE, record

from devices.errors import BudgetError, InputError, MissingError
from devices.target import Target
from lutier import searching_proxyless
from lutier.cli.profiling import run_profile
from lutier.modelling import fit_models
from lutier.searching import Request
from lutier.searching_proxyless import parse_also, search_proxyless
from lutier.settings import Settings
from search.proxyless_config import ProxylessConfig


def target_of(file: Path) -> Target:
    return Target.parse(f"replay:{file}/onnxruntime")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Two recorded machines, of which the first has a table and a model; nothing may be trained."""
    for name, factor in (("phone", 1.0), ("server", 0.5)):
        record(tmp_path / f"{name}.json", factor, name)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(searching_proxyless, "proxyless_search", never)
    phone, server = (target_of(tmp_path / f"{name}.json") for name in ("phone", "server"))
    also = ((server, 0.5),)
    return Request(phone, SPACE.name, "digits", 1.0, 0, tmp_path / "out", 1, quiet=True, also=also)


@pytest.fixture
def settings(tmp_path: Path, request_: Request) -> Settings:
    settings = Settings(
        home=tmp_path, db=f"sqlite:///{tmp_path / 'l.db'}", networks=NETWORKS, min_seconds=0
    )
    prepare(settings, request_.target)
    return settings


def prepare(settings: Settings, target: Target) -> None:
    run_profile(settings, target, SPACE.name, quiet=True)
    fit_models(settings, target, calibration=20)


def test_a_further_target_is_written_with_its_budget() -> None:
    assert parse_also("cpu/onnxruntime?threads=4=1.5ms") == (
        Target.parse("cpu/onnxruntime?threads=4"),
        1.5,
    )
    assert parse_also("cpu/torch=800us") == (Target.parse("cpu/torch"), 0.8)


@pytest.mark.parametrize("text", ["cpu/torch", "=1ms", "cpu/onnxruntime?threads=", ""])
def test_a_further_target_without_a_budget_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="TARGET=BUDGET"):
        parse_also(text)


def test_a_further_target_without_a_table_fails_before_anything_is_trained(
    settings: Settings, request_: Request
) -> None:
    with pytest.raises(MissingError, match=r"server\.json"):
        search_proxyless(settings, request_, ProxylessConfig())


def test_a_hopeless_budget_on_a_further_target_fails_before_anything_is_trained(
    settings: Settings, request_: Request
) -> None:
    ((server, _),) = request_.also
    prepare(settings, server)
    with pytest.raises(BudgetError, match="the fastest is"):
        search_proxyless(settings, replace(request_, also=((server, 1e-3),)), ProxylessConfig())
    with pytest.raises(AssertionError, match="nothing may be trained"):
        search_proxyless(settings, request_, ProxylessConfig())
