from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skops.io
from forged_models import Body, forge, plant_bytes
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from devices.errors import InputError, MissingModelError
from latency_models import persist
from latency_models.fit import CALIBRATION_NETWORKS, FittedModel, fit_latency_model
from latency_models.network import SumModel
from latency_models.persist import load_model, save_model
from latency_models.regressors import KindRegressor
from latency_models.selection import OpData
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice

Networks = list[tuple[OpSpec, ...]]


@pytest.fixture(scope="module")
def fitted(device: SimulatedDevice, networks: Networks, network_ops: list[OpSpec]) -> FittedModel:
    return fit_latency_model(device.table(network_ops), device.samples(networks), seed=0)


@pytest.fixture
def folder(tmp_path: Path, fitted: FittedModel) -> Path:
    save_model(tmp_path / "model", fitted.model, fitted.metadata)
    return tmp_path / "model"


def plant(folder: Path, estimator: object) -> None:
    """Put another object in the place of the MBConv regressor."""
    plant_bytes(folder, skops.io.dumps(estimator))


def test_a_model_comes_back_as_it_was(
    folder: Path, fitted: FittedModel, networks: Networks
) -> None:
    model, metadata = load_model(folder)
    assert metadata == fitted.metadata
    assert model.calibration == fitted.model.calibration
    np.testing.assert_array_equal(model.predict_ms(networks), fitted.model.predict_ms(networks))


def test_regressed_ops_come_back_too(folder: Path, fitted: FittedModel) -> None:
    unmeasured = OpSpec.make("mbconv", (24, 8, 8), out=24, kernel=5, stride=1, expand=4)
    model, _ = load_model(folder)
    assert model.op_model.explain([unmeasured])[0].source == "regressed"
    near, wanted = model.near(1.0), fitted.model.near(1.0)
    np.testing.assert_array_equal(
        near.contributions_ms([unmeasured]), wanted.contributions_ms([unmeasured])
    )


def test_intervals_come_back(folder: Path, fitted: FittedModel, networks: Networks) -> None:
    model, _ = load_model(folder)
    assert len(model.errors) == len(networks)
    np.testing.assert_array_equal(
        model.interval_ms(networks, 0.9), fitted.model.interval_ms(networks, 0.9)
    )
    unmeasured = OpSpec.make("mbconv", (24, 8, 8), out=24, kernel=5, stride=1, expand=4)
    np.testing.assert_array_equal(
        model.op_model.interval_ms([unmeasured]), fitted.model.op_model.interval_ms([unmeasured])
    )


@pytest.mark.parametrize("name", ["forest", "boosting", "linear", "additive"])
def test_every_regressor_comes_back(
    name: str, tmp_path: Path, fitted: FittedModel, device: SimulatedDevice
) -> None:
    composite = fitted.model.op_model
    ops = {op: ms for op, ms in composite.lookup.table.ops.items() if op.kind == "mbconv"}
    chosen = sorted(ops, key=lambda spec: spec.key)
    data = OpData.of("mbconv", chosen, np.array([ops[spec] for spec in chosen]))
    by_kind = {"mbconv": KindRegressor.fit_chosen(data, name, fitted.metadata.seed)}
    regressors = replace(composite.regressors, by_kind=by_kind)
    model = replace(fitted.model, op_model=replace(composite, regressors=regressors))
    save_model(tmp_path / "other", model, fitted.metadata)
    found, _ = load_model(tmp_path / "other")
    files = list((tmp_path / "other").glob("*.skops"))
    assert len(files) == (0 if name in persist.REMADE else 1)
    assert found.op_model.regressors.by_kind["mbconv"].name == name
    unmeasured = [
        OpSpec.make("mbconv", (24, 8, 8), out=24, kernel=kernel, expand=4) for kernel in (3, 5, 7)
    ]
    np.testing.assert_array_equal(
        found.op_model.predict_ms(unmeasured), model.op_model.predict_ms(unmeasured)
    )


@pytest.mark.parametrize(
    ("name", "sha256"), [("forest", "0" * 64), ("process", None), ("witchcraft", None)]
)
def test_a_regressor_that_cannot_be_is_refused(folder: Path, name: str, sha256: str | None) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text())
    document["body"]["regressors"]["mbconv"] |= {"name": name, "sha256": sha256}
    document["sha256"] = persist._digest(document["body"])
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="which it cannot be"):
        load_model(folder)


def test_crowding_its_pivots_and_factors_come_back(
    folder: Path, fitted: FittedModel, networks: Networks
) -> None:
    calibration = replace(
        fitted.model.calibration,
        crowding=0.3,
        kernel_ms={"mbconv/kernel=5": 0.01},
        kernel_crowding={"mbconv/kernel=5": -0.02, "linear": 0.0},
        pivot_crowding=(0.03, 0.24),
        pivot_megabytes=(0.1, 0.3),
        latency_low_ms=0.5,
        latency_high_ms=2.0,
        op_factors={op.key: 1.0 + i / 1000 for i, op in enumerate(networks[0])},
    )
    crowded = SumModel(fitted.model.op_model, calibration)
    save_model(folder, crowded, fitted.metadata)
    model, _ = load_model(folder)
    assert model.calibration == calibration
    np.testing.assert_array_equal(model.predict_ms(networks), crowded.predict_ms(networks))


def test_versions_and_measured_figures_stand_in_the_file(
    folder: Path, device: SimulatedDevice, network_ops: list[OpSpec]
) -> None:
    body = json.loads((folder / "model.json").read_text())["body"]
    assert {"python", "lutier", "numpy", "scikit-learn", "skops"} <= set(body["versions"])
    assert body["ops_ms"][network_ops[0].key] == device.table(network_ops).ops[network_ops[0]]
    assert len(body["metadata"]["calibration"]) == CALIBRATION_NETWORKS


