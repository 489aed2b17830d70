"""Keeping a fitted model: numbers as JSON, regressors by skops, never pickle.

A folder holds ``model.json`` and one ``regressor-HASH.skops`` a kind, where HASH is the start of
the file's SHA-256. ``model.json`` names the regressors by their full SHA-256 and carries its own,
so a file that was cut short or edited is told from a good one. It is written last and replaced in
one step: whoever is interrupted while saving leaves the former model whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zipfile import BadZipFile, ZipFile

import numpy as np
import skops.io
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from skops.io.exceptions import UntrustedTypesFoundException

from devices.errors import InputError, MissingModelError
from devices.files import write_at_once
from latency_models.calibration import Calibration
from latency_models.composite import CompositeModel
from latency_models.conformal import ConformalErrors
from latency_models.domain import Domain
from latency_models.features import FEATURE_SCHEMA_VERSION, predictor_names
from latency_models.lookup import LookupModel
from latency_models.metadata import ModelMetadata
from latency_models.monotone import MonotoneBounds
from latency_models.network import SumModel
from latency_models.regressors import KindRegressor, OpRegressors
from latency_models.selection import CANDIDATES, OpData, inputs
from profiler.ops import OpSpec, kinds
from profiler.table import LatencyTable

FORMAT_NAME = "lutier-latency-model"
FORMAT_VERSION = 3
MODEL_FILE = "model.json"

_KERNELS = "sklearn.gaussian_process.kernels"
# Everything a regressor is made of that skops does not trust by itself.
_TRUSTED = (
    "latency_models.estimator.LatencyRegressor",
    "latency_models.estimators.AdditiveRegressor",
    "latency_models.estimators.LogRegressor",
    *(
        f"{_KERNELS}.{name}"
        for name in ("ConstantKernel", "DotProduct", "Product", "RBF", "Sum", "WhiteKernel")
    ),
)
REMADE = frozenset({"boosting", "forest"})
"""Regressors that are made anew from the model's ops: a file of trees made to do harm would have
predictions read memory that is not theirs."""
_LARGEST_BYTES = 256 << 20

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _KindRecord(BaseModel):
    """One kind's regressor: which file, fitted on what, where it may be asked.

    One that is made anew from the ops has no file.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    errors: tuple[Finite, ...]
    predictors: tuple[str, ...]
    domain: dict[str, tuple[float, ...]]


class _Body(BaseModel):
    """What ``model.json`` says."""

    model_config = ConfigDict(extra="forbid")

    versions: dict[str, str]
    feature_schema: int
    metadata: ModelMetadata
    calibration: Calibration
    errors: tuple[Finite, ...]
    ops_ms: dict[str, Positive]
    relative_errors: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    regressors: dict[str, _KindRecord]
    counts: dict[str, int]
    min_ops: int


def save_model(directory: Path, model: SumModel, metadata: ModelMetadata) -> None:
    """Keep a fitted model; one that the folder held before is replaced in one step.

    Args:
        directory: made where it is missing.
        model: over a composite op model, as :func:`latency_models.fit.fit_latency_model` makes it.
        metadata: where it is from.

    Raises:
        InputError: the model's ops are not priced by table and regressors.
    """
    composite = model.op_model
    if not isinstance(composite, CompositeModel):
        raise InputError(
            f"a model over {type(composite).__name__} cannot be kept",
            "only one over a table and regressors can",
        )
    regressors, table = composite.regressors, composite.lookup.table
    records: dict[str, dict[str, Any]] = {}
    for kind, regressor in regressors.by_kind.items():
        digest = None
        if regressor.name not in REMADE:
            data = skops.io.dumps(regressor.estimator)
            digest = hashlib.sha256(data).hexdigest()
            write_at_once(_regressor_path(directory, digest), data)
        records[kind] = {
            "name": regressor.name,
            "sha256": digest,
            "errors": regressor.errors.logs,
            "predictors": predictor_names(kind),
            "domain": dict(regressor.domain.values),
        }
    body = {
        "versions": _versions(),
        "feature_schema": FEATURE_SCHEMA_VERSION,
        "metadata": {
            **asdict(metadata),
            "evaluation": metadata.evaluation.to_dict(),
            "uncalibrated": metadata.uncalibrated.to_dict(),
        },
        "calibration": asdict(model.calibration),
        "errors": model.errors.logs,
        "ops_ms": {spec.key: ms for spec, ms in sorted(table.ops.items())},
        "relative_errors": {
            spec.key: error
            for spec in sorted(table.ops)
            if math.isfinite(error := table.relative_error(spec))
        },
        "regressors": records,
        "counts": dict(regressors.counts),
        "min_ops": regressors.min_ops,
    }
    document = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "sha256": _digest(body),
        "body": body,
    }
    write_at_once(
        directory / MODEL_FILE, json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    )
    digests = [record["sha256"] for record in records.values() if record["sha256"]]
    current = {_regressor_path(directory, digest) for digest in digests}
    for path in set(directory.glob("regressor-*.skops")) - current:
        path.unlink(missing_ok=True)


