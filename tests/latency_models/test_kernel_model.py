"""Any network: measured kernels first, then regressed ones, and no price for all others."""

from __future__ import annotations

import pytest

from devices.environment import Environment
from latency_models.kernel_model import KernelModel
from profiler.kernels import KernelSpec
from profiler.kernels.files import CALL, crowded_key
from profiler.kernels.graph import Kernel
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

CALL_MS = 0.002


def relu(count: int) -> KernelSpec:
    return KernelSpec.parse(f"onnxruntime/onnx:Relu:14/1x{count}>1x{count}/")


def true_ms(count: int) -> float:
    return 1e-4 + count * 1e-6


EXP = KernelSpec.parse("onnxruntime/onnx:Exp:13/1x8>1x8/")
COUNTS = (10, 20, 40, 60, 100, 150, 250, 400, 600, 1000)
KERNELS = [PortableRow(CALL, "kernel", CALL_MS)] + [
    PortableRow(relu(count).key, "kernel", CALL_MS + 8 * true_ms(count)) for count in COUNTS
]


def kernels(*specs: KernelSpec) -> list[Kernel]:
    return [Kernel(f"node{i}", spec.kind, spec) for i, spec in enumerate(specs)]


def model(*networks: PortableRow) -> KernelModel:
    rows = [*KERNELS, *networks]
    return KernelModel.fit(LatencyTable.from_rows("t", Environment.of({}), rows))


def test_a_network_of_measured_kernels_is_their_sum() -> None:
    found = model().predict(kernels(relu(10), relu(1000), relu(10)))
    assert found.latency_ms == pytest.approx(2 * true_ms(10) + true_ms(1000))
    assert found.is_complete
    assert [each.source for each in found.kernels] == ["measured"] * 3
    assert (found.share("measured"), found.share("regressed")) == (1, 0)


def test_a_kernel_between_them_is_regressed_and_says_so() -> None:
    found = model().predict(kernels(relu(10), relu(300)))
    assert [each.source for each in found.kernels] == ["measured", "regressed"]
    assert found.kernels[1].latency_ms == pytest.approx(true_ms(300), rel=0.1)
    assert found.share("measured") + found.share("regressed") == pytest.approx(1)
    assert found.share("regressed") > 0.5


def test_a_kernel_without_a_price_is_named_and_adds_nothing() -> None:
    uncut = Kernel("loop", "onnx:Loop", None, "it holds a graph")
    found = model().predict([*kernels(relu(10), EXP, relu(10**6)), uncut])
    assert not found.is_complete
    assert [each.kind for each in found.unknown] == ["onnx:Exp", "onnx:Relu", "onnx:Loop"]
    assert all(each.latency_ms is None and each.objection for each in found.unknown)
    assert found.unknown[0].key == EXP.key
    assert found.latency_ms == pytest.approx(true_ms(10))
    assert found.share("unknown") == 0.75


def test_it_is_calibrated_on_networks_whose_kernels_are_all_measured() -> None:
    specs = [relu(count) for count in COUNTS]
    ops = " ".join(spec.key for spec in specs)
    total = sum(map(true_ms, COUNTS))
    networks = [PortableRow(f"file/{n}", "network", 1.1 * total, ops=ops) for n in range(8)]
    networks.append(PortableRow("file/x", "network", 99.0, ops=EXP.key))
    networks.append(PortableRow("mobile-tiny:0", "network", 99.0))
    fitted = model(*networks)
    assert fitted.calibration.networks == 8
    assert fitted.predict(kernels(*specs)).latency_ms == pytest.approx(1.1 * total, rel=0.02)


def test_weights_far_beyond_those_of_the_calibration_make_a_reservation() -> None:
    gemm = KernelSpec.parse("onnxruntime/onnx:Gemm:13/1x4000,w4000x4000>1x4000/")
    crowded = [
        PortableRow(crowded_key(size * 10**6), "kernel", CALL_MS + ms)
        for size, ms in ((4, 0.4), (16, 1.6), (64, 9.6))
    ]
    price = PortableRow(gemm.key, "kernel", CALL_MS + 5.0)
    found = model(*crowded, price).predict(kernels(gemm))
    assert found.reservation == "64 MB of weights, and no network with more than 0 MB was measured"
    assert found.latency_ms == pytest.approx(5.0 + 64 * 0.05)
    network = PortableRow("file/net", "network", 8.2, ops=gemm.key)
    assert model(*crowded, price, network).predict(kernels(gemm)).reservation == ""


def test_a_table_without_kernels_prices_nothing() -> None:
    empty = KernelModel.fit(LatencyTable.from_rows("t", Environment.of({}), []))
    found = empty.predict(kernels(relu(10)))
    assert (found.latency_ms, found.is_complete) == (0, False)
