"""Ops in the words of the format that a table was read from."""

from __future__ import annotations

from devices.errors import InputError
from profiler.exchange.mit_yaml import DIALECTS
from profiler.ops import OpSpec


def spelled(spec: OpSpec, file_format: str) -> str:
    """The key that an op has, or would have, in a file of some format.

    Args:
        spec: the op.
        file_format: as ``lutier table import --format`` takes it; any text.

    Returns:
        The key; empty where the format is one of Lutier's own or has no keys of ops, and where it
        has no word for this op.
    """
    if file_format not in DIALECTS:
        return ""
    try:
        return DIALECTS[file_format].name_of(spec)
    except InputError:
        return ""
