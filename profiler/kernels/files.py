"""What the measured files of kernels say of the kernels."""

from __future__ import annotations

from collections.abc import Mapping

from devices.errors import InputError
from profiler.kernels.spec import ONNXRUNTIME, RUNTIMES, KernelSpec

CALL = f"{ONNXRUNTIME}/call"
"""Key of ONNX Runtime's file without any kernel."""
_CROWDED = "weights="
_PRODUCTS = "product-weights="
_LEAST = 0.1
"""Share of what a file takes that its kernels take at the least, whatever the call costs."""


def call_key(runtime: str) -> str:
    """Key of a runtime's file without any kernel."""
    return f"{runtime}/call"


def crowded_key(size_bytes: int, runtime: str = ONNXRUNTIME) -> str:
    """Key of the file of convolutions with so many bytes of weights."""
    return f"{runtime}/{_CROWDED}{size_bytes}"


def product_key(size_bytes: int, runtime: str = ONNXRUNTIME) -> str:
    """Key of the file of products with so many bytes of weights."""
    return f"{runtime}/{_PRODUCTS}{size_bytes}"


def is_shared(key: str) -> bool:
    """Whether a key is that of a file which all kernels need, and is no kernel."""
    calls = [call_key(runtime) for runtime in RUNTIMES]
    return key in calls or any(_bytes_of(key, start) for start in (_CROWDED, _PRODUCTS))


def is_made_of_kernels(keys: str) -> bool:
    """Whether keys, a blank between them, are of kernels."""
    return keys.partition("/")[0] in RUNTIMES


def _bytes_of(key: str, start: str) -> int | None:
    runtime, _, text = key.partition("/")
    size = text.removeprefix(start)
    is_size = text.startswith(start) and size.isascii() and size.isdigit()
    is_size = is_size and runtime in RUNTIMES
    return int(size) if is_size and len(size) <= 12 and int(size) > 0 else None


def kernel_latencies_ms(files_ms: Mapping[str, float]) -> dict[KernelSpec, float]:
    """What each kernel takes, in ms.

    Args:
        files_ms: latency of each file of kernels, by key; those of no kernel known here are left
            out. Without that of the file without any kernel, what a call costs counts as theirs.
    """
    call_ms = _call_ms(files_ms)
    found = {}
    for key, file_ms in files_ms.items():
        try:
            spec = KernelSpec.parse(key)
        except InputError:
            continue
        found[spec] = max(file_ms - call_ms, _LEAST * file_ms) / spec.copies
    return found


def crowded_latencies_ms(
    files_ms: Mapping[str, float], *, products: bool = False
) -> dict[int, float]:
    """What files of convolutions take, in ms, by the bytes of their weights, the fewest first.

    Args:
        files_ms: latency of each file, by key.
        products: whether those of products are wanted instead.
    """
    start = _PRODUCTS if products else _CROWDED
    call_ms = _call_ms(files_ms)
    sizes = {
        size: file_ms
        for key, file_ms in files_ms.items()
        if (size := _bytes_of(key, start)) is not None
    }
    return {size: max(ms - call_ms, _LEAST * ms) for size, ms in sorted(sizes.items())}


def _call_ms(files_ms: Mapping[str, float]) -> float:
    """What the file without any kernel takes; a table is of one runtime. 0 where it is unknown."""
    calls = (files_ms.get(call_key(runtime)) for runtime in RUNTIMES)
    return next((ms for ms in calls if ms is not None), 0.0)
