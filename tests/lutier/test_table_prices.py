"""Published networks priced by a table in the published format, or all missing keys named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from devices.environment import Environment
from devices.errors import MissingEntryError
from devices.target import Target
from lutier.settings import load_settings
from lutier.storage import open_store
from lutier.table_prices import price_by_table
from lutier.tables import find_table, spelling_of
from profiler.exchange.importing import import_table
from profiler.table import LatencyTable
from search.spaces.cifar import proxyless_cifar
from search.spaces.published import MOBILENET_V2, PROXYLESS_MOBILE, PUBLISHED
from search.spaces.registry import open_space

PIXEL = "pixel1/tflite?threads=1"


def block(
    size: int, out_size: int, channels: int, out: int, expand: int, kernel: int, stride: int
) -> str:
    """As LatencyEstimator of mit-han-lab/proxylessnas builds the key of a block."""
    skip = int(channels == out and stride == 1)
    return (
        f"expanded_conv-input:{size}x{size}x{channels}-output:{out_size}x{out_size}x{out}"
        f"-expand:{expand}-kernel:{kernel}-stride:{stride}-idskip:{skip}"
    )


# All that ProxylessNAS-Mobile is made of, in the words of the published file; how often, too.
BLOCKS = {
    block(112, 112, 32, 16, 1, 3, 1): 1,
    block(112, 56, 16, 32, 3, 5, 2): 1,
    block(56, 56, 32, 32, 3, 3, 1): 1,
    block(56, 28, 32, 40, 3, 7, 2): 1,
    block(28, 28, 40, 40, 3, 3, 1): 1,
    block(28, 28, 40, 40, 3, 5, 1): 2,
    block(28, 14, 40, 80, 6, 7, 2): 1,
    block(14, 14, 80, 80, 3, 5, 1): 3,
    block(14, 14, 80, 96, 6, 5, 1): 1,
    block(14, 14, 96, 96, 3, 5, 1): 3,
    block(14, 7, 96, 192, 6, 7, 2): 1,
    block(7, 7, 192, 192, 6, 7, 1): 1,
    block(7, 7, 192, 192, 3, 7, 1): 2,
    block(7, 7, 192, 320, 6, 7, 1): 1,
}
FIRST = "Conv-input:224x224x3-output:112x112x32"
LAST = "Conv_1-input:7x7x320-output:7x7x1280"
POOL = "AvgPool2D-input:7x7x1280-output:1x1x1280"
LINEAR = "Logits-input:1x1x1280-output:1000"
COUNTS = {FIRST: 1, **BLOCKS, LAST: 1, POOL: 1, LINEAR: 1}


def write(path: Path, keys: list[str], spread: str = "std") -> dict[str, float]:
    """A file as mobile_trim.yaml: {count, mean, std or var} a key, in ms. Returns the means."""
    generator = np.random.default_rng(0)
    means = {key: round(float(generator.uniform(0.1, 5)), 4) for key in keys}
    rows = {key: {"count": 100, "mean": mean, spread: 0.02} for key, mean in means.items()}
    path.write_text(yaml.safe_dump(rows))
    return means


def imported(path: Path, folder: Path) -> tuple[LatencyTable, str]:
    """The table of a file that was imported into a store, and the format it spells ops in."""
    settings = load_settings({"db": f"sqlite:///{folder / 'lut.db'}"})
    with open_store(settings) as store:
        import_table(store, path, "proxylessnas", target=Target.parse(PIXEL))
    return find_table(settings, PIXEL), spelling_of(settings, PIXEL)


@pytest.mark.parametrize("spread", ["std", "var"])
def test_a_table_in_the_published_format_prices_proxylessnas_mobile(
    spread: str, tmp_path: Path
) -> None:
    means = write(tmp_path / "mobile_trim.yaml", list(COUNTS), spread)
    table, spelling = imported(tmp_path / "mobile_trim.yaml", tmp_path)
    price = price_by_table(table, PROXYLESS_MOBILE.architecture(), spelling)
    assert price.latency_ms == pytest.approx(sum(n * means[key] for key, n in COUNTS.items()))
    # Two of the 21 blocks are skipped, and cost nothing.
    assert price.ops == sum(COUNTS.values()) == 24


def test_every_missing_key_is_named_in_the_file_s_spelling_and_in_ours(tmp_path: Path) -> None:
    gone = [block(56, 28, 32, 40, 3, 7, 2), block(7, 7, 192, 192, 3, 7, 1), LAST]
    write(tmp_path / "mobile_trim.yaml", [key for key in COUNTS if key not in gone])
    table, spelling = imported(tmp_path / "mobile_trim.yaml", tmp_path)
    with pytest.raises(MissingEntryError) as caught:
        price_by_table(table, PROXYLESS_MOBILE.architecture(), spelling)
    assert "3 of 18 ops" in caught.value.what
    assert caught.value.why == "; ".join(
        [
            f"mbconv/32x56x56/expand=3,kernel=7,out=40,stride=2 ({gone[0]})",
            f"mbconv/192x7x7/expand=3,kernel=7,out=192,stride=1 ({gone[1]})",
            f"conv/320x7x7/activation=relu6,kernel=1,out=1280,stride=1 ({gone[2]})",
        ]
    )


def test_the_published_logits_are_pool_and_linear_in_one_so_both_are_missing(
    tmp_path: Path,
) -> None:
    both = "Logits-input:7x7x1280-output:1000"
    write(tmp_path / "mobile_trim.yaml", [FIRST, *BLOCKS, LAST, both])
    table, spelling = imported(tmp_path / "mobile_trim.yaml", tmp_path)
    with pytest.raises(MissingEntryError, match="2 of 18 ops") as caught:
        price_by_table(table, PROXYLESS_MOBILE.architecture(), spelling)
    assert POOL in caught.value.why
    assert LINEAR in caught.value.why


def test_another_network_s_keys_are_missing_in_a_table_of_this_one(tmp_path: Path) -> None:
    write(tmp_path / "mobile_trim.yaml", list(COUNTS))
    table, spelling = imported(tmp_path / "mobile_trim.yaml", tmp_path)
    with pytest.raises(MissingEntryError) as caught:
        price_by_table(table, MOBILENET_V2.architecture(), spelling)
    assert block(112, 56, 16, 24, 6, 3, 2) in caught.value.why
    assert FIRST not in caught.value.why


@pytest.mark.parametrize("name", PUBLISHED)
def test_any_table_that_has_all_ops_prices_any_published_network(name: str) -> None:
    architecture = PUBLISHED[name].architecture()
    ops = open_space(architecture.space).ops(architecture)
    table = LatencyTable.from_ops("cpu/x", {op: 0.5 for op in ops if not op.is_free})
    price = price_by_table(table, architecture)
    assert price.latency_ms == pytest.approx(0.5 * price.ops)


def test_what_the_format_has_no_word_for_is_named_in_ours_and_what_measures_it() -> None:
    space = proxyless_cifar(width=0.1, depth="1-1-1")
    residual = space.architecture([len(block) - 1 for block in space.blocks])
    ops = [op for op in space.ops(residual) if op.kind != "residual_block"]
    table = LatencyTable.from_ops(
        "cpu/onnxruntime?threads=1", dict.fromkeys(ops, 1.0), Environment.of({})
    )
    with pytest.raises(MissingEntryError) as caught:
        price_by_table(table, residual, "proxylessnas")
    assert caught.value.why.count("residual_block/") == 3
    assert "(" not in caught.value.why
    assert caught.value.hint.startswith("lutier profile --device cpu --runtime onnxruntime")
    assert f"--space '{space.name}'" in caught.value.hint


def test_a_file_need_not_be_imported_and_nobody_can_measure_it(tmp_path: Path) -> None:
    path = tmp_path / "mobile_trim.yaml"
    settings = load_settings({"db": f"sqlite:///{tmp_path / 'lut.db'}"})
    write(path, [FIRST, LAST])
    assert spelling_of(settings, str(path)) == "proxylessnas"
    with pytest.raises(MissingEntryError) as caught:
        price_by_table(
            find_table(settings, str(path)), PROXYLESS_MOBILE.architecture(), "proxylessnas"
        )
    assert "16 of 18 ops" in caught.value.what
    assert all(key in caught.value.why for key in (*BLOCKS, POOL, LINEAR))
    assert caught.value.hint == ""