def load_model(directory: Path) -> tuple[SumModel, ModelMetadata]:
    """Find a fitted model again.

    Raises:
        MissingModelError: there is none, or it was fitted by another version of Lutier's features
            or of scikit-learn and has to be fitted anew.
        InputError: a file is missing, cut short, edited, or holds what a model does not.
    """
    path = directory / MODEL_FILE
    if not path.is_file():
        raise MissingModelError(
            f"no latency model in {directory}", hint="lutier fit --target TARGET"
        )
    body = _read_body(path)
    record = _checked(path, body)
    try:
        ops = {OpSpec.parse(key): value for key, value in record.ops_ms.items()}
        spread = {OpSpec.parse(key): value for key, value in record.relative_errors.items()}
    except InputError as error:
        _refuse(path, str(error))
    # Facts of the machine are the store's: the metadata's id says which they were.
    table = LatencyTable.from_ops(record.metadata.target, ops, relative_errors=spread)
    regressors = OpRegressors(
        by_kind={
            kind: _kind_of(directory, kind, of, ops, record.metadata.seed)
            for kind, of in record.regressors.items()
        },
        counts=record.counts,
        min_ops=record.min_ops,
        seed=record.metadata.seed,
        scores_=record.metadata.scores,
    )
    composite = CompositeModel(LookupModel(table), regressors)
    errors = ConformalErrors(tuple(sorted(record.errors)))
    return SumModel(composite, record.calibration, errors), record.metadata


def _refuse(path: Path, why: str) -> NoReturn:
    raise InputError(
        f"{path} cannot be read as a latency model", why, "delete its folder and fit again"
    )


