"""What comes to nothing: foreign names, wrong tokens, ways out of the folder, scripts in names."""

from __future__ import annotations

import html
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import drawn_results as made
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_store import EVIL, EVIL_OP, FIRST, SECOND, WORSE
from starlette.testclient import TestClient

from devices.errors import StoreError
from lutier.serve.app import Site
from lutier.serve.guard import HEADERS, Door
from lutier.serve.query import address
from lutier.serve.runs import Results
from profiler.storage.reader import StoreReader

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of no server
LOCKED = Door(frozenset({"127.0.0.1"}), token=TOKEN, cookie="lutier-8421")
PATHS = [
    "/",
    f"/table?target={FIRST}",
    f"/table.csv?target={FIRST}",
    "/runs",
    "/run?name=first",
    "/diff",
    "/gone",
]

# Names


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8421",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8421",
        "127.0.0.1@evil.example",
        "127.0.0.1:8421:80",
        "127.0.0.1, evil.example",
        "192.168.0.7",
        "[::ffff:127.0.0.1]",
        "",
    ],
)
def test_a_foreign_name_comes_to_nothing(client: TestClient, host: str) -> None:
    for path in PATHS:
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "another chip" not in answer.text
        assert made.TARGET not in answer.text
        assert not host or host not in answer.text


def test_own_names_are_known_whatever_the_port_and_the_case(client: TestClient) -> None:
    for host in ("127.0.0.1", "127.0.0.1:8421", "LOCALHOST:9999"):
        assert client.get("/diff", headers={"host": host}).status_code == 200


def test_two_names_at_once_come_to_nothing(client: TestClient) -> None:
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert client.get("/diff", headers=headers).status_code == 421


def test_at_all_addresses_numeric_names_are_known_and_others_are_not() -> None:
    door = Door(frozenset({"localhost", "board.lan"}), any_address=True)
    for name in ("10.0.0.7:80", "[fe80::1]:8421", "board.lan", "localhost:1"):
        assert door.knows(name)
    for name in ("evil.example", "10.0.0.7.evil.example", "[evil]", "0x7f000001", "10.0.0"):
        assert not door.knows(name)


# Tokens


def test_without_the_token_nothing_is_told(open_client: Callable[..., TestClient]) -> None:
    client = open_client(LOCKED)
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code == 401
        assert made.TARGET not in answer.text
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "wrong", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00fc" * 20, "%00", "\ud7ff"]
)
def test_a_wrong_token_is_refused(open_client: Callable[..., TestClient], wrong: str) -> None:
    client = open_client(LOCKED)
    assert client.get("/", params={"token": wrong}).status_code == 401
    bearer = f"Bearer {wrong}".encode()
    assert client.get("/", headers={"authorization": bearer}).status_code == 401
    cookie = f"{LOCKED.cookie}={wrong}".encode()
    assert client.get("/", headers={"cookie": cookie}).status_code == 401
    assert not client.cookies


def test_the_token_itself_is_no_cookie(open_client: Callable[..., TestClient]) -> None:
    client = open_client(LOCKED)
    cookie = {"cookie": f"{LOCKED.cookie}={TOKEN}"}
    assert client.get("/", headers=cookie).status_code == 401
    assert TOKEN not in LOCKED.pass_value


def test_the_token_is_asked_for_once_and_leaves_the_address(
    open_client: Callable[..., TestClient],
) -> None:
    client = open_client(LOCKED)
    answer = client.get("/table", params={"target": FIRST, "token": TOKEN})
    assert answer.status_code == 200
    assert TOKEN not in answer.text
    (onward,) = re.findall(r'content="0; url=([^"]+)"', answer.text)
    assert html.unescape(onward) == address("/table", target=FIRST)
    said = answer.headers["set-cookie"]
    for part in ("HttpOnly", "Path=/", "SameSite=strict"):
        assert part in said
    assert TOKEN not in said
    assert client.get(html.unescape(onward)).status_code == 200
    assert client.get("/").status_code == 200


def test_a_program_brings_the_token_in_a_header(open_client: Callable[..., TestClient]) -> None:
    answer = open_client(LOCKED).get("/?format=json", headers={"authorization": f"bearer {TOKEN}"})
    assert answer.json()["total"] == 3


