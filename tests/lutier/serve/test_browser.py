"""The pages of a real server, walked through in a real browser."""

from __future__ import annotations

import csv
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import drawn_results as made
import pytest
import uvicorn
from served_store import EVIL, EVIL_OP, SECOND, SLOWER, WORSE

from lutier.serve.app import Site, make_app
from lutier.serve.running import Listener, door_of, listen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

READY = "html[data-ready]"
TOKEN = "a-token-of-this-test-alone"  # noqa: S105 - of no server
GROUND = "getComputedStyle(document.body).backgroundColor"
STARTING_S = 60.0


@contextmanager
def served(site: Site, token: str | None = None) -> Iterator[str]:
    """A server in a thread; its address."""
    listener: Listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        make_app(site, door_of(listener, token)), log_config=None, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.socket]})
    thread.start()
    try:
        deadline = time.monotonic() + STARTING_S
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield listener.url
    finally:
        server.should_exit = True
        thread.join()
        listener.socket.close()


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    with served(site) as address:
        yield address


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages; in the end nothing was complained of, nothing ran that came from outside."""
    said: list[str] = []
    loaded: list[str] = []
    pages: list[Page] = []

    def new(address: str, **how: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **how}
        )
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(address)
        page.wait_for_selector(READY)
        pages.append(page)
        return page

    yield new
    for page in pages:
        assert page.evaluate("window.ran") is None
        page.context.close()
    assert said == []
    own = r"(http://(127\.0\.0\.1|localhost):\d+/|data:|blob:)"
    assert [each[:80] for each in loaded if not re.match(own, each)] == []


def to(page: Page, link: Any) -> None:
    """Follow a link, and wait until the page is there."""
    with page.expect_navigation(timeout=60_000):
        link.click()
    page.wait_for_selector(READY, timeout=60_000)


def test_from_the_devices_to_a_table_an_op_a_run_and_a_diff(
    opened: Callable[..., Page], url: str
) -> None:
    page = opened(url)
    card = page.locator(".found > li", has_text=made.ENVIRONMENT.id).filter(has_text="3networks")
    to(page, card.locator("h3 a"))
    assert page.locator("h1").inner_text() == made.TARGET
    page.locator("select[name=kind]").select_option("mbconv")
    to(page, page.locator("#rows").get_by_role("button", name="Show"))
    assert "role=" not in page.url
    cell = page.locator(".maps .heat td a").first
    to(page, cell)
    assert page.locator("svg.figure").count() == 2
    box = page.locator("svg.figure").first.bounding_box()
    assert box
    assert box["width"] > 1000
    to(page, page.get_by_role("link", name="Runs", exact=True))
    to(page, page.get_by_role("link", name="first", exact=True))
    assert page.locator(".plot .main-svg").count() >= 1
    to(page, page.get_by_role("link", name="All runs"))
    to(page, page.get_by_role("link", name="Compare", exact=True))
    tables = page.locator("select[name=a] option").all_inner_texts()[1:]
    assert len(tables) == 2
    page.get_by_label("Table A").select_option(tables[1])
    page.get_by_label("Table B").select_option(tables[0])
    to(page, page.get_by_role("button", name="Compare"))
    assert page.locator("#changes tbody th").first.inner_text() == SLOWER.key
    assert "1.200" in page.locator(".big").first.inner_text()


def test_a_column_is_sorted_by_its_head(opened: Callable[..., Page], url: str) -> None:
    page = opened(f"{url}table?target={SECOND}")
    head = page.locator("#rows th", has_text="median")
    to(page, head.locator("a"))
    assert page.locator("#rows th[aria-sort=descending]").inner_text().startswith("median")
    to(page, page.locator("#rows th[aria-sort] a"))
    assert page.locator("#rows th[aria-sort=ascending]").count() == 1
    assert page.locator("#rows tbody th").first.inner_text() == made.SPACE.all_ops()[0].key


def test_rows_are_saved_as_a_file(opened: Callable[..., Page], url: str, tmp_path: Path) -> None:
    page = opened(f"{url}table?target={SECOND}")
    with page.expect_download() as started:
        page.get_by_role("link", name="these rows as CSV").click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    with file.open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == len(made.SPACE.all_ops()) + 3


def test_names_that_hold_scripts_are_shown_and_do_not_run(
    opened: Callable[..., Page], url: str
) -> None:
    page = opened(url)
    for details in page.locator("details").all():
        details.evaluate("(each) => { each.open = true; }")
    assert page.locator("dd", has_text=WORSE).count() == 1
    first = page.locator(".found > li", has_text=made.ENVIRONMENT.id).filter(has_text="3networks")
    to(page, first.locator("h3 a"))
    assert EVIL in page.locator("#failures dd").inner_text()
    to(page, page.get_by_role("link", name=EVIL_OP))
    assert page.locator("h1").inner_text() == EVIL_OP
    assert page.locator("img").count() == 0
    for path in (f"?q={EVIL}", "runs?q=deep", f"diff?a={SECOND}&b={SECOND[:-12]}c437283ced1a"):
        page.goto(url + path)
        page.wait_for_selector(READY)
    page.goto(url + "run?name=deep/er")
    page.wait_for_selector(READY, timeout=60_000)
    assert page.locator("img").count() == 0


def test_dark_and_light_by_the_system_and_by_the_button(
    opened: Callable[..., Page], url: str
) -> None:
    page = opened(url, color_scheme="dark")
    assert page.evaluate(GROUND) == "rgb(17, 21, 27)"
    button = page.get_by_role("button", name="Dark")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert page.evaluate(GROUND) == "rgb(255, 255, 255)"
    # The choice holds on the next page, and on a report.
    to(page, page.get_by_role("link", name="Runs", exact=True))
    assert page.evaluate(GROUND) == "rgb(255, 255, 255)"
    to(page, page.get_by_role("link", name="first", exact=True))
    assert page.evaluate(GROUND) == "rgb(255, 255, 255)"


def test_at_360_pixels_only_tables_scroll_sideways(opened: Callable[..., Page], url: str) -> None:
    page = opened(url, viewport={"width": 360, "height": 740})
    name = f"{made.TARGET}@{made.ENVIRONMENT.id}"
    for path in (
        "",
        f"table?target={name}&kind=mbconv",
        f"op?target={name}&key={SLOWER.key}",
        "runs",
        "diff",
        f"diff?a={name}&b={SECOND}",
    ):
        page.goto(url + path)
        page.wait_for_selector(READY)
        for details in page.locator("details").all():
            details.evaluate("(each) => { each.open = true; }")
        assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]
        beyond = page.evaluate(
            "[...document.querySelectorAll('main *')]"
            ".filter((each) => !each.closest('.scroll, svg, .hidden'))"
            ".filter((each) => each.getBoundingClientRect().right > 361)"
            ".map((each) => each.outerHTML.slice(0, 80))"
        )
        assert beyond == []


def test_a_table_is_reached_and_filtered_by_keyboard_alone(
    opened: Callable[..., Page], url: str
) -> None:
    page = opened(url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('h3') !== null")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/table?*")
    page.wait_for_selector(READY)
    page.locator("#rows input[name=q]").focus()
    page.keyboard.type("linear")
    page.keyboard.press("Enter")
    page.wait_for_url("**&q=linear*")
    assert page.locator("#rows tbody tr").count() == 1


def test_all_but_the_button_works_without_javascript(browser: Browser, url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}table?target={SECOND}")
    page.locator("select[name=kind]").select_option("mbconv")
    page.locator("#rows").get_by_role("button", name="Show").click()
    page.wait_for_url("**kind=mbconv*")
    assert page.locator(".maps .heat td a").count() >= 20
    assert not page.locator("#theme").is_visible()
    context.close()


def test_every_stop_of_the_tab_key_can_be_seen(opened: Callable[..., Page], url: str) -> None:
    page = opened(f"{url}table?target={SECOND}")
    wanted = page.evaluate(
        "[...document.querySelectorAll("
        "'a[href], button, summary, .scroll[tabindex], select, input:not([type=hidden])')]"
        ".filter((each) => each.checkVisibility()).length"
    )
    styles = set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        styles.add(
            page.evaluate(
                "document.activeElement.localName + ' '"
                " + getComputedStyle(document.activeElement).outlineStyle"
            )
        )
    assert {style.partition(" ")[2] for style in styles} == {"solid"}
    assert {style.partition(" ")[0] for style in styles} >= {"a", "button", "select", "input"}


def test_with_the_token_a_browser_is_let_in_for_good(
    browser: Browser, site: Site, opened: Callable[..., Page]
) -> None:
    with served(site, TOKEN) as address:
        page = opened(f"{address}runs?token={TOKEN}")
        page.wait_for_url(f"{address}runs")
        page.wait_for_selector("#h-results")
        assert TOKEN not in page.content()
        assert page.evaluate("document.cookie") == ""
        to(page, page.get_by_role("link", name="Devices", exact=True))
        assert page.locator(".found > li").count() == 3
        stranger = browser.new_context()
        answer = stranger.new_page().goto(address)
        assert answer
        assert answer.status == 401
        stranger.close()


def test_a_link_on_a_page_of_others_lets_in_too(
    site: Site, opened: Callable[..., Page], tmp_path: Path
) -> None:
    with served(site, TOKEN) as address:
        elsewhere = tmp_path / "mail.html"
        elsewhere.write_text(
            f"<html data-ready><link rel=icon href='data:,'><a href='{address}?token={TOKEN}'>go"
        )
        with served(site) as other:
            page = opened(other)
            page.route("**/mail.html", lambda route: route.fulfill(path=elsewhere))
            page.goto(f"{other.replace('127.0.0.1', 'localhost')}mail.html")
            page.get_by_role("link", name="go").click()
            page.wait_for_url(address)
            page.wait_for_selector("#h-tables")


def test_a_script_that_gets_in_is_not_run(browser: Browser, url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))

    def change(route: Any) -> None:
        answer = route.fetch()
        body = answer.text().replace("</main>", "<script>window.ran=1</script></main>")
        route.fulfill(response=answer, body=body)

    page.route(url, change)
    page.goto(url)
    page.wait_for_selector(READY)
    assert "window.ran=1</script></main>" in page.content()
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in each for each in said)
    context.close()
