"""What the writers of model files share: a module must compute what its writer thinks it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from devices.errors import InputError


def check_forward(module: nn.Module, writers: Mapping[type, Any], file_format: str) -> None:
    """Refuse a module whose nearest writer is that of a parent with another ``forward``.

    A subclass inherits the writer of its parent. Where it has a ``forward`` of its own, that
    writer's graph would be of another function.

    Args:
        module: to be written.
        writers: by module class, as ``functools.singledispatch`` keeps them in ``registry``.
        file_format: for the message.

    Raises:
        InputError: an overridden ``forward``.
    """
    for parent in type(module).__mro__:
        if parent in writers and issubclass(parent, nn.Module) and parent is not nn.Module:
            if type(module).forward is not parent.forward:
                raise InputError(
                    f"{type(module).__name__} cannot be written to {file_format}",
                    f"it computes something else than {parent.__name__}",
                    "register a writer for it with emit.register",
                )
            return
