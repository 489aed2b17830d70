"""The folder a search leaves behind: ``result.json`` and ``weights.pt``."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from devices.errors import ArtifactError, InputError
from devices.files import write_at_once
from devices.target import Target
from lutier.terminal import to_json
from profiler.jobs import Job
from search.architecture import Architecture
from search.spaces.base import SearchSpace
from search.spaces.registry import open_space

RESULT_FILE = "result.json"
WEIGHTS_FILE = "weights.pt"


class SearchResult(BaseModel):
    """What a search found, as it stands in ``result.json``.

    Attributes:
        method: ``proxyless``, ``knas`` or the name of a strategy.
        architecture: id of the network.
        space: the space's canonical string.
        target: what it was searched for.
        environment_id: of the machine that measured it.
        data: what it was trained on.
        budget_ms: latency it must not exceed.
        predicted_ms: by the latency model.
        measured_ms: median on the device, of the trained network.
        measured_interval_ms: 95 % confidence interval of that median.
        drift: how much longer ops took then than when the table was measured; 1 is the same.
        accuracy: share of the test split classified correctly.
        validation_accuracy: the same of the validation split, which networks were chosen by.
        seed: of everything drawn at random.
        artifact_sha256: of the model file that was measured.
        details: of the method: settings, history, rounds, candidates.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    architecture: str
    space: str
    target: str
    environment_id: str
    data: str
    budget_ms: float = Field(gt=0)
    predicted_ms: float
    measured_ms: float
    measured_interval_ms: tuple[float, float]
    drift: float | None
    accuracy: float
    validation_accuracy: float
    seed: int
    artifact_sha256: str
    seconds: float
    lutier_version: str
    details: dict[str, Any]

    @property
    def is_within_budget(self) -> bool:
        """Whether the measured median is within the budget."""
        return self.measured_ms <= self.budget_ms

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures, and the network block by block."""
        from lutier.plots.notebook import result_html

        return result_html(self)

    def load_space(self) -> SearchSpace:
        """The space the network is of."""
        return open_space(self.space)

    def load_architecture(self) -> Architecture:
        """The network, checked against its space."""
        return self.load_space().check(Architecture.parse(self.architecture))

    def load_target(self) -> Target:
        """The target it was searched for."""
        return Target.parse(self.target)


def save_result(folder: Path, result: SearchResult, weights: dict[str, Any]) -> None:
    """Write the weights, then the result: a folder with a result is whole."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    write_at_once(folder / WEIGHTS_FILE, buffer.getvalue())
    write_result(folder, result)


def write_result(folder: Path, result: SearchResult) -> None:
    """Write ``result.json``."""
    text = json.dumps(to_json(result.model_dump()), indent=2)
    write_at_once(folder / RESULT_FILE, text + "\n")


def load_result(folder: Path) -> SearchResult:
    """Read ``result.json``.

    Raises:
        InputError: there is none, or it is not one.
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        raise InputError(
            f"no {RESULT_FILE} in {folder}",
            "a finished search leaves one",
            f"lutier search proxyless ... --out {folder}",
        )
    return read_result(path)


def read_result(path: Path) -> SearchResult:
    """Read a file that holds what a ``result.json`` does, whatever its name.

    Raises:
        InputError: it is not one, or cannot be read.
    """
    try:
        return SearchResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is not a result", f"{where}: {first['msg']}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read", str(error)[:200]) from error


def load_network(folder: Path, result: SearchResult) -> nn.Module:
    """The trained network, in evaluation mode.

    Raises:
        ArtifactError: the weights are missing, cut, or of another network.
    """
    network = result.load_space().build(result.load_architecture())
    path = folder / WEIGHTS_FILE
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise ArtifactError(
            f"cannot use the weights in {path}",
            str(error).partition("\n")[0][:300],
            "the search again, with the same --out",
        ) from error
    return network.eval()


def network_job(folder: Path, result: SearchResult) -> Job:
    """The job of measuring the trained network."""
    network = load_network(folder, result)
    return Job(result.architecture, "network", lambda: network, result.load_space().input_shape)
