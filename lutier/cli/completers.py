"""Names that a shell offers when Tab is pressed. None of them imports torch or asks a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

DATA = ("cifar10:", "digits", "fashion-mnist:", "imagefolder:")
"""Names of :mod:`search.data`, which imports torch; a colon where a folder follows."""
SCORES = ("az_nas", "random")
"""What networks are ranked by beside the proxies."""
_ADDRESSED = {"cuda": "cuda:0", "replay": "replay:", "ssh": "ssh:"}


def _completer(names: Callable[[click.Context], Iterable[str]]) -> Completer:
    """A completer of what ``names`` gives that begins as typed."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names(context) if name.startswith(incomplete)]

    return complete


def _space_names(context: click.Context) -> Iterable[str]:
    from search.spaces.registry import space_names

    return space_names()


def _network_names(context: click.Context) -> Iterable[str]:
    from search.spaces.registry import architecture_names, space_names

    return (*space_names(), *architecture_names())


def _device_names(context: click.Context) -> Iterable[str]:
    from devices.registry import device_names

    return [_ADDRESSED.get(name, name) for name in device_names()]


def _runtime_names(context: click.Context) -> Iterable[str]:
    from devices.host import HostDevice

    return HostDevice().runtimes


def _part_names(context: click.Context) -> Iterable[str]:
    from devices.host import HostDevice
    from lutier.extras import extra_names

    return sorted({*extra_names(), *HostDevice().runtimes})


def _stored_targets(context: click.Context) -> Iterable[str]:
    from devices.errors import LutierError
    from lutier.settings import load_settings
    from profiler.storage.peek import peek_targets

    try:
        return peek_targets(load_settings({"db": context.params.get("db")}).db_url)
    except LutierError:
        return ()


def complete_score(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Proxies, also behind the + or * of others."""
    typed, last = re.fullmatch(r"(.*[+*])?(.*)", incomplete, re.DOTALL).groups("")  # type: ignore[union-attr]
    names = [entry.name for entry in entry_points(group="lutier.proxies")]
    known = sorted(names if typed else [*names, *SCORES])
    return [CompletionItem(typed + name) for name in known if name.startswith(last)]


complete_data = _completer(lambda context: DATA)
complete_device = _completer(_device_names)
complete_network = _completer(_network_names)
complete_part = _completer(_part_names)
complete_runtime = _completer(_runtime_names)
complete_space = _completer(_space_names)
complete_target = _completer(_stored_targets)
