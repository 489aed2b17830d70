"""The settings file that ``lutier init`` writes: every setting, its default, and what it does."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from devices.errors import InputError
from lutier.settings import FILE_NAME, PREFIX, Settings

_HEAD = f"""\
# Settings of Lutier. They are read from {FILE_NAME} in the folder where a
# command is run.
#
# Shown are the defaults: take away the # before a line to set it. The
# environment wins over this file, and flags win over both: {PREFIX}SEED=1,
# --seed 1.
"""
_WIDTH = 80
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def settings_text() -> str:
    """A settings file in which every setting is a comment: it changes nothing as it is."""
    return "\n".join([_HEAD, *map(_entry, Settings.model_fields.items())])


def write_settings(path: Path, *, force: bool = False) -> None:
    """Write :func:`settings_text` to a file.

    Args:
        path: the file.
        force: overwrite it where it is there already.

    Raises:
        InputError: it is there already, or cannot be written.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(settings_text())
    except FileExistsError as error:
        raise InputError(
            f"{path} is there already", "it was left as it is", "--force, or another -o FILE"
        ) from error
    except OSError as error:
        raise InputError(f"cannot write {path}", error.strerror or str(error)) from error


def _entry(item: tuple[str, FieldInfo]) -> str:
    name, field = item
    said = [f"{field.description}", *filter(None, [_range(field), _unit(field)])]
    words = textwrap.fill(
        " ".join(said), _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    return f"{words}\n#{name} = {_as_toml(field.get_default(call_default_factory=True))}\n"


def _range(field: FieldInfo) -> str:
    words = [
        f"{word} {getattr(bound, name):g}"
        for name, word in _BOUNDS.items()
        for bound in field.metadata
        if hasattr(bound, name)
    ]
    return f"{' '.join(words).capitalize()}." if words else ""


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return f"Unit: {extra['unit']}." if isinstance(extra, dict) else ""


def _as_toml(value: object) -> str:
    """A default as TOML, which writes numbers and texts as JSON does; nothing is an empty text."""
    plain = "" if value is None else str(value) if isinstance(value, Path) else value
    return json.dumps(plain, ensure_ascii=False)