def test_saving_again_replaces_the_former_model(
    folder: Path, fitted: FittedModel, device: SimulatedDevice, networks: Networks
) -> None:
    table = device.table(list(fitted.model.op_model.lookup.table.ops)[:-1])
    samples = [s for s in device.samples(networks) if all(op in table for op in s.ops)]
    other = fit_latency_model(table, samples, seed=1, calibration=5)
    save_model(folder, other.model, other.metadata)
    assert load_model(folder)[1] == other.metadata
    kept = {path.name for path in folder.iterdir()}
    assert len(kept) == 1 + len(other.model.op_model.regressors.by_kind)


def test_an_interrupted_save_leaves_the_former_model(
    folder: Path, fitted: FittedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = persist.write_at_once

    def interrupted(path: Path, contents: bytes | str) -> None:
        if path.name == "model.json":
            raise KeyboardInterrupt
        write(path, contents)

    monkeypatch.setattr(persist, "write_at_once", interrupted)
    plain = SumModel(fitted.model.op_model)
    with pytest.raises(KeyboardInterrupt):
        save_model(folder, plain, fitted.metadata)
    assert load_model(folder)[0].calibration == fitted.model.calibration


def test_no_model_names_the_command_that_fits_one(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError) as caught:
        load_model(tmp_path)
    assert "lutier fit" in caught.value.hint


@pytest.mark.parametrize("name", ["model.json", "regressor"])
@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_truncated_file_is_refused_in_one_line(folder: Path, name: str, keep: int) -> None:
    path = next(path for path in folder.iterdir() if path.name.startswith(name))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_regressor_is_refused(folder: Path) -> None:
    next(folder.glob("*.skops")).unlink()
    with pytest.raises(InputError, match="No such file"):
        load_model(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "other"}', "[" * 100_000, "\x00", "NaN"])
def test_a_foreign_file_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)


def test_an_edited_figure_is_refused(folder: Path) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text())
    document["body"]["calibration"]["slope"] = 0.5
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="edited"):
        load_model(folder)


def test_an_edited_regressor_is_refused(folder: Path) -> None:
    path = next(folder.glob("*.skops"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="edited"):
        load_model(folder)


def test_a_newer_format_has_to_be_fitted_anew(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 1}))
    with pytest.raises(MissingModelError, match="format 3"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body.update(feature_schema=99), "schema 99"),
        (lambda body: body["versions"].update({"scikit-learn": "0.1.2"}), "scikit-learn 0.1.2"),
        (
            lambda body: body["regressors"]["mbconv"].update(predictors=["flops"]),
            "other features of mbconv",
        ),
    ],
)
def test_a_stale_model_has_to_be_fitted_anew(
    folder: Path, change: Callable[[Body], None], reason: str
) -> None:
    forge(folder, change)
    with pytest.raises(MissingModelError, match=reason) as caught:
        load_model(folder)
    assert caught.value.hint == "lutier fit --target 'cpu/onnxruntime?threads=1'"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("ops_ms"),
        lambda body: body.update(surplus=1),
        lambda body: body["ops_ms"].update({"no op": 1.0}),
        lambda body: body["ops_ms"].update({"linear/8/out=2": -1.0}),
        lambda body: body["calibration"].update(slope="steep"),
        lambda body: body["calibration"].update(pivot_crowding=[0.1, 0.2, 0.3]),
        lambda body: body["metadata"].pop("target"),
        lambda body: body["regressors"]["mbconv"].update(sha256="../../etc"),
        lambda body: body["regressors"].update(unheard_of=body["regressors"]["mbconv"]),
    ],
)
def test_contents_that_no_model_has_are_refused(
    folder: Path, change: Callable[[Body], None]
) -> None:
    forge(folder, change)
    with pytest.raises(InputError):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slope", "nan"),
        ("per_op_ms", "inf"),
        ("crowding", "nan"),
        ("pivot_megabytes", [0.1, "-inf"]),
        ("latency_low_ms", "nan"),
        ("op_factors", {"linear/64/out=10": "nan"}),
        ("kernel_ms", {"linear": "inf"}),
        ("kernel_crowding", {"linear": "nan"}),
    ],
)
def test_a_calibration_that_is_not_finite_is_refused(
    folder: Path, name: str, value: object
) -> None:
    forge(folder, lambda body: body["calibration"].update({name: value}))
    with pytest.raises(InputError, match="not finite"):
        load_model(folder)


def test_a_number_too_large_to_be_one_is_refused(folder: Path) -> None:
    forge(folder, lambda body: body["calibration"].update(crowding=0.125))
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"crowding": 0.125', '"crowding": 1e999'))
    with pytest.raises(InputError, match="1e999"):
        load_model(folder)


def test_types_that_no_regressor_has_are_not_loaded(folder: Path) -> None:
    plant(folder, DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(InputError, match="types that no regressor has"):
        load_model(folder)


def test_another_trusted_object_is_not_taken_for_a_regressor(folder: Path) -> None:
    plant(folder, LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(InputError, match="not a regressor of mbconv"):
        load_model(folder)


def test_only_a_model_over_a_table_and_regressors_can_be_kept(
    tmp_path: Path, fitted: FittedModel
) -> None:
    with pytest.raises(InputError, match="LookupModel"):
        save_model(tmp_path, SumModel(fitted.model.op_model.lookup), fitted.metadata)
