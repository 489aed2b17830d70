"""The way to one phone: what was cut is waited for and done again, and files are sent once."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from devices.adb import Adb, Reply
from devices.errors import DeviceError, LinkLostError
from devices.phone_name import KIND, alias

FOLDER = "/data/local/tmp/lutier"
"""On the phone: what is here is Lutier's own."""
MODELS = "models"
"""In it, the model files."""

_QUICK_S = 30.0
_OPEN_S = 10.0
_LINK_ATTEMPTS = 20
_AGAIN_AFTER_S = 0.5
_PUSH_S = 60.0
_PUSH_BYTES_PER_S = 1e6

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class PhoneLink:
    """The way to a phone that is ready.

    Args:
        adb: what reaches it.
        serial: as adb lists it.
        patience_s: how long it is waited for where it goes away.

    Raises:
        LinkLostError: it is not ready.
    """

    def __init__(self, adb: Adb, serial: str, patience_s: float) -> None:
        self._adb = adb
        self._serial = serial
        self._patience_s = patience_s
        self._sent: set[str] | None = None
        adb.wait(serial, _OPEN_S)

    @property
    def name(self) -> str:
        """Of the phone: ``android:`` and its alias."""
        return f"{KIND}:{alias(self._serial)}"

    def persist(self, action: Callable[[], _T]) -> _T:
        """Do something that may be done again, until the way to the phone holds.

        Raises:
            LinkLostError: the phone did not come back, or goes away every time.
        """
        for attempt in range(_LINK_ATTEMPTS):
            try:
                return action()
            except LinkLostError as error:
                if attempt == _LINK_ATTEMPTS - 1:
                    raise
                _log.warning("%s (%s); it is waited for", error.what, error.why)
                # A restart, or whoever cleans up: what was sent may be gone.
                self._sent = None
                time.sleep(_AGAIN_AFTER_S)
                self._adb.wait(self._serial, self._patience_s)
        raise AssertionError("the last attempt returns or raises")

    def run(self, *commands: Sequence[str], timeout_s: float, bound: bool = False) -> list[Reply]:
        """Run commands once; as :meth:`devices.adb.Adb.run`."""
        return self._adb.run(self._serial, *commands, timeout_s=timeout_s, bound=bound)

    def ask(self, *commands: Sequence[str]) -> list[Reply]:
        """Run commands that are quick and may be run again."""
        return self.persist(lambda: self.run(*commands, timeout_s=_QUICK_S))

    def send(self, local: Path, name: str) -> str:
        """Bring a file into :data:`FOLDER`, unless it is there.

        Args:
            local: the file.
            name: of its contents: what is there under that name is taken for the same.

        Returns:
            Its path on the phone.

        Raises:
            DeviceError: the phone has no room, or lets nobody write there.
            LinkLostError: it did not come back.
        """
        remote = f"{FOLDER}/{name}"

        def send() -> None:
            if self._sent is None:
                self._sent = self._listed()
            if name in self._sent:
                return
            seconds = _PUSH_S + local.stat().st_size / _PUSH_BYTES_PER_S
            self._adb.push(self._serial, local, remote, timeout_s=seconds)
            self._sent.add(name)

        self.persist(send)
        return remote

    def _listed(self) -> set[str]:
        """What is in the folder on the phone; files that came half have other names."""
        models = f"{FOLDER}/{MODELS}"
        made, *lists = self.run(
            ["mkdir", "-p", models], ["ls", FOLDER], ["ls", models], timeout_s=_QUICK_S
        )
        if made.status != 0:
            raise DeviceError(
                f"{self.name} lets nobody write to {FOLDER}",
                made.output.strip()[-200:],
                "free some space on the phone, or another phone",
            )
        here, inside = (reply.output.split() for reply in lists)
        return {*here, *(f"{MODELS}/{name}" for name in inside)}

    def tidy(self) -> None:
        """Remove the models from the phone, where any were sent and it is still there."""
        if not self._sent:
            return
        self._sent = None
        with contextlib.suppress(DeviceError):
            self.run(["rm", "-rf", f"{FOLDER}/{MODELS}"], timeout_s=_QUICK_S)
