"""The report of a small real run, opened in a real browser."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import drawn_results as made
import pytest

from devices.environment import Environment
from lutier.cli.main import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TARGET = "cpu/onnxruntime?threads=1"
SPACE = "mobile-tiny?width=0.25"
READY = "html[data-ready]"
INK = "rgb(26, 35, 48)"
# Where a point is drawn, in pixels of the window.
POINT = """(id) => {
    const plot = document.getElementById(id);
    plot.scrollIntoView({block: "center", behavior: "instant"});
    const {xaxis, yaxis} = plot._fullLayout;
    const trace = plot._fullData.find((each) => each.customdata && each.customdata[0]);
    const box = plot.getBoundingClientRect();
    return [box.x + xaxis._offset + xaxis.d2p(trace.x[0]),
            box.y + yaxis._offset + yaxis.d2p(trace.y[0]), trace.customdata[0]];
}"""


def run(*words: str) -> None:
    code: object = 0
    try:
        main(list(words))
    except SystemExit as end:
        code = end.code
    assert not code, words


@pytest.fixture(scope="module")
def report(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two real searches and of the real table they were made with."""
    folder = tmp_path_factory.mktemp("real")
    db = f"sqlite:///{folder / 'lutier.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUTIER_NETWORKS", "9")
        patch.setenv("LUTIER_MAX_ROUNDS", "12")
        patch.setenv("LUTIER_MIN_SECONDS", "0")
        run("profile", "--space", SPACE, "--db", db)
        run("fit", "--target", TARGET, "--db", db)
        asked = ["--target", TARGET, "--space", SPACE, "--data", "digits", "--budget", "10ms"]
        asked += ["--train-epochs", "1", "--db", db]
        epochs = ["--warmup-epochs", "1", "--search-epochs", "1"]
        run("search", "proxyless", *asked, *epochs, "--out", str(folder / "proxyless"))
        run("search", "knas", *asked, "--pool", "8", "--k", "2", "--out", str(folder / "knas"))
        page = folder / "report.html"
        run("report", str(folder), "-o", str(page))
    return page


