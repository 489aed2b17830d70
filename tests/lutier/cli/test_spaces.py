"""``lutier spaces`` and ``lutier table price``: from a name to a file to a price."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import run_in_one_line as run

from profiler.exchange.spelling import spelled
from search.spaces.mobile import mobile_tiny
from search.spaces.published import PROXYLESS_MOBILE


@pytest.fixture
def lut(tmp_path: Path) -> Path:
    """A file in the published format with 1 ms for each op of ProxylessNAS-Mobile."""
    ops = PROXYLESS_MOBILE.space().ops(PROXYLESS_MOBILE.architecture())
    keys = {spelled(op, "proxylessnas") for op in ops if not op.is_free}
    path = tmp_path / "mobile_trim.yaml"
    lines = [f"{key}: {{count: 100, mean: 1.0, std: 0.01}}" for key in sorted(keys)]
    path.write_text("\n".join(lines))
    return path


def test_spaces_and_networks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("spaces", "--json", capsys=capsys)
    assert code == 0, err
    found = json.loads(out)
    assert {"mobile", "mobile-tiny", "proxyless-cifar"} <= {s["name"] for s in found["spaces"]}
    assert {"proxyless-mobile", "mobilenet-v2"} <= {n["name"] for n in found["networks"]}
    code, out, _ = run("spaces", capsys=capsys)
    assert code == 0
    assert "2.2e+17 networks, 21 choices" in out
    assert "4.08 M parameters   320.4 M MACs" in out


def test_a_space_is_shown_block_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("spaces", "mobile-tiny?depth=1-1-1", capsys=capsys)
    assert code == 0
    assert out.startswith("mobile-tiny?depth=1-1-1: 216 networks")
    assert out.count("6 candidates") == 3
    code, out, _ = run("spaces", "mobile-tiny", "--json", capsys=capsys)
    assert json.loads(out)["networks"] == mobile_tiny().size


def test_a_network_is_written_to_a_file_and_priced_from_it(
    lut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "network.json"
    code, out, err = run("spaces", "proxyless-mobile", "-o", str(path), capsys=capsys)
    assert code == 0, err
    assert f"written to {path}" in out
    words = ("table", "price", "--target", str(lut), str(path), "proxyless-mobile")
    code, out, err = run(*words, "--json", capsys=capsys)
    assert code == 0, err
    found = json.loads(out)["networks"]
    assert [each["sum_ms"] for each in found] == pytest.approx([24.0, 24.0])
    assert found[0]["architecture"] == PROXYLESS_MOBILE.architecture().id
    code, out, _ = run(*words, capsys=capsys)
    assert "24.0000 ms  sum of 24 ops  proxyless-mobile" in out


def test_a_table_that_lacks_ops_names_them_in_both_spellings(
    lut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("table", "price", "--target", str(lut), "mobilenet-v2", capsys=capsys)
    assert code == 3
    assert "mbconv/16x112x112/expand=6,kernel=3,out=24,stride=2" in err
    assert (
        "expanded_conv-input:112x112x16-output:56x56x24-expand:6-kernel:3-stride:2-idskip:0" in err
    )


def test_predict_reads_such_a_file_and_says_that_its_space_has_no_model(
    lut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db, path = f"sqlite:///{tmp_path / 'lut.db'}", tmp_path / "network.json"
    target = "cpu/onnxruntime?threads=1"
    words = ("table", "import", str(lut), "--format", "proxylessnas", "--target", target)
    assert run(*words, "--db", db, capsys=capsys)[0] == 0
    assert run("spaces", "proxyless-mobile", "-o", str(path), capsys=capsys)[0] == 0
    code, _, err = run("predict", "--target", target, "--db", db, str(path), capsys=capsys)
    assert code == 3
    assert "no latency model of mobile?widths=32-16-32" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["spaces", "proxyless-mobil"], "proxyless-mobile"),
        (["spaces", "mobil"], "mobile"),
        (["spaces", "mobile?depht=2"], "depth"),
        (["spaces", "proxyless-cpu?width=2"], "resolution"),
        (["spaces", "mobile-tiny:0"], "9 blocks"),
        (["spaces", "-o", "x.json"], "lutier spaces NETWORK"),
        (["spaces", "mobile", "-o", "x.json"], "is a space, not a network"),
        (["table", "price", "--target", "x.yaml", "proxyless-mobil"], "proxyless-mobile"),
        (["table", "price", "--target", "gone.yaml", "proxyless-mobile"], "gone.yaml"),
        (["table", "price", "--target", "gone.yaml", "gone.json"], "no file gone.json"),
    ],
)
def test_bad_input_gets_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*words, capsys=capsys)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert not Path("x.json").exists()
