"""Writing files that are never seen half written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_at_once(path: Path, contents: bytes | str, *, durable: bool = True) -> None:
    """Write a file so that readers see the old contents or the new, never a part.

    Args:
        path: its folder is made where it is missing.
        contents: text is written as UTF-8.
        durable: whether it is to survive a loss of power from then on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = contents.encode() if isinstance(contents, str) else contents
    # Not tempfile.mkstemp: its files can be read by their owner alone, and keep that.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
