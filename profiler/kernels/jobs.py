"""Jobs of measuring kernels, and whole networks that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from devices.errors import InputError, MissingExtraError
from profiler.jobs import Job
from profiler.kernels.files import call_key, crowded_key, product_key
from profiler.kernels.network_file import NetworkFile
from profiler.kernels.spec import LITERT, ONNXRUNTIME, KernelSpec
from profiler.kernels.writer import (
    CONVOLUTION_BYTES,
    CROWDED_SHAPE,
    PRODUCT_BYTES,
    PRODUCT_SHAPE,
    crowded_bytes,
    crowded_product_bytes,
    input_shape,
    kernel_bytes,
)

_CONVOLUTIONS = (16, 32, 46, 54, 62, 70, 80, 92, 108, 140, 190, 270)
"""In the files that show what weights cost: 4 to 71 MB of them."""
_PRODUCTS = (4, 60)
"""The same of products: all of them in most caches, and none."""


@dataclass(frozen=True)
class _Writer:
    """What writes the files of a runtime's kernels, and the inputs of those of many weights."""

    file_format: str
    kernel: Callable[[KernelSpec | None], bytes]
    crowded: Callable[[int], bytes]
    crowded_shape: tuple[int, ...]
    products: Callable[[int], bytes]
    product_shape: tuple[int, ...]


def _writer(runtime: str) -> _Writer:
    if runtime != LITERT:
        return _Writer(
            "onnx",
            kernel_bytes,
            crowded_bytes,
            CROWDED_SHAPE,
            crowded_product_bytes,
            PRODUCT_SHAPE,
        )
    try:
        from profiler.kernels import tflite_writer
    except ImportError as error:
        raise MissingExtraError(
            "TFLite files cannot be written", str(error), "pip install 'lutier[litert]'"
        ) from error
    return _Writer(
        "tflite",
        tflite_writer.kernel_tflite_bytes,
        tflite_writer.crowded_tflite_bytes,
        tflite_writer.CROWDED_SHAPE,
        tflite_writer.crowded_product_tflite_bytes,
        tflite_writer.PRODUCT_SHAPE,
    )


def kernel_jobs(specs: Iterable[KernelSpec], runtime: str = ONNXRUNTIME) -> list[Job]:
    """The jobs of measuring some kernels, each once, and what all of them need.

    That is what a call of the runtime costs, and what weights cost that are in no cache.

    Args:
        specs: of that runtime.
        runtime: one of :data:`profiler.kernels.spec.RUNTIMES`.

    Raises:
        MissingExtraError: the writer of the runtime's files is not installed.
    """
    writer = _writer(runtime)

    def job(key: str, write: Callable[[], bytes], shape: tuple[int, ...], first: bool) -> Job:
        return Job.of_file(
            key, "kernel", write, shape, is_first=first, file_format=writer.file_format
        )

    jobs = [job(call_key(runtime), partial(writer.kernel, None), input_shape(None), False)]
    for count in _CONVOLUTIONS:
        key = crowded_key(count * CONVOLUTION_BYTES, runtime)
        jobs.append(job(key, partial(writer.crowded, count), writer.crowded_shape, True))
    for count in _PRODUCTS:
        key = product_key(count * PRODUCT_BYTES, runtime)
        jobs.append(job(key, partial(writer.products, count), writer.product_shape, True))
    distinct = dict.fromkeys(specs)
    return [
        *jobs,
        *(
            job(each.key, partial(writer.kernel, each), input_shape(each), False)
            for each in distinct
        ),
    ]


def file_job(network: NetworkFile, specs: Iterable[KernelSpec]) -> Job:
    """The job of measuring a network in a file.

    Args:
        network: the file.
        specs: the kernels that it is made of.

    Raises:
        InputError: it takes several inputs.
    """
    if len(network.inputs) != 1:
        raise InputError(
            f"{network.path} takes {len(network.inputs)} inputs",
            "networks with one input can be measured",
        )
    (shape,) = network.inputs.values()
    keys = tuple(spec.key for spec in specs)
    return Job.of_file(
        network.key,
        "network",
        lambda: network.contents,
        shape,
        keys,
        is_first=True,
        file_format=network.file_format,
    )