@contextmanager
def opened(browser: Browser, path: Path, **how: Any) -> Iterator[Page]:
    """A page that is drawn; in the end nothing was complained of, and nothing loaded."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
    page = context.new_page()
    said: list[str] = []
    loaded: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(READY, timeout=60_000)
    yield page
    assert said == []
    assert [url[:80] for url in loaded if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


def test_every_plot_is_drawn(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        plots = page.locator(".plot")
        # Front, two of predictions, four and one of the searches, two networks.
        assert plots.count() == 10
        for i in range(plots.count()):
            plot = plots.nth(i)
            assert plot.locator(".main-svg").count() >= 1
            drawn = plot.locator(".scatterlayer .trace, .barlayer .trace")
            assert drawn.count() >= 1, plot.get_attribute("id")


def test_the_pointer_on_a_point_shows_the_network_and_a_click_opens_it(
    browser: Browser, report: Path
) -> None:
    with opened(browser, report, reduced_motion="reduce") as page:
        x, y, target = page.evaluate(POINT, "plot-front-1")
        page.mouse.move(x, y)
        shown = page.locator("#plot-front-1 .hoverlayer .hovertext")
        shown.first.wait_for()
        assert SPACE in shown.first.text_content()
        page.mouse.click(x, y)
        page.wait_for_url(f"**#{target}")
        network = page.locator(f"#{target}")
        network.scroll_into_view_if_needed()
        assert network.locator(".glyph").first.is_visible()
        assert page.evaluate("(id) => document.activeElement.closest('#' + id) !== null", target)


def test_a_click_opens_a_network_that_was_folded_away(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        folded = page.locator("details.network").first
        assert not folded.locator(".glyph").first.is_visible()
        page.evaluate("(id) => { location.hash = id; }", folded.get_attribute("id"))
        folded.locator(".glyph").first.wait_for(state="visible")


def test_dark_and_light_by_the_system_and_by_the_button(browser: Browser, report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('#plot-front-1 .xtick text').style.fill"
    with opened(browser, report, color_scheme="dark") as page:
        button = page.get_by_role("button", name="Dark")
        assert page.evaluate(ground) == "rgb(17, 21, 27)"
        assert page.evaluate(ink) == "rgb(231, 235, 241)"
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        assert page.evaluate(ink) == INK
        assert button.get_attribute("aria-pressed") == "false"
        page.emulate_media(color_scheme="light")
        button.click()
        assert page.evaluate(ground) == "rgb(17, 21, 27)"


def test_at_360_pixels_only_tables_scroll_sideways(browser: Browser, report: Path) -> None:
    with opened(browser, report, viewport={"width": 360, "height": 740}) as page:
        for details in page.locator("details").all():
            details.evaluate("(each) => { each.open = true; }")
        page.wait_for_timeout(100)
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width == [360, 360]
        beyond = page.evaluate(
            "[...document.querySelectorAll('main *')]"
            ".filter((each) => !each.closest('.scroll, svg, .hidden'))"
            ".filter((each) => each.getBoundingClientRect().right > 361)"
            ".map((each) => each.outerHTML.slice(0, 80))"
        )
        assert beyond == []
        plots = page.locator("#plot-front-1 .main-svg").first.bounding_box()
        assert plots
        assert plots["width"] <= 360


def test_it_prints_to_pdf_in_light_colours(browser: Browser, report: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with opened(browser, report, color_scheme="dark") as page:
        contents = page.pdf(format="A4", print_background=True)
        assert contents.startswith(b"%PDF")
        assert 4 <= len(re.findall(rb"/Type\s*/Page\b", contents)) <= 20
        page.emulate_media(media="print")
        expect(page.locator("#plot-front-1 .xtick text").first).to_have_css("fill", INK)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        assert page.evaluate("document.querySelector('#plot-front-1 .main-svg').clientWidth") <= 700


def test_all_of_it_is_reached_by_keyboard(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        wanted = page.evaluate(
            "[...document.querySelectorAll('a[href], button, summary, .scroll[tabindex]')]"
            ".filter((each) => each.checkVisibility()).length"
        )
        reached = []
        for _ in range(wanted):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "[document.activeElement.outerHTML.slice(0, 200),"
                    " getComputedStyle(document.activeElement).outlineStyle]"
                )
            )
        assert 'class="skip"' in reached[0][0]
        assert {style for _, style in reached} == {"solid"}
        assert len([each for each, _ in reached if each.startswith("<body")]) == 0
        for start in ('<button type="button" id="theme"', '<a href="#table"', "<summary>"):
            assert any(each.startswith(start) for each, _ in reached), start


def test_a_table_is_opened_and_a_network_found_by_keyboard_alone(
    browser: Browser, report: Path
) -> None:
    with opened(browser, report, reduced_motion="reduce") as page:
        summary = page.locator("#front summary")
        summary.focus()
        page.keyboard.press("Enter")
        link = page.locator("#front table a").first
        link.focus()
        page.keyboard.press("Enter")
        target = (link.get_attribute("href") or "")[1:]
        page.wait_for_url(f"**#{target}")
        assert page.locator(f"#{target} .glyph").first.is_visible()


def test_a_cell_of_a_map_leads_to_its_row_and_the_row_to_its_timed_runs(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    with opened(browser, report, reduced_motion="reduce") as page:
        cell = page.locator(".maps .heat td a").first
        cell.click()
        row = page.locator((cell.get_attribute("href") or "").replace("#", "tr#"))
        row.wait_for(state="visible")
        with page.expect_download() as started:
            row.locator("a[download]").click()
        file = tmp_path / started.value.suggested_filename
        started.value.save_as(file)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) >= 12
    assert all(float(each["run_1_ms"]) > 0 for each in rows)


def test_the_whole_table_is_saved_from_within_the_page(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    with opened(browser, report) as page:
        with page.expect_download() as started:
            page.get_by_role("link", name="all rows as CSV").click()
        started.value.save_as(tmp_path / "table.csv")
        rows = page.locator("tr[id^=row-]").count()
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + rows


def test_a_command_is_copied(browser: Browser, report: Path) -> None:
    from playwright.sync_api import expect

    with opened(browser, report, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy: Search: knas").click()
        expect(page.locator("#said")).to_have_text("copied")
        copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("lutier search knas --target 'cpu/onnxruntime?threads=1' --space")


def test_scripts_in_names_do_not_run(browser: Browser, tmp_path: Path) -> None:
    evil = "<img src=x onerror='window.ran=1'>"
    worse = "</script><script>window.ran=1</script>"
    folder = tmp_path / "<svg onload='window.ran=1'>"
    details = made.knas_details(data_notes=[worse], config={evil: worse})
    made.write_result(
        folder, method=evil, data=worse, details=details, environment_id=worse, lutier_version=evil
    )
    made.fill_store(
        f"sqlite:///{folder / 'lutier.db'}",
        more={f"mbconv/{evil}/{worse}": 1.0, worse: 2.0, "javascript:window.ran=1": 3.0},
        environment=Environment.of({"chip": worse, evil: evil}),
    )
    path = tmp_path / "report.html"
    run("report", str(folder), "-o", str(path))
    with opened(browser, path) as page:
        for details_ in page.locator("details").all():
            details_.evaluate("(each) => { each.open = true; }")
        assert page.locator("tr", has_text=worse).count() >= 1
        assert page.locator("img").count() == 0
        x, y, _ = page.evaluate(POINT, "plot-front-1")
        page.mouse.move(x, y)
        shown = page.locator("#plot-front-1 .hoverlayer .hovertext")
        shown.first.wait_for()
        assert "onload" in shown.first.text_content()
        page.mouse.click(x, y)
        for link in page.locator("nav a").all():
            link.click()
        assert page.evaluate("window.ran") is None


def test_where_scripts_of_others_get_in_they_are_not_run(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    path = tmp_path / "changed.html"
    text = report.read_text(encoding="utf-8")
    path.write_text(text.replace("</main>", "<script>window.ran=1</script></main>"))
    context = browser.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_selector(READY, timeout=60_000)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in each for each in said)
    context.close()
