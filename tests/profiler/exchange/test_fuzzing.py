"""Whatever a file holds, an importer answers with a table or with one of Lutier's errors.

``benchmarks/fuzz_imports.py`` runs the same with as many examples as are wanted.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import datetime
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.environment import Environment
from devices.errors import InputError, LutierError
from devices.target import Target
from profiler.exchange import json_file, mit_yaml, parquet
from profiler.exchange.importing import READERS, read_table
from profiler.exchange.source import Source
from profiler.ops import OpSpec, kinds
from profiler.storage.portable import PortableRow, PortableVisit
from profiler.table import LatencyTable
from profiler.visit import Visit

FUZZ = hypothesis.settings.get_profile("exchange")
TARGET = Target.parse("a/b?threads=1")
VISIT = PortableVisit(datetime(2026, 1, 2, 3, 4, 5), (0.5, 0.75), (0.25, 0.25))
ROWS = [
    PortableRow(
        "linear/64/out=10",
        "op",
        0.25,
        0.2,
        0.3,
        0.01,
        0.02,
        12,
        60,
        0.5,
        0.25,
        "few noisy",
        protocol={"warmup_runs": 2},
    ),
    PortableRow("global_avg_pool/64x8x8/", "op", 0.5, findings="sound", recorded=(VISIT, VISIT)),
    PortableRow("mobile-tiny:000000000", "network", 3.5),
    PortableRow("call", "call", 0.125),
    PortableRow("net", "carrier", 2.5, ops="linear/64/out=10 global_avg_pool/64x8x8/"),
]
HERE = Environment.of({"chip": "A"})
CSV = b"key,median_ms,visits\nlinear/64/out=10,0.5,3\nconv/3x8x8/out=4;kernel=3,1e3,\n"
NB201 = b"arch,gpu\n|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|,1.5\n"
FBNET = b"ir_k3_e6 skip\n" + b"1.5 2.5\n" * 22
YAML = mit_yaml.write("a/b", ROWS, mit_yaml.DIALECTS["proxylessnas"]).contents
BLOCK = b"expanded_conv-input:8x8x16-output:8x8x16-expand:48-kernel:3-stride:1-idskip:1-se:0-hs:0"
SEEDS = {
    "csv": CSV,
    "json": json_file.write("a/b", HERE, ROWS).contents,
    "parquet": parquet.write("a/b", HERE, ROWS).contents,
    "proxylessnas": YAML,
    "once-for-all": YAML + BLOCK + b": {mean: 1.5}\n",
    "nasbench201": NB201,
    "fbnet": FBNET,
}

outcomes: Counter[tuple[str, str]] = Counter()
"""How often each format was answered with what; the benchmark prints it."""

cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["linear/64/out=10", "op", "network", "0.5", "nan", "-1", "1:30", "2026-01-01"]
    ),
    st.lists(st.floats(), max_size=3),
    st.lists(st.lists(st.floats(), max_size=3), max_size=2),
)
values = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
columns = st.sampled_from(
    [*json.loads(SEEDS["json"])["rows"][0], "latency_ms", "arch", "op", "input_shapes", "latency"]
)
documents = st.one_of(
    values,
    st.lists(st.dictionaries(columns, values, max_size=6), max_size=5),
    st.fixed_dictionaries(
        {"format": st.just("lutier-table"), "version": st.just(1)},
        optional={
            "target": values | st.just("a/b"),
            "environment": values | st.just({"chip": "A"}),
            "protocols": values | st.just({"x": {"runs": 1}}),
            "rows": values | st.lists(st.dictionaries(columns, values), max_size=5),
        },
    ),
)


def attempt(file_format: str, data: bytes) -> None:
    """Read bytes as a format: a table whose every figure is usable, or an error of ours."""
    try:
        table = read_table(Source.of("a.file", data), file_format, target=TARGET)
    except LutierError as error:
        outcomes[file_format, type(error).__name__] += 1
        return
    outcomes[file_format, "a table"] += 1
    report = table.report
    LatencyTable.from_rows("a/b", HERE, table.screened.rows).to_dict()
    for row in table.screened.rows:
        assert 0 < row.median_ms < float("inf")
        assert row.role in ("op", "network", "carrier", "call", "kernel")
        assert row.role != "op" or OpSpec.parse(row.key).key == row.key
        assert row.nominal_ms is None or 0 < row.nominal_ms < float("inf")
        assert row.exponent is None or 0 <= row.exponent < float("inf")
        assert row.findings is None or len(row.findings) <= 200
        assert all(OpSpec.parse(key).key == key for key in (row.ops or "").split())
        for visit in row.recorded:
            # What the store takes it gives back.
            Visit.from_columns(list(visit.samples_ms), list(visit.reference_ms))
    keys = [row.key for row in table.screened.rows]
    assert len(set(keys)) == len(keys)
    assert all(listed.reason for listed in (*report.rejected, *report.unmapped))
    # What is listed can be printed and sent on as UTF-8.
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize("file_format", READERS)
@hypothesis.settings(FUZZ)
@given(data=st.binary(max_size=400))
def test_any_bytes(file_format: str, data: bytes) -> None:
    attempt(file_format, data)


@pytest.mark.parametrize("file_format", READERS)
@hypothesis.settings(FUZZ)
@given(text=st.text(max_size=400))
def test_any_text(file_format: str, text: str) -> None:
    attempt(file_format, text.encode(errors="replace"))


@pytest.mark.parametrize("file_format", READERS)
@hypothesis.settings(FUZZ)
@given(data=st.data())
def test_a_file_with_some_of_its_bytes_changed(file_format: str, data: st.DataObject) -> None:
    damaged = bytearray(SEEDS[file_format])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not damaged:
            break
    attempt(file_format, bytes(damaged))


@pytest.mark.parametrize("file_format", ["json", "fbnet"])
@hypothesis.settings(FUZZ)
@given(document=documents)
def test_any_json(file_format: str, document: Any) -> None:
    attempt(file_format, json.dumps(document).encode())


@pytest.mark.parametrize("file_format", ["proxylessnas", "once-for-all"])
@hypothesis.settings(FUZZ)
@given(
    rows=st.dictionaries(
        st.sampled_from([line.split(b": ")[0].decode() for line in YAML.splitlines()])
        | st.text(max_size=20),
        values | st.dictionaries(st.sampled_from(["mean", "count", "std"]), cells),
        max_size=6,
    )
)
def test_any_yaml(file_format: str, rows: dict[str, Any]) -> None:
    attempt(file_format, json.dumps(rows).encode())


@pytest.mark.parametrize("file_format", ["csv", "nasbench201"])
@hypothesis.settings(FUZZ)
@given(
    names=st.lists(columns | st.text(max_size=6), max_size=5),
    table=st.lists(st.lists(cells.map(str), max_size=6), max_size=6),
)
def test_any_csv(file_format: str, names: list[str], table: list[list[str]]) -> None:
    lines = [",".join(names), *(",".join(row) for row in table)]
    attempt(file_format, "\n".join(lines).encode(errors="replace"))


@pytest.mark.parametrize("file_format", ["parquet", "nasbench201"])
@hypothesis.settings(FUZZ)
@given(
    data=st.data(),
    names=st.lists(columns, min_size=1, max_size=5, unique=True),
    count=st.integers(0, 5),
)
def test_any_parquet(file_format: str, data: st.DataObject, names: list[str], count: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds_of_column = st.sampled_from(
        [
            st.floats() | st.none(),
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.text(max_size=8).map(lambda text: text.encode(errors="replace").decode()),
            st.binary(max_size=8),
            st.booleans(),
            st.datetimes(),
            st.lists(st.lists(st.floats(), max_size=2), max_size=2),
        ]
    )
    made = {
        name: data.draw(st.lists(data.draw(kinds_of_column), min_size=count, max_size=count))
        for name in names
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(made), sink)
    attempt(file_format, sink.getvalue().to_pybytes())


def mobile_like() -> list[OpSpec]:
    """One op of several kinds."""
    return [
        OpSpec.make("conv", (3, 32, 32), out=16, kernel=3, stride=2),
        OpSpec.make("mbconv", (16, 16, 16), out=24, kernel=5, stride=2, expand=6),
        OpSpec.make("mbconv", (16, 8, 8), out=16, kernel=3, expand=4, groups=4, activation="relu"),
        OpSpec.make("depthwise_conv", (16, 16, 16), kernel=3),
        OpSpec.make("global_avg_pool", (64, 8, 8)),
        OpSpec.make("linear", (64,), out=10),
    ]


def edited(key: str, at: int, text: str) -> str:
    """A key with one character replaced, at any place."""
    at %= len(key)
    return key[:at] + text + key[at + 1 :]


KEYS = [spec.key for spec in mobile_like()]
key_texts = st.one_of(
    st.sampled_from(KEYS),
    st.builds(edited, st.sampled_from(KEYS), st.integers(0, 99), st.text(max_size=2)),
    st.builds(edited, st.sampled_from(KEYS), st.integers(0, 99), st.sampled_from("0123456789")),
    st.text(max_size=60),
    st.from_regex(r"[a-z_]{1,12}/[0-9x]{1,12}/[a-z=0-9,]{0,30}", fullmatch=True),
    st.builds(
        lambda kind, shape, pairs: f"{kind}/{'x'.join(map(str, shape))}/{','.join(pairs)}",
        st.sampled_from(kinds()),
        st.lists(st.integers(-1, 10**9), min_size=1, max_size=4),
        st.lists(
            st.builds(
                lambda name, value: f"{name}={value}",
                st.sampled_from(["out", "kernel", "stride", "expand", "activation", "groups"]),
                st.integers(-3, 10**10) | st.sampled_from(["relu", "relu6", "none", "x"]),
            ),
            max_size=6,
        ),
    ),
)


runs = st.lists(st.lists(st.floats(0, 1e6), max_size=2), min_size=1, max_size=2)
nearly_right = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from(KEYS) | key_texts, "median_ms": st.floats(1e-6, 1e6) | cells},
        optional={
            "role": st.sampled_from(["op", "network", "carrier", "call", "kernel", "", "layer"]),
            "ci_low_ms": st.floats(0, 1e6) | cells,
            "ci_high_ms": st.floats(0, 1e6) | cells,
            "visits": st.integers(-1, 50) | cells,
            "exponent": st.floats(0, 2) | cells,
            "nominal_ms": st.floats(0, 1e6) | cells,
            "findings": st.sampled_from(["sound", "few noisy", "Noisy", "a" * 30]) | cells,
            "ops": st.lists(st.sampled_from(KEYS) | key_texts, max_size=3).map(" ".join) | cells,
            "visits_ms": runs | cells,
            "visits_at": st.lists(st.datetimes().map(str), min_size=1, max_size=2) | cells,
            "references_ms": runs | cells,
            "finished_at": st.datetimes().map(str) | cells,
        },
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("file_format", ["csv", "json"])
@hypothesis.settings(FUZZ)
@given(rows=nearly_right)
def test_rows_that_are_nearly_right(file_format: str, rows: list[dict[str, Any]]) -> None:
    if file_format == "json":
        attempt(file_format, json.dumps(rows).encode())
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([row.get(name) for name in names] for row in rows)
    attempt(file_format, text.getvalue().encode(errors="replace"))


@hypothesis.settings(FUZZ)
@given(text=key_texts)
def test_any_text_as_a_key_is_an_op_or_an_error(text: str) -> None:
    try:
        spec = OpSpec.parse(text)
    except InputError as error:
        outcomes["op key", type(error).__name__] += 1
        return
    outcomes["op key", "an op"] += 1
    assert OpSpec.parse(spec.key) == spec
    assert spec.flops >= 0