def test_two_tokens_are_none(open_client: Callable[..., TestClient]) -> None:
    answer = open_client(LOCKED).get(f"/?token={TOKEN}&token={TOKEN}")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/\\evil.example", "/%5Cevil.example/x", "///"]
)
def test_from_the_token_on_one_stays_on_this_server(
    open_client: Callable[..., TestClient], path: str
) -> None:
    answer = open_client(LOCKED).get(f"http://127.0.0.1:8421{path}", params={"token": TOKEN})
    for onward in re.findall(r'url=([^"]+)"', answer.text):
        assert re.match(r"/(?![/\\])", onward + " ")


@given(st.text(max_size=40))
def test_every_address_stays_on_this_server(path: str) -> None:
    made_address = address(path.encode("utf-8", "replace").decode())
    assert made_address.startswith("/")
    assert not made_address.startswith(("//", "/\\"))
    assert made_address.isascii()


# Ways out


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../",
        ".",
        "first/..",
        "first/../../",
        "/etc",
        "//etc",
        "..\\",
        "%2e%2e",
        "....//",
        "first/",
        "./first",
        "first/result.json",
        "~",
        "file:///etc/passwd",
        "linked",
        "linked/inner",
        "pointing",
        "\u2025",
    ],
)
def test_no_name_leads_out_of_the_folder_of_results(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path, name: str
) -> None:
    root = tmp_path / "root"
    made.write_result(root / "first")
    made.write_result(tmp_path)
    made.write_result(tmp_path / "secret" / "inner", data="a secret")
    (root / "linked").symlink_to(tmp_path / "secret", target_is_directory=True)
    (root / "pointing").mkdir()
    (root / "pointing" / "result.json").symlink_to(tmp_path / "secret" / "inner" / "result.json")
    client = open_client(served=replace(site, results=Results(root)))
    for form in ("html", "json"):
        answer = client.get("/run", params={"name": name, "format": form})
        assert answer.status_code == 404
        assert "a secret" not in answer.text
    listed = client.get("/runs", params={"format": "json"}).json()["runs"]
    assert [run["name"] for run in listed] == ["first"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py",
        "/assets/..%2f..%2fapp.py",
        "/assets/%2e%2e/app.py",
        "/assets/base.html.j2",
        "/assets//etc/passwd",
        "/runs/../../etc/passwd",
    ],
)
def test_no_file_is_served_but_those_of_the_pages(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("name", ["target", "a"])
def test_a_target_is_never_taken_for_a_file(client: TestClient, tmp_path: Path, name: str) -> None:
    file = tmp_path / "table.json"
    file.write_text('{"secret": 1}')
    path = "/table" if name == "target" else "/diff"
    for text in (str(file), f"replay:{file}/onnxruntime", "/etc/passwd"):
        answer = client.get(path, params={name: text, "b": SECOND})
        assert answer.status_code in (400, 404)
        assert "secret" not in answer.text


# Scripts


def test_hostile_names_are_text_on_every_page(client: TestClient) -> None:
    pages = {
        "/": {},
        "/table": {"target": FIRST, "q": EVIL, "kind": WORSE, "verdict": ""},
        "/op": {"target": FIRST, "key": EVIL_OP},
        "/diff": {"a": FIRST, "b": SECOND, "q": WORSE},
        "/runs": {"q": WORSE},
        "/run": {"name": WORSE},
        "/gone": {WORSE: EVIL},
    }
    for path, values in pages.items():
        text = client.get(path, params=values).text
        assert "window.ran" in text or path in ("/run", "/gone")
        assert "<img" not in text
        assert re.findall(r"<script(?! src=\"/assets/)", text) == []
        assert " on" + "error=" not in re.sub(r"&lt;.*?&gt;", "", text)


def test_hostile_names_are_text_in_errors(client: TestClient) -> None:
    for values in ({"target": WORSE}, {"target": f"{EVIL}/torch"}, {"target": FIRST, "sort": EVIL}):
        answer = client.get("/table", params=values)
        assert answer.status_code in (400, 404)
        assert "<img" not in answer.text
        assert "<script>" not in answer.text


def test_a_formula_in_a_key_is_none_in_a_file(client: TestClient) -> None:
    answer = client.get("/table.csv", params={"target": FIRST, "q": "=1+1"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_every_answer_says_what_a_browser_may_do(
    client: TestClient, open_client: Callable[..., TestClient]
) -> None:
    answers = [client.get(path) for path in (*PATHS, "/assets/serve.js")]
    answers += [open_client(LOCKED).get("/"), client.get("/", headers={"host": "evil.example"})]
    answers.append(client.post("/"))
    for answer in answers:
        for name in HEADERS.keys() - {"content-security-policy", "cache-control"}:
            assert answer.headers[name] == HEADERS[name]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src ")
        assert "script-src 'unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


# Limits, and nothing is changed


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=1.5",
        "page=nan",
        "page=" + "9" * 5000,
        "page=%D9%A1",
        "page=1e9",
        "page=1&page=2",
        "failed=x",
        "sort=nothing",
        "verdict=nothing",
        "role=nothing",
        "format=xml",
        "q=" + "x" * 2000,
        "q=%00",
        "&".join(f"p{i}=1" for i in range(50)),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(client: TestClient, query: str) -> None:
    answer = client.get(f"/table?target={FIRST}&{query}", headers={"accept": "application/json"})
    assert answer.status_code == 400
    assert len(answer.text) < 700 or "<html" in answer.text


def test_a_page_beyond_the_last_is_the_last(client: TestClient) -> None:
    for page in ("2", "999999999"):
        found = client.get(f"/table?target={FIRST}&page={page}&format=json").json()
        assert found["page"] == found["pages"] == 1


def test_an_address_without_end_is_refused(client: TestClient) -> None:
    assert client.get("/?" + "x" * 30_000).status_code == 414


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_sent(client: TestClient, method: str) -> None:
    answer = client.request(method, f"/table?target={FIRST}")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_sql_in_names_comes_to_nothing(client: TestClient) -> None:
    for text in ("' OR 1=1 --", "x'; DROP TABLE measurements; --", "%"):
        assert client.get("/op", params={"target": FIRST, "key": text}).status_code == 404
        assert client.get("/", params={"q": text, "format": "json"}).json()["tables"] == []


def test_all_pages_leave_the_database_byte_for_byte(client: TestClient, place: Path) -> None:
    before = (place / "lutier.db").read_bytes()
    for path in PATHS:
        client.get(path)
    assert (place / "lutier.db").read_bytes() == before


def test_a_database_that_goes_away_is_said(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise StoreError("cannot use the database", "it is gone")

    monkeypatch.setattr(site.store, "overview", gone)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "it is gone" in answer.text


def test_an_error_of_the_program_is_not_told(
    open_client: Callable[..., TestClient], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise sqlite3.Warning("a secret of the machine")

    monkeypatch.setattr(site.store, "overview", broken)
    answer = open_client(raise_server_exceptions=False).get("/")
    assert answer.status_code == 500
    assert "a secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_no_lutier_would_store_is_shown_or_refused_and_breaks_nothing(
    open_client: Callable[..., TestClient], site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "odd.db"
    long = f"conv/{'9' * 150}x8x8/kernel=3,out=8,stride=1"
    made.fill_store(f"sqlite:///{file}", networks=0, more={long: 1.0, "\u202e": 2.0, " ": 3.0})
    connection = sqlite3.connect(file)
    connection.execute(
        "UPDATE measurements SET target = ? WHERE id IN (1, 2)", (f"{WORSE} no target",)
    )
    connection.execute("UPDATE measurements SET findings = ? WHERE id = 3", (EVIL,))
    connection.execute("UPDATE measurements SET exponent = 0.3 WHERE id = 4")
    connection.execute("UPDATE visits SET samples_ms = '[\"x\"]' WHERE measurement_id = 5")
    connection.execute("UPDATE measurements SET ops = 'x', role = 'other' WHERE id = 6")
    connection.commit()
    connection.close()
    with StoreReader(f"sqlite:///{file}") as store:
        client = open_client(served=replace(site, store=store), raise_server_exceptions=False)
        assert html.escape(WORSE) in client.get("/").text
        assert client.get("/table", params={"target": f"{WORSE} no target"}).status_code == 400
        found = client.get("/table", params={"target": FIRST, "format": "json"}).json()
        assert {long, " ", "\u202e"} <= {row["key"] for row in found["rows"]}
        assert "<img" not in client.get("/table", params={"target": FIRST}).text
        codes = {
            row["key"]: client.get("/op", params={"target": FIRST, "key": row["key"]}).status_code
            for row in found["rows"]
        }
    refused = {key: code for key, code in codes.items() if code != 200}
    damaged = made.SPACE.all_ops()[4].key
    assert refused == {damaged: 503, " ": 400}
