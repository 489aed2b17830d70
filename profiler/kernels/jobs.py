"""Jobs of measuring kernels, and whole networks that are made of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from devices.errors import InputError
from profiler.jobs import Job
from profiler.kernels.files import CALL, crowded_key, product_key
from profiler.kernels.network_file import NetworkFile
from profiler.kernels.spec import KernelSpec
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


def kernel_jobs(specs: Iterable[KernelSpec]) -> list[Job]:
    """The jobs of measuring some kernels, each once, and what all of them need.

    That is what a call of the runtime costs, and what weights cost that are in no cache.
    """
    jobs = [Job.of_file(CALL, "kernel", partial(kernel_bytes, None), input_shape(None))]
    for count in _CONVOLUTIONS:
        key = crowded_key(count * CONVOLUTION_BYTES)
        write = partial(crowded_bytes, count)
        jobs.append(Job.of_file(key, "kernel", write, CROWDED_SHAPE, is_first=True))
    for count in _PRODUCTS:
        key = product_key(count * PRODUCT_BYTES)
        write = partial(crowded_product_bytes, count)
        jobs.append(Job.of_file(key, "kernel", write, PRODUCT_SHAPE, is_first=True))
    for spec in dict.fromkeys(specs):
        write = partial(kernel_bytes, spec)
        jobs.append(Job.of_file(spec.key, "kernel", write, input_shape(spec)))
    return jobs


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
    return Job.of_file(network.key, "network", lambda: network.contents, shape, keys, is_first=True)
