"""What the names of architectures say of them, for a transfer."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

_SEPARATORS = re.compile(r"[\s|+,;/()\[\]]+")
_ROWS_PER_FEATURE = 4


def position_features(names: Sequence[Hashable] | pd.Index) -> pd.DataFrame | None:
    """Which choice an architecture has at which position, where its name says so.

    A name is split at ``| + , ; /``, brackets and blanks, as in
    ``|nor_conv_3x3~0|+|skip_connect~0|none~1|+...`` of NAS-Bench-201 or ``[0, 3, 5]`` of FBNet.

    Args:
        names: the architectures; a tuple of choices is taken as such.

    Returns:
        A column of zeros and ones for each choice at each position that not all have, indexed by
        the names. ``None`` where the names do not all have the same number of parts, at least two,
        or hold so many different ones that these cannot be choices.
    """
    parts = [_split(name) for name in names]
    lengths = {len(row) for row in parts}
    if len(lengths) != 1 or min(lengths) < 2:
        return None
    columns: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    for position, choices in enumerate(zip(*parts, strict=True)):
        different = sorted(set(choices))
        if len(different) > max(2, len(parts) // _ROWS_PER_FEATURE):
            return None
        if len(different) > 1:
            array = np.array(choices, dtype=object)
            for choice in different:
                columns[f"{position}:{choice}"] = (array == choice).astype(np.float64)
    if not columns or len(columns) > max(2, len(parts) // _ROWS_PER_FEATURE):
        return None
    index = names if isinstance(names, pd.Index) else pd.Index(list(names), tupleize_cols=False)
    return pd.DataFrame(columns, index=index)


def _split(name: Hashable) -> list[str]:
    if isinstance(name, tuple):
        return [str(part) for part in name]
    return [part for part in _SEPARATORS.split(str(name)) if part]
