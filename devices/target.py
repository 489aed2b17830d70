"""Target: where a model runs, by what, and how, as one stable string."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote

from devices.errors import InputError, UnknownNameError
from devices.phone_name import kept_name

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_LARGEST = 1024
_EXAMPLE = "cpu/onnxruntime?threads=1"
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "precision": ("float32", "int8"),
        "layout": ("contiguous", "channels_last"),
        "graph": ("off", "on"),
        "delegate": ("xnnpack", "none", "gpu", "nnapi", "hexagon"),
        "cores": ("big", "little", "prime", "all"),
    }
)
"""Values of the options that are words, the default first. Not every runtime has every option.

``cores`` may be a mask too, such as ``0xf0``.
"""
_MASK = re.compile(r"0x0*([1-9a-f][0-9a-f]{0,15})", re.IGNORECASE)
_OPTIONS = ("threads", "batch", *CHOICES)


@dataclass(frozen=True, order=True)
class Target:
    """A device, a runtime on it, and the options that change a latency.

    Write one with :meth:`make` or read it with :meth:`parse`; both fill in what is not said, so
    that two ways of saying the same thing give equal targets.

    Attributes:
        device: ``cpu``, ``replay:FILE``, ...; a phone by its alias (:mod:`devices.phone_name`).
        runtime: ``onnxruntime``, ``torch``, ...
        threads: threads the runtime may use for one inference.
        batch: samples in one inference.
        precision: ``float32``, or ``int8`` for weights and activations quantised after training.
        layout: of activations in memory, ``contiguous`` (NCHW) or ``channels_last`` (NHWC).
        graph: ``on`` captures the work of one inference once and replays it (CUDA graphs).
        delegate: of a phone, what LiteRT hands the work to.
        cores: of a phone, the cluster of cores that it runs on: ``big``, ``little``, ``prime`` or
            ``all``, or a mask of cores such as ``0xf0``.
    """

    device: str
    runtime: str
    threads: int = 1
    batch: int = 1
    precision: str = "float32"
    layout: str = "contiguous"
    graph: str = "off"
    delegate: str = "xnnpack"
    cores: str = "big"

    @classmethod
    def make(cls, device: str, runtime: str, options: Mapping[str, str | int]) -> Target:
        """Build a checked target.

        Raises:
            UnknownNameError: an option that does not exist.
            InputError: a value an option cannot have, a device that is empty or that could not be
                read back, a runtime that is not a name.
        """
        if not device:
            raise InputError("the target names no device", hint=_EXAMPLE)
        if "?" in device or not device.isprintable():
            raise InputError(
                f"device {device[:80]!r} cannot be part of a target",
                "it holds a question mark or a character that cannot be printed",
                _EXAMPLE,
            )
        if device.endswith(":") and device.count(":") == 1:
            raise InputError(f"device {device!r} has an empty address", hint=_EXAMPLE)
        if not _NAME.fullmatch(runtime):
            raise InputError(f"runtime {runtime[:80]!r} is not a name", hint=_EXAMPLE)
        checked: dict[str, Any] = {}
        for name, value in options.items():
            if name not in _OPTIONS:
                raise UnknownNameError.of("target option", name, _OPTIONS)
            checked[name] = _word(name, value) if name in CHOICES else _count(name, value)
        return cls(kept_name(device), runtime, **checked)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``DEVICE/RUNTIME?option=value&option=value``.

        Raises:
            UnknownNameError: an option that does not exist.
            InputError: anything else that is not a target.
        """
        place, _, query = text.partition("?")
        device, separator, runtime = place.rpartition("/")
        if not separator:
            raise InputError(
                f"{text[:80]!r} is not a target",
                "a target is written DEVICE/RUNTIME?threads=N",
                f"{text}/onnxruntime?threads=1" if _NAME.fullmatch(text) else _EXAMPLE,
            )
        pairs = parse_qsl(query, keep_blank_values=True)
        options = dict(pairs)
        if len(options) != len(pairs):
            raise InputError(f"{text[:80]!r} says an option twice")
        return cls.make(device, runtime, options)

    @property
    def options(self) -> dict[str, int | str]:
        """The options as they are written: threads always, the others where not the default."""
        options: dict[str, int | str] = {"threads": self.threads}
        if self.batch != 1:
            options["batch"] = self.batch
        for name, (default, *_) in CHOICES.items():
            if getattr(self, name) != default:
                options[name] = getattr(self, name)
        return options

    def refuse_options(self, runtime: str, known: Collection[str]) -> None:
        """Raise :class:`InputError` where an option is set that a runtime does not have.

        Args:
            runtime: what to call it.
            known: names of :data:`CHOICES` that it has.
        """
        for name, value in self.options.items():
            if name in CHOICES and name not in known:
                has = ", ".join(known) or "none but threads and batch"
                raise InputError(f"{name}={value}", f"{runtime} has no option {name}; it has {has}")

    def __str__(self) -> str:
        query = "&".join(f"{name}={quote(str(value))}" for name, value in self.options.items())
        return f"{self.device}/{self.runtime}?{query}"

    @property
    def flags(self) -> str:
        """The target as flags of ``lutier profile``."""
        options = "".join(
            f" --option {name}={value}" if name in CHOICES else f" --{name} {value}"
            for name, value in self.options.items()
        )
        return f"--device {shlex.quote(self.device)} --runtime {self.runtime}{options}"


def _word(name: str, value: str | int) -> str:
    if name == "cores" and (mask := _MASK.fullmatch(str(value))):
        return f"0x{mask[1].lower()}"
    if value not in CHOICES[name]:
        raise UnknownNameError.of(name, str(value)[:40], CHOICES[name])
    return str(value)


def _count(name: str, value: str | int) -> int:
    text = str(value)
    # Short before it is read: Python refuses to read numbers of thousands of digits.
    is_number = text.isascii() and text.isdigit() and len(text) <= 9
    if not is_number or not 1 <= int(text) <= _LARGEST:
        raise InputError(f"{name}={text[:40]!r}", f"must be a whole number from 1 to {_LARGEST}")
    return int(text)
