"""Every page: what it says as HTML, as JSON, as a file, and where it leads."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import drawn_results as made
import pytest
from html_elements import Elements
from served_store import EVIL_OP, FAILED, FIRST, OTHER, SECOND, SLOWER
from starlette.testclient import TestClient

from devices.target import Target
from lutier.serve.app import Site
from lutier.serve.runs import Results
from lutier.settings import Settings
from profiler.protocol import Protocol
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from profiler.storage.reader import StoreReader

VOID = {"meta", "link", "input", "br", "rect", "line", "path"}


def ask(client: TestClient, path: str, **values: str) -> dict[str, Any]:
    answer = client.get(path, params={**values, "format": "json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def show(client: TestClient, path: str, **values: str) -> str:
    answer = client.get(path, params=values)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


# Devices


def test_devices_say_what_was_measured_and_how_sound_it_is(client: TestClient) -> None:
    found = ask(client, "/")
    assert found["total"] == 3
    by_id = {(each["target"], each["environment_id"]): each for each in found["tables"]}
    first = by_id[made.TARGET, made.ENVIRONMENT.id]
    ops = len(made.SPACE.all_ops()) + 1
    assert first["measured"] == {"op": ops, "network": 3}
    assert (first["failures"], first["judged"], first["sound"]) == (1, ops + 3, ops + 2)
    assert first["environment"] == made.ENVIRONMENT.to_dict()
    begun = by_id["cuda:0/torch?threads=1", made.ENVIRONMENT.id]
    assert (begun["measuring"], begun["last_measured"]) == (1, None)


def test_devices_are_found_by_a_fact(client: TestClient) -> None:
    (only,) = ask(client, "/", q="CORES 8")["tables"]
    assert only["environment_id"] == OTHER.id
    assert "no tables" in show(client, "/", q="nothing like it")


def test_an_empty_store_says_how_to_fill_it(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    MeasurementStore(url).close()
    with StoreReader(url) as store:
        empty = replace(site, store=store, settings=Settings(db=url), results=None)
        client = open_client(served=empty)
        assert "lutier profile --space mobile-tiny" in show(client, "/")
        assert "0 tables; two are needed" in show(client, "/diff")
        assert "lutier serve --runs DIR" in show(client, "/runs")


# Tables


def test_a_table_lists_its_rows_the_slowest_first(client: TestClient) -> None:
    rows = ask(client, "/table", target=FIRST)["rows"]
    latencies = [row["latency_ms"] for row in rows]
    assert latencies == sorted(latencies, reverse=True)
    assert len(rows) == len(made.SPACE.all_ops()) + 1 + 3
    assert {row["role"] for row in rows} == {"op", "network"}
    assert all(row["ci_low_ms"] <= row["median_ms"] <= row["ci_high_ms"] for row in rows)


def test_a_target_alone_is_its_table_measured_last(client: TestClient) -> None:
    assert ask(client, "/table", target=made.TARGET)["environment_id"] == OTHER.id


@pytest.mark.parametrize("sort", ["key", "-key", "latency_ms", "-median_ms", "split_half"])
def test_rows_are_sorted_by_any_column(client: TestClient, sort: str) -> None:
    found = ask(client, "/table", target=FIRST, sort=sort)
    values = [row[sort.removeprefix("-")] for row in found["rows"]]
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert found["sort"] == sort


def test_rows_are_chosen_by_key_role_kind_and_verdict(client: TestClient) -> None:
    def keys(**values: str) -> set[str]:
        return {row["key"] for row in ask(client, "/table", target=FIRST, **values)["rows"]}

    doubtful = made.SPACE.all_ops()[3].key
    assert keys(verdict="doubtful") == keys(verdict="noisy") == {doubtful}
    assert keys(verdict="unjudged") == set()
    assert len(keys(verdict="sound")) == len(keys()) - 1
    assert len(keys(role="network")) == 3
    assert {key.partition("/")[0] for key in keys(kind="mbconv")} == {"mbconv"}
    assert keys(kind="linear", q="LINEAR") == keys(q="linear/")
    assert keys(q=".*") == set()


def test_a_kind_is_drawn_as_maps_whose_cells_lead_to_ops(client: TestClient) -> None:
    page = show(client, "/table", target=FIRST, kind="mbconv")
    assert "mbconv on 16x16" in page
    assert 'class="mark"' in page
    cells = re.findall(r'<td class="h\d"[^>]*><a href="(/op\?[^"]+)"', page)
    assert len(cells) >= 20
    assert client.get(cells[0].replace("&amp;", "&")).status_code == 200
    assert "Maps of" not in show(client, "/table", target=FIRST)


def test_a_table_says_what_could_not_be_measured_and_why(client: TestClient) -> None:
    found = ask(client, "/table", target=FIRST)
    (failure,) = found["failures"]
    assert failure["key"] == FAILED
    assert failure["reason"].startswith("no kernel")
    assert ask(client, "/table", target=FIRST, q="nothing")["failures_total"] == 0


def test_a_target_without_rows_shows_its_failures_only(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'failed.db'}"
    target = Target.parse(made.TARGET)
    with MeasurementStore(url) as store:
        id_ = store.begin(FAILED, "op", target, made.ENVIRONMENT, Protocol(), None)
        store.fail(id_, "no kernel")
    with StoreReader(url) as reader:
        client = open_client(served=replace(site, store=reader))
        for name in (FIRST, made.TARGET):
            found = ask(client, "/table", target=name)
            assert (found["total"], found["failures_total"]) == (0, 1)
            assert "no kernel" in show(client, "/table", target=name)
        assert client.get("/table", params={"target": SECOND}).status_code == 404
        assert "It could not be measured" in show(client, "/op", target=FIRST, key=FAILED)


def test_the_file_of_a_table_has_the_rows_that_are_shown(client: TestClient) -> None:
    page = show(client, "/table", target=FIRST, role="network", sort="key")
    (link,) = re.findall(r'href="(/table\.csv[^"]+)"', page)
    answer = client.get(link.replace("&amp;", "&"))
    assert answer.headers["content-disposition"].startswith('attachment; filename="cpu_onnx')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    shown = ask(client, "/table", target=FIRST, role="network", sort="key")["rows"]
    assert [row["key"] for row in rows] == [row["key"] for row in shown]
    assert [float(row["median_ms"]) for row in rows] == [row["median_ms"] for row in shown]


def test_a_large_table_is_turned_page_by_page(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'large.db'}"
    with MeasurementStore(url) as store:
        rows = [PortableRow(f"linear/{i}/out=8", "op", 1.0 + i) for i in range(1, 1251)]
        store.add_portable_rows(Target.parse(made.TARGET), made.ENVIRONMENT, rows)
    with StoreReader(url) as store:
        client = open_client(served=replace(site, store=store))
        second = ask(client, "/table", target=FIRST, page="2")
        assert {name: second[name] for name in ("page", "pages", "total", "size")} == {
            "page": 2,
            "pages": 13,
            "total": 1250,
            "size": 100,
        }
        assert second["rows"][0]["latency_ms"] == 1151.0
        assert len(ask(client, "/table", target=FIRST, page="999999999")["rows"]) == 50
        page = show(client, "/table", target=FIRST, page="2")
        assert "101 to 200 of 1,250 rows" in page
        assert page.count('rel="next"') == 2
        assert "not judged" in page


# Ops


def test_an_op_shows_every_visit_and_what_stands_for_it(client: TestClient) -> None:
    found = ask(client, "/op", target=FIRST, key=SLOWER.key)
    assert len(found["samples_ms"]) == 10
    assert found["visit_figures_ms"] == [min(runs) for runs in found["samples_ms"]]
    assert found["protocol"]["timed_runs"] == 5
    page = show(client, "/op", target=FIRST, key=SLOWER.key)
    assert page.count("<svg") == 2
    assert "20 timed runs in 10 visits" in page
    assert "FLOPs" in page


def test_the_timed_runs_of_an_op_are_a_file(client: TestClient) -> None:
    answer = client.get("/op.csv", params={"target": FIRST, "key": SLOWER.key})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 10
    assert {"run_1_ms", "run_2_ms", "reference_ms"} <= rows[0].keys()


def test_an_op_that_failed_says_why(client: TestClient) -> None:
    assert "no kernel" in ask(client, "/op", target=FIRST, key=FAILED)["failure"]
    assert "It could not be measured" in show(client, "/op", target=FIRST, key=FAILED)


# Two tables


def test_a_diff_says_how_the_machines_differ_and_which_op_does_beside(client: TestClient) -> None:
    found = ask(client, "/diff", a=FIRST, b=SECOND)
    assert found["ratio"] == pytest.approx(1.2)
    assert found["changes"][0]["key"] == SLOWER.key
    assert found["changes"][0]["change"] == pytest.approx(0.5)
    assert SLOWER.key in {change["key"] for change in found["flagged"]}
    assert found["only_first"] == [EVIL_OP]
    page = show(client, "/diff", a=FIRST, b=SECOND)
    assert "Distribution of B over A" in page
    assert "cores: 2 -&gt; 8" in page


def test_the_changes_of_a_diff_are_chosen_and_sorted(client: TestClient) -> None:
    flagged = ask(client, "/diff", a=FIRST, b=SECOND, show="flagged")
    assert 0 < flagged["total"] < ask(client, "/diff", a=FIRST, b=SECOND)["total"]
    changes = ask(client, "/diff", a=FIRST, b=SECOND, sort="first_ms", q="mbconv")["changes"]
    latencies = [change["first_ms"] for change in changes]
    assert latencies == sorted(latencies)
    assert all(change["key"].startswith("mbconv") for change in changes)


def test_a_table_is_not_compared_with_itself(client: TestClient) -> None:
    answer = client.get("/diff", params={"a": FIRST, "b": FIRST, "format": "json"})
    assert answer.status_code == 400
    assert "one and the same" in answer.json()["error"]


# Runs


def test_runs_are_listed_with_their_figures_and_what_cannot_be_read(client: TestClient) -> None:
    found = {run["name"]: run for run in ask(client, "/runs")["runs"]}
    assert set(found) == {"first", "second", "deep/er", "broken"}
    assert found["second"]["measured_ms"] == 1.2
    assert "method" in found["broken"]["problem"]
    assert [run["name"] for run in ask(client, "/runs", q="PROXYLESS")["runs"]] == ["second"]


def test_a_run_leads_to_its_table_only_where_that_is_in_the_store(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path
) -> None:
    made.write_result(tmp_path / "here")
    made.write_result(tmp_path / "elsewhere", environment_id="0" * 12)
    page = show(open_client(served=replace(site, results=Results(tmp_path))), "/runs")
    assert re.findall(r'href="/table\?target=[^"]*%40(\w+)"', page) == [made.ENVIRONMENT.id]


def test_a_run_opens_its_report_with_a_way_back(client: TestClient) -> None:
    answer = client.get("/run", params={"name": "first"})
    assert answer.status_code == 200
    assert "Predicted against measured" in answer.text
    assert '<li><a href="/runs">' in answer.text
    assert "'sha256-" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert ask(client, "/run", name="first")["details"]["funnel"]["pool"] == 50


def test_a_run_that_cannot_be_read_says_why(client: TestClient) -> None:
    answer = client.get("/run", params={"name": "broken"})
    assert answer.status_code == 400
    assert "method: Input should be a valid string" in answer.text


def test_without_plotly_a_run_names_the_extra(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    answer = client.get("/run", params={"name": "first"})
    assert answer.status_code == 501
    assert "pip install &#39;lutier[report]&#39;" in answer.text


# All pages

PAGES = [
    ("/", {}),
    ("/table", {"target": FIRST}),
    ("/table", {"target": FIRST, "kind": "mbconv", "verdict": "sound"}),
    ("/op", {"target": FIRST, "key": EVIL_OP}),
    ("/op", {"target": FIRST, "key": FAILED}),
    ("/runs", {}),
    ("/diff", {}),
    ("/diff", {"a": FIRST, "b": SECOND}),
    ("/gone", {}),
]


@pytest.mark.parametrize(("path", "values"), PAGES)
def test_pages_are_whole_and_can_be_read_aloud(
    client: TestClient, path: str, values: dict[str, str]
) -> None:
    page = client.get(path, params=values).text
    found = Elements(page, VOID)
    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("h1")) == len(found.all("main")) == 1
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in found.all("svg"))
    assert all(nav.get("aria-label") for nav in found.all("nav"))
    assert all(head.get("scope") for head in found.all("th"))
    for box in found.all("div"):
        if box.get("class") == "scroll":
            assert (box["role"], box["tabindex"]) == ("region", "0")
    ids = [attributes["id"] for _, attributes in found.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    # Each field stands in a label; each link of the page leads to one that is there.
    fields = re.findall(r"<label>(?:(?!</label>).)*<(?:input|select) ", page, re.DOTALL)
    visible = [each for each in found.all("input") if each["type"] != "hidden"]
    assert len(fields) == len(visible) + len(found.all("select"))


def test_every_link_from_the_first_page_on_leads_somewhere(client: TestClient) -> None:
    # A dozen of each kind of page; a report takes longer, and leads back.
    left = Counter({"/run": 2}) | Counter(
        dict.fromkeys(("/", "/table", "/table.csv", "/op", "/op.csv", "/runs", "/diff"), 12)
    )
    kinds, seen, wanted = set(left), set(), deque(["/"])
    while wanted:
        path = wanted.popleft()
        kind = path.partition("?")[0]
        assert kind in kinds, path
        if path in seen or not left[kind]:
            continue
        seen.add(path)
        left[kind] -= 1
        answer = client.get(path)
        assert answer.status_code == 200, path
        if kind != "/run" and answer.headers["content-type"].startswith("text/html"):
            hrefs = [link.get("href") or "" for link in Elements(answer.text, VOID).all("a")]
            wanted += [href for href in hrefs if href.startswith("/")]
    assert {path.partition("?")[0] for path in seen} == kinds


def test_json_is_given_to_who_accepts_nothing_else(client: TestClient) -> None:
    for accept, kind in (
        ("application/json", "application/json"),
        ("text/html,application/json;q=0.9", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
    ):
        answer = client.get("/", headers={"accept": accept})
        assert answer.headers["content-type"] == kind
    assert client.get("/gone", headers={"accept": "application/json"}).json() == {
        "error": "no such page"
    }


def test_the_look_is_that_of_the_report(client: TestClient) -> None:
    page = show(client, "/")
    (sheet,) = re.findall(r'href="(/assets/serve\.css\?\w+)"', page)
    answer = client.get(sheet)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert "--page: #11151b" in answer.text
    assert "/*palette*/" not in answer.text
