"""What the measured files of kernels say of the kernels."""

from __future__ import annotations

from collections.abc import Mapping

from devices.errors import InputError
from profiler.kernels.spec import RUNTIME, KernelSpec

CALL = f"{RUNTIME}/call"
"""Key of the file without any kernel."""
_CROWDED = f"{RUNTIME}/weights="
_PRODUCTS = f"{RUNTIME}/product-weights="
_LEAST = 0.1
"""Share of what a file takes that its kernels take at the least, whatever the call costs."""


def crowded_key(size_bytes: int) -> str:
    """Key of the file of convolutions with so many bytes of weights."""
    return f"{_CROWDED}{size_bytes}"


def product_key(size_bytes: int) -> str:
    """Key of the file of products with so many bytes of weights."""
    return f"{_PRODUCTS}{size_bytes}"


def is_shared(key: str) -> bool:
    """Whether a key is that of a file which all kernels need, and is no kernel."""
    return key == CALL or any(_bytes_of(key, start) for start in (_CROWDED, _PRODUCTS))


def _bytes_of(key: str, start: str) -> int | None:
    size = key.removeprefix(start)
    is_size = key.startswith(start) and size.isascii() and size.isdigit()
    return int(size) if is_size and len(size) <= 12 and int(size) > 0 else None


def kernel_latencies_ms(files_ms: Mapping[str, float]) -> dict[KernelSpec, float]:
    """What each kernel takes, in ms.

    Args:
        files_ms: latency of each file of kernels, by key; those of no kernel known here are left
            out. Without that of the file without any kernel, what a call costs counts as theirs.
    """
    call_ms = files_ms.get(CALL, 0.0)
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
    call_ms = files_ms.get(CALL, 0.0)
    sizes = {
        size: file_ms
        for key, file_ms in files_ms.items()
        if (size := _bytes_of(key, start)) is not None
    }
    return {size: max(ms - call_ms, _LEAST * ms) for size, ms in sorted(sizes.items())}
