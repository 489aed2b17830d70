from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devices.errors import InputError, LutierError, MissingExtraError, UnknownNameError
from lutier.tracking import check_tracking, tracking


class Client:
    """Stands in for MLflow's."""

    calls: list[tuple[Any, ...]]
    broken = False

    def __init__(self, tracking_uri: str) -> None:
        self.calls.append(("open", tracking_uri))

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return name

    def create_run(self, experiment: str, run_name: str) -> Any:
        self.calls.append(("run", experiment, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="7"))

    def log_param(self, *values: Any) -> None:
        self.calls.append(values)

    def log_metric(self, *values: Any, step: int) -> None:
        if self.broken:
            raise ConnectionError("gone\nand more")
        self.calls.append((*values, step))

    def set_terminated(self, *values: Any) -> None:
        self.calls.append(values)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """A stand-in for the package mlflow."""
    module = ModuleType("mlflow")
    kind = type("Own", (Client,), {"calls": []})
    module.MlflowClient = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return kind


def test_without_a_tracker_nothing_is_imported_or_sent() -> None:
    before = set(sys.modules)
    with tracking(None, "run", {"seed": 0}) as tracker:
        tracker.log({"loss": 1.0}, 1)
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {
        "mlflow",
        "tensorboard",
    }


def test_mlflow_is_told_settings_figures_and_the_end(client: type[Client]) -> None:
    with tracking("mlflow:http://here:5000", "knas mobile?a=1", {"seed": 3}) as tracker:
        tracker.log({"search/loss": 0.5, "search/nothing": None}, 2)
    assert client.calls == [
        ("open", "http://here:5000"),
        ("run", "lutier", "knas-mobile-a-1"),
        ("7", "seed", "3"),
        ("7", "search/loss", 0.5, 2),
        ("7", "FINISHED"),
    ]


def test_a_search_that_failed_is_marked(client: type[Client]) -> None:
    with pytest.raises(KeyboardInterrupt), tracking("mlflow:x", "run", {}):
        raise KeyboardInterrupt
    assert client.calls[-1] == ("7", "FAILED")


def test_a_tracker_that_fails_does_not_end_the_search(
    client: type[Client], capsys: pytest.CaptureFixture[str]
) -> None:
    client.broken = True
    with tracking("mlflow:x", "run", {}) as tracker:
        tracker.log({"loss": 1.0}, 1)
        tracker.log({"loss": 2.0}, 2)
    assert " ".join(capsys.readouterr().err.split()) == (
        "warning: no more is sent to mlflow:x: gone"
    )


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_missing_package_names_the_extra(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with (
        pytest.raises(
            MissingExtraError, match=rf"{kind} is not .*pip install 'lutier\[tracking\]'"
        ),
        tracking(f"{kind}:place", "run", {}),
    ):
        pass


def test_a_place_that_cannot_be_opened_is_said(
    client: type[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "create_run", lambda *_, **__: 1 / 0, raising=False)
    with pytest.raises(InputError, match="mlflow:x cannot be opened: division"):
        tracking("mlflow:x", "run", {}).__enter__()


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("tensorbord:x", UnknownNameError, "unknown tracker 'tensorbord'. Try: tensorboard"),
        ("mlflow", InputError, "'mlflow' does not say where to"),
        ("tensorboard:", InputError, "does not say where to"),
    ],
)
def test_a_text_that_is_no_tracker_is_refused(
    text: str, kind: type[LutierError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_tracking(text)
    check_tracking(None)


def test_tensorboard_reads_back_what_was_logged(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracking(f"tensorboard:{tmp_path}", "one", {"seed": 3}) as tracker:
        tracker.log({"search/loss": 0.5}, 1)
        tracker.log({"search/loss": 0.25}, 2)
    events = EventAccumulator(str(tmp_path / "one"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("search/loss")]
    assert found == [(1, 0.5), (2, 0.25)]


def test_mlflow_reads_back_what_was_logged(tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for value in (0.5, 0.25):
        with tracking(f"mlflow:{uri}", "one", {"seed": 3}) as tracker:
            tracker.log({"search/loss": value}, 1)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("lutier")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [run.data.metrics["search/loss"] for run in runs] == [0.25, 0.5]
    assert runs[0].data.params == {"seed": "3"}
    assert runs[0].info.status == "FINISHED"
