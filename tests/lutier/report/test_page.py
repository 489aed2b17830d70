"""The page without a browser: whole, the same twice, and no text is taken for HTML."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
from collections import Counter
from pathlib import Path

import drawn_results as made
import pytest
from html_elements import Elements

from devices.errors import MissingExtraError
from lutier.plots.evidence import Evidence, gather_evidence
from lutier.plots.runs import find_runs
from lutier.report.page import render_report
from lutier.settings import Settings

VOID = {"meta", "link", "br", "rect", "line", "polygon"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = made.two_runs(tmp_path_factory.mktemp("runs"))
    return render_report(runs, {made.TARGET: made.made_evidence()}, Settings(), "report.html")


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page, VOID)


def test_every_element_is_closed_and_every_id_is_there_once(elements: Elements) -> None:
    assert elements.open == []
    ids = Counter(attributes["id"] for _, attributes in elements.found if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []


def test_every_reference_leads_somewhere(elements: Elements) -> None:
    ids = {attributes.get("id") for _, attributes in elements.found}
    links = [each["href"] or "" for each in elements.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    labels = {each.get("aria-labelledby") for _, each in elements.found} - {None}
    assert labels <= ids


def test_nothing_is_loaded_from_anywhere(elements: Elements) -> None:
    for _, attributes in elements.found:
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, value


def test_only_the_scripts_of_the_page_may_run(page: str, elements: Elements) -> None:
    (policy,) = [each["content"] or "" for each in elements.all("meta") if "http-equiv" in each]
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 3
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [name for _, each in elements.found for name in each if name.startswith("on")]


def test_plotly_is_there_once(page: str) -> None:
    assert page.count("* plotly.js v") == 1


def test_there_are_landmarks_and_headings_in_order(elements: Elements) -> None:
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(elements.all(landmark)) == 1
    assert elements.headings[0] == 1
    steps = zip(elements.headings, elements.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)


def test_tables_have_captions_and_plots_have_words(page: str, elements: Elements) -> None:
    assert len(elements.all("table")) == len(elements.all("caption")) > 5
    plots = [each for each in elements.all("div") if each.get("class") == "plot"]
    data = re.search(r'id="plots">(.*?)</script>', page, flags=re.DOTALL)
    assert data
    assert {each["id"] for each in plots} == set(json.loads(data[1])["figures"])
    assert all(len(each["aria-label"] or "") > 40 for each in plots)


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    runs, evidence = made.two_runs(tmp_path), {made.TARGET: made.made_evidence()}
    first, second = (render_report(runs, evidence, Settings(), "x.html") for _ in range(2))
    assert first == second


def test_figures_are_there_in_words(page: str) -> None:
    assert "92.0 %" in page
    assert "[0.940, 0.960] ms" in page
    assert "over the budget" in page
    assert html.escape(made.TARGET) in page


def test_where_there_is_no_table_the_page_says_so(tmp_path: Path) -> None:
    runs = find_runs([made.write_result(tmp_path / "a")])
    settings = Settings(home=tmp_path / "home")
    page = render_report(runs, gather_evidence(runs, settings), settings, "report.html")
    assert "No latency table of" in page
    assert "Where the milliseconds go is not known" in page
    assert 'class="heat"' not in page


def test_hostile_texts_are_only_texts(tmp_path: Path) -> None:
    evil = "</script><script>evil()</script><img src=x onerror=evil()>\"'`{{7*7}}"
    folder = tmp_path / "<img src=x onerror=evil()>"
    details = made.knas_details(data_notes=[evil], config={evil: evil})
    details["finalists"][1]["failure"] = evil
    made.write_result(folder, method=evil, data=evil, details=details, lutier_version=evil)
    runs = find_runs([folder])
    evidence = Evidence(made.TARGET, notes=(evil,), failures={evil: evil})
    page = render_report(runs, {made.TARGET: evidence}, Settings(), evil)
    found = Elements(page, VOID)
    assert found.open == []
    assert found.all("img") == []
    assert len(found.all("script")) == 4
    assert not [name for _, each in found.found for name in each if name.startswith("on")]
    assert "{{7*7}}" in page


def test_a_missing_plotly_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    runs = find_runs([made.write_result(tmp_path)])
    with pytest.raises(MissingExtraError, match=r"pip install 'lutier\[report\]'"):
        render_report(runs, {made.TARGET: Evidence(made.TARGET)}, Settings(), "report.html")
