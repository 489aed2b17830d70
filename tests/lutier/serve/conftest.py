"""A store with hostile names in it, results beside it, and clients that ask for pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import drawn_results as made
import pytest
from served_store import EVIL, EVIL_OP, FAILED, OTHER, WORSE
from starlette.testclient import TestClient

from devices.target import Target
from lutier.serve.app import Site, make_app
from lutier.serve.guard import Door
from lutier.serve.runs import Results
from lutier.settings import Settings
from profiler.protocol import Protocol
from profiler.storage.database import MeasurementStore
from profiler.storage.reader import StoreReader

DOOR = Door(frozenset({"127.0.0.1", "localhost"}))


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``lutier.db`` and ``runs``: two tables, a target that is begun, two results."""
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder / 'lutier.db'}"
    doubtful = {made.SPACE.all_ops()[3].key: ("noisy", "drift")}
    made.fill_store(url, findings=doubtful, more={EVIL_OP: 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "op_ms", lambda i: 0.012 * (i + 1) * (1.5 if i == 7 else 1))
        made.fill_store(url, environment=OTHER)
    target, protocol = Target.parse(made.TARGET), Protocol()
    with MeasurementStore(url) as store:
        failed = store.begin(FAILED, "op", target, made.ENVIRONMENT, protocol, None)
        store.fail(failed, f"no kernel {EVIL}")
        gpu = Target.parse("cuda:0/torch")
        store.begin("linear/8/out=8", "op", gpu, made.ENVIRONMENT, protocol, None)
    made.two_runs(folder / "runs")
    made.write_result(folder / "runs" / "deep" / "er", data=WORSE, details=made.knas_details())
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "result.json").write_text('{"method": 1}')
    (folder / "result.json").write_text("{}")
    return folder


@pytest.fixture(scope="package")
def site(place: Path) -> Iterator[Site]:
    settings = Settings(db=f"sqlite:///{place / 'lutier.db'}", home=place)
    with StoreReader(settings.db_url) as store:
        yield Site(store, settings, None, Results(place / "runs"))


@pytest.fixture
def open_client(site: Site) -> Callable[..., TestClient]:
    """Gives clients of the same pages behind any door."""

    def opened(door: Door = DOOR, served: Site = site, **options: object) -> TestClient:
        app = make_app(served, door)
        return TestClient(app, base_url="http://127.0.0.1:8421", **options)  # type: ignore[arg-type]

    return opened


@pytest.fixture
def client(open_client: Callable[..., TestClient]) -> TestClient:
    return open_client()