def _versions() -> dict[str, str]:
    """Versions of what a model file depends on."""
    found = {"python": platform.python_version()}
    for name in ("lutier", "numpy", "scikit-learn", "skops"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _regressor_path(directory: Path, digest: str) -> Path:
    return directory / f"regressor-{digest[:16]}.skops"


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            _refuse(path, f"larger than {_LARGEST_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        _refuse(path, error.strerror or type(error).__name__)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number[:20]} is too large a number")
    return value


def _read_body(path: Path) -> dict[str, Any]:
    """The body of ``model.json``, after format, version and checksum."""
    try:
        document = json.loads(_read_bytes(path), parse_constant=_not_json, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"not JSON: {str(error)[:80]}")
    if not isinstance(document, dict) or document.get("format") != FORMAT_NAME:
        _refuse(path, f"not a {FORMAT_NAME} file")
    if document.get("version") != FORMAT_VERSION:
        raise MissingModelError(
            f"the latency model in {path.parent} has format {str(document.get('version'))[:20]}",
            f"this version of Lutier reads format {FORMAT_VERSION}",
            "lutier fit --target TARGET",
        )
    body = document.get("body")
    if not isinstance(body, dict) or document.get("sha256") != _digest(body):
        _refuse(path, "its checksum does not fit: it is damaged or was edited")
    return body


def _checked(path: Path, body: dict[str, Any]) -> _Body:
    """The body as values, fit for this version of Lutier and scikit-learn."""
    try:
        record = _Body.model_validate(_with_undefined(body))
    except ValidationError as error:
        first = error.errors()[0]
        _refuse(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    if not all(map(math.isfinite, _numbers(record.calibration))):
        _refuse(path, "its calibration is not finite")
    for kind in record.regressors:
        if kind not in kinds():
            _refuse(path, f"it has a regressor of {kind[:40]!r}, which is no kind of op")
    for kind, of in record.regressors.items():
        if of.name not in CANDIDATES or (of.sha256 is None) != (of.name in REMADE):
            _refuse(path, f"its regressor of {kind} is {of.name[:40]!r}, which it cannot be")
    reasons = []
    if record.feature_schema != FEATURE_SCHEMA_VERSION:
        reasons.append(f"features of schema {record.feature_schema}, now {FEATURE_SCHEMA_VERSION}")
    reasons += [
        f"other features of {kind}"
        for kind, of in record.regressors.items()
        if of.predictors != predictor_names(kind)
    ]
    fitted_by, now = record.versions.get("scikit-learn", "unknown"), version("scikit-learn")
    if fitted_by.split(".")[:2] != now.split(".")[:2]:
        reasons.append(f"scikit-learn {fitted_by}, now {now}")
    if reasons:
        raise MissingModelError(
            f"the latency model in {path.parent} has to be fitted anew",
            f"it was fitted with {'; '.join(reasons)}",
            f"lutier fit --target {shlex.quote(record.metadata.target)}",
        )
    return record


def _numbers(calibration: Calibration) -> list[float]:
    """Every figure of a calibration but its counts."""
    figures: list[Any] = []
    for value in asdict(calibration).values():
        if isinstance(value, dict):
            figures += value.values()
        else:
            figures += value if isinstance(value, tuple) else [value]
    return [figure for figure in figures if isinstance(figure, float)]


def _with_undefined(body: dict[str, Any]) -> dict[str, Any]:
    """The body with NaN for rank correlations that were not defined, which JSON writes as null."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return body
    filled = dict(metadata)
    for name in ("evaluation", "uncalibrated"):
        if isinstance(filled.get(name), dict):
            filled[name] = {
                key: math.nan if value is None and key in ("spearman", "kendall") else value
                for key, value in filled[name].items()
            }
    return {**body, "metadata": filled}


def _check_size(data: bytes) -> None:
    """Refuse an archive that unpacks to more than it is: skops stores and does not compress."""
    with ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise BadZipFile("it unpacks to more than it is")


def _kind_of(
    directory: Path, kind: str, record: _KindRecord, ops_ms: Mapping[OpSpec, float], seed: int
) -> KindRegressor:
    """A kind's regressor, from its file or made anew from the ops."""
    chosen = sorted((spec for spec in ops_ms if spec.kind == kind), key=lambda spec: spec.key)
    if not chosen:
        _refuse(directory / MODEL_FILE, f"it has a regressor of {kind} and no such op")
    latencies_ms = np.array([ops_ms[spec] for spec in chosen])
    data = OpData.of(kind, chosen, latencies_ms)
    if record.sha256 is None:
        estimator = data.fit(record.name, seed)
    else:
        estimator = _load_estimator(directory, kind, record, record.sha256, data)
    return KindRegressor(
        record.name,
        estimator,
        Domain(kind, record.domain),
        MonotoneBounds.of(kind, chosen, latencies_ms),
        ConformalErrors(tuple(sorted(record.errors))),
    )


def _load_estimator(
    directory: Path, kind: str, record: _KindRecord, digest: str, data: OpData
) -> Any:
    path = _regressor_path(directory, digest)
    contents = _read_bytes(path)
    if hashlib.sha256(contents).hexdigest() != digest:
        _refuse(path, "its checksum does not fit: it is damaged or was edited")
    try:
        _check_size(contents)
        estimator = skops.io.loads(contents, trusted=list(_TRUSTED))
    except UntrustedTypesFoundException as error:
        _refuse(path, f"it holds types that no regressor has: {str(error)[:200]}")
    except Exception as error:  # noqa: BLE001 - whatever a file made to do harm leads skops into
        _refuse(path, f"{type(error).__name__}: {str(error)[:80]}")
    wanted = CANDIDATES[record.name](kind, 0)
    width = inputs(wanted, data.predictors, data.parts).shape[1]
    if type(estimator) is not type(wanted) or getattr(estimator, "n_features_in_", 0) != width:
        _refuse(path, f"it is not a regressor of {kind}")
    return estimator
