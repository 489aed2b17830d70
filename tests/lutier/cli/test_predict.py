"""``lutier profile --model`` and ``lutier predict``: any network, priced by its kernels."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from in_process import run_in_one_line as run
from onnx import helper
from onnx_examples import model_of, residual, saved

from devices.environment import Environment
from devices.target import Target
from lutier.cli.main import main
from lutier.networks import draw_networks
from lutier.results import SearchResult, save_result
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from search.spaces.mobile import mobile_tiny

TARGET = "cpu/onnxruntime?threads=1"
FEW = ("--max-rounds", "12", "--time-limit", "0")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("net") / "net.onnx", residual())


@pytest.fixture(scope="module")
def db(net: Path) -> str:
    """A database in which the network and its kernels are measured."""
    url = f"sqlite:///{net.with_name('lut.db')}"
    main(["profile", "--model", str(net), *FEW, "--db", url])
    return url


def test_a_network_whose_kernels_were_measured_is_predicted(
    net: Path, db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--target", TARGET, "--db", db, str(net))
    code, out, err = run(*words, "--json", capsys=capsys)
    assert code == 0, err
    (found,) = json.loads(out)["networks"]
    assert found["complete"]
    assert found["share_measured"] == 1
    # The same rounds, but few of them on a busy machine: about the same is all that can be said.
    assert 0.2 < found["predicted_ms"] / found["measured_ms"] < 5
    assert {kernel["source"] for kernel in found["kernels"]} == {"measured"}
    code, out, _ = run(*words, "--kernels", capsys=capsys)
    assert code == 0
    assert "100%" in out
    assert all(kernel["key"] in out for kernel in found["kernels"])


def test_what_is_stored_is_not_measured_again(
    net: Path, db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("profile", "--model", str(net), *FEW, "--db", db)
    code, out, err = run(*words, "--json", capsys=capsys)
    assert code == 0, err
    report = json.loads(out)
    assert (report["measured"], report["table_ops"], report["table_networks"]) == (0, 0, 1)
    assert report["table_kernels"] >= 5
    _, out, _ = run(*words, capsys=capsys)
    assert "next: lutier predict" in out


def test_a_kernel_without_a_price_makes_a_lower_bound_and_says_what_measures_it(
    net: Path, db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Exp", ["x"], ["out"])]
    other = saved(tmp_path / "other.onnx", model_of(nodes))
    words = ("predict", "--target", TARGET, "--db", db, str(net), str(other))
    code, out, err = run(*words, capsys=capsys)
    assert code == 3
    assert "lower bound" in out
    assert all(
        len(line) <= 80
        for line in out.replace(str(tmp_path), "").replace(str(net.parent), "").splitlines()
    )
    assert "error: 1 of 2 predictions lack kernels" in err
    assert "onnx:Exp (0 kernels like it were measured" in err
    assert f"lutier profile --device cpu --runtime onnxruntime --threads 1 --model {other}" in err
    code, out, _ = run(*words, "--json", capsys=capsys)
    assert code == 3
    complete = [each["complete"] for each in json.loads(out)["networks"]]
    assert complete == [True, False]


def test_dry_run_knows_kernels(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("profile", "--model", str(net), "--dry-run", capsys=capsys)
    assert code == 0, err
    assert "expected time" in out


def test_a_target_without_a_table_says_what_makes_it(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("predict", "--target", TARGET, str(net), capsys=capsys)
    assert code == 3
    assert "no latency table of cpu/onnxruntime?threads=1" in err
    assert f"--model {net}" in err


def test_what_is_no_result_of_a_search_is_refused(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    for contents, said in (("{", "is not a result"), ("{}", "is not a result")):
        path.write_text(contents)
        code, _, err = run("predict", "--target", TARGET, "--db", db, str(path), capsys=capsys)
        assert (code, said in err) == (2, True), err


def test_a_result_of_a_search_is_priced_by_the_model_of_its_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = mobile_tiny()
    target = Target.parse(TARGET)
    drawn = draw_networks(space, 15, 0)
    ops_ms = {spec: 0.01 + 1e-6 * spec.flops for spec in space.all_ops()}
    sums_ms = {
        each.id: sum(ops_ms[op] for op in space.ops(each) if not op.is_free) for each in drawn
    }
    rows = [PortableRow(spec.key, "op", ms, split_half=0.0) for spec, ms in ops_ms.items()]
    rows += [PortableRow(key, "network", ms, split_half=0.0) for key, ms in sums_ms.items()]
    url = f"sqlite:///{tmp_path / 'lut.db'}"
    with MeasurementStore(url) as store:
        store.add_portable_rows(target, Environment.of({"chip": "A"}), rows)
    result = SearchResult(
        method="knas",
        architecture=drawn[0].id,
        space=space.name,
        target=TARGET,
        environment_id="0" * 12,
        data="digits",
        budget_ms=1.0,
        predicted_ms=1.0,
        measured_ms=1.0,
        measured_interval_ms=(1.0, 1.0),
        drift=None,
        accuracy=0.9,
        validation_accuracy=0.9,
        seed=0,
        artifact_sha256="0" * 64,
        seconds=1.0,
        lutier_version="0",
        details={},
    )
    save_result(tmp_path / "found", result, {})
    words = ("predict", "--target", TARGET, "--db", url, str(tmp_path / "found"))
    code, _, err = run(*words, capsys=capsys)
    assert code == 3
    assert "no latency model of mobile-tiny" in err
    assert "lutier fit" in err
    run("fit", "--target", TARGET, "--db", url, capsys=capsys)
    code, out, err = run(*words, str(tmp_path / "found/result.json"), "--json", capsys=capsys)
    assert code == 0, err
    for found in json.loads(out)["networks"]:
        assert found["predicted_ms"] == pytest.approx(sums_ms[drawn[0].id], rel=0.02)
        assert found["measured_ms"] == sums_ms[drawn[0].id]
        assert (found["share_measured"], found["kernels"]) == (1, None)


def broken(name: str) -> bytes:
    """Contents of a file that cannot be used."""
    nodes = [helper.make_node("Relu", ["x"], ["out"])]
    whole = residual().SerializeToString()
    cyclic = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["out"]),
    ]
    models = {
        "dynamic": model_of(nodes, shape=("n", 3)),
        "unsupported": model_of([helper.make_node("Bogus", ["x"], ["out"])]),
        "cyclic": model_of(cyclic),
        "empty": model_of([]),
    }
    if name in models:
        contents: bytes = models[name].SerializeToString()
        return contents
    return {"cut": whole[: len(whole) // 2], "text": b"hello, this is no model"}[name]


@pytest.mark.parametrize("command", [["profile", "--model"], ["predict", "--target", TARGET]])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dynamic", "takes inputs of any size"),
        ("unsupported", "Bogus"),
        ("cyclic", "acyclic"),
        ("empty", "its graph is empty"),
        ("cut", "it is cut, or no ONNX file at all"),
        ("text", "it is cut, or no ONNX file at all"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_clear_line(
    command: list[str],
    name: str,
    said: str,
    db: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(broken(name))
    code, out, err = run(*command, str(path), "--db", db, capsys=capsys)
    assert code == 2
    assert out == ""
    assert err.count("error:") == 1
    assert str(path) in err
    assert said in err


def test_weights_that_are_missing_are_named(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "elsewhere.onnx"
    onnx.save_model(
        residual(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0
    )
    (tmp_path / "w.bin").unlink()
    code, _, err = run("predict", "--target", TARGET, "--db", db, str(path), capsys=capsys)
    assert code == 2
    assert "lacks weights" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", TARGET, "net.pt"], "what can be are .onnx and .tflite files"),
        (["--target", TARGET, "net.tflite"], "onnxruntime loads .onnx files"),
        (["--target", TARGET, "gone.onnx"], "no file gone.onnx"),
        (["--target", TARGET, "gone.json"], "no file gone.json"),
        (["--target", "nonsense", "net.onnx"], "is not a target"),
        (["--target", TARGET], "Missing argument"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    words: list[str], said: str, db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("predict", *words, "--db", db, capsys=capsys)
    assert code == 2
    assert said in err
