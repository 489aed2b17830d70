"""Writing files that are never seen half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_at_once(path: Path, contents: bytes | str) -> None:
    """Write a file so that readers see the old contents or the new, never a part.

    Args:
        path: its folder is made where it is missing.
        contents: text is written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = contents.encode() if isinstance(contents, str) else contents
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
