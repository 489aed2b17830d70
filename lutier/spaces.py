"""What there is to search in: all spaces, and networks of them that have a name."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from devices.errors import LutierError
from search.architecture import Architecture
from search.spaces.base import SearchSpace
from search.spaces.published import PUBLISHED
from search.spaces.registry import open_space, space_factory, space_names

_TROUBLE = (LutierError, ImportError, AttributeError, TypeError, ValueError)
"""What a plug-in of a space that is broken, or wants a parameter, raises when it is opened."""


@dataclass(frozen=True)
class ListedSpace:
    """A space as a list of them shows it.

    Attributes:
        name: without parameters.
        summary: one line.
        parameters: of its name, with their defaults.
        space: with the defaults; None where it cannot be opened.
        trouble: why not.
    """

    name: str
    summary: str
    parameters: dict[str, Any]
    space: SearchSpace | None
    trouble: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "parameters": self.parameters,
            **(sizes(self.space) if self.space else {}),
            "trouble": self.trouble,
        }


@dataclass(frozen=True)
class NamedNetwork:
    """A network as a list of them shows it.

    Attributes:
        name: that it is opened by; empty where it has none.
        summary: one line.
        architecture: the network.
        parameters: trainable ones.
        mega_macs: multiply-accumulates of one image, in millions.
    """

    name: str
    summary: str
    architecture: Architecture
    parameters: int
    mega_macs: float

    @classmethod
    def of(cls, architecture: Architecture, name: str = "", summary: str = "") -> NamedNetwork:
        """A network with what it costs on paper."""
        ops = open_space(architecture.space).ops(architecture)
        return cls(
            name,
            summary,
            architecture,
            sum(op.parameters for op in ops),
            sum(op.flops for op in ops) / 2e6,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "architecture": self.architecture.id,
            "space": self.architecture.space,
            "parameters": self.parameters,
            "mega_macs": self.mega_macs,
        }


def sizes(space: SearchSpace) -> dict[str, Any]:
    """How large a space is."""
    return {
        "networks": space.size,
        "choices": len(space.widths),
        "ops": len(space.all_ops()),
        "input": list(space.input_shape),
        "classes": space.classes,
    }


def list_spaces() -> list[ListedSpace]:
    """All spaces, sorted by name. A plug-in that cannot be opened is listed with the reason."""
    return [_listed(name) for name in space_names()]


def _listed(name: str) -> ListedSpace:
    try:
        factory = space_factory(name)
        known = inspect.signature(factory).parameters
        parameters = {key: parameter.default for key, parameter in known.items()}
        summary = (inspect.getdoc(factory) or "").partition("\n")[0]
        return ListedSpace(name, summary, parameters, factory())
    except _TROUBLE as error:
        return ListedSpace(name, "", {}, None, f"{type(error).__name__}: {error}"[:200])


def list_networks() -> list[NamedNetwork]:
    """All networks that have a name, in the order they are kept."""
    return [
        NamedNetwork.of(network.architecture(), network.name, network.summary)
        for network in PUBLISHED.values()
    ]
