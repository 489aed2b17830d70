"""The contract every device is held to; plug-ins run it too.

Subclass :class:`DeviceContract` in a test module and give it the three fixtures-to-be::

    class TestMyDevice(DeviceContract):
        def make_device(self, tmp_path): ...
        def make_target(self, device): ...
        def make_artifacts(self, tmp_path): ...   # two different models the device can time
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from devices.artifact import Artifact
from devices.base import Device, LoadedModel
from devices.errors import LutierError, UnknownNameError
from devices.target import Target


class DeviceContract(ABC):
    """Behaviour that callers rely on, whatever the device.

    Attributes:
        tells_every_run: whether it gives the latency of each run, and not one figure for all.
    """

    tells_every_run = True

    @abstractmethod
    def make_device(self, tmp_path: Path) -> Device:
        """A fresh device."""

    @abstractmethod
    def make_target(self, device: Device) -> Target:
        """A target on that device."""

    @abstractmethod
    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        """Two artifacts, of different keys, that the target's runtime can load."""

    def test_is_a_device(self, tmp_path: Path) -> None:
        """It has every member of the protocol."""
        with self.make_device(tmp_path) as device:
            _expect(isinstance(device, Device), "not a Device")
            _expect(self.make_target(device).runtime in device.runtimes, "runtime not listed")

    def test_environment_is_stable(self, tmp_path: Path) -> None:
        """Asked twice, it names the same facts, and at least one."""
        with self.make_device(tmp_path) as device:
            target = self.make_target(device)
            first, second = device.environment(target), device.environment(target)
            _expect(first.id == second.id, "two ids for one environment")
            _expect(bool(first.facts), "no facts")

    def test_timings_are_positive_and_as_many_as_asked(self, tmp_path: Path) -> None:
        """``runs`` positive latencies, whatever the warm-up."""
        with self.make_device(tmp_path) as device:
            model = device.load(self.make_artifacts(tmp_path)[0], self.make_target(device))
            _expect(isinstance(model, LoadedModel), "not a LoadedModel")
            for warmup, runs in ((0, 1), (2, 5), (1, 3)):
                timings = model.time_ms(warmup=warmup, runs=runs)
                wanted = runs if self.tells_every_run else 1
                _expect(len(timings) == wanted, f"{len(timings)} timings for {runs} runs")
                _expect(all(t > 0 for t in timings), f"a timing that is not positive: {timings}")
            model.close()
            model.close()

    def test_models_can_be_interleaved(self, tmp_path: Path) -> None:
        """Two loaded models take turns: the measuring protocol needs that."""
        with self.make_device(tmp_path) as device:
            target = self.make_target(device)
            models = [device.load(a, target) for a in self.make_artifacts(tmp_path)]
            _expect(len(models) >= 2, "make_artifacts must give two artifacts")
            for _ in range(3):
                for model in models:
                    wanted = 2 if self.tells_every_run else 1
                    _expect(len(model.time_ms(warmup=1, runs=2)) == wanted, "a turn went missing")
            for model in models:
                model.close()

    def test_unknown_runtime_is_refused(self, tmp_path: Path) -> None:
        """No silent fallback to another runtime."""
        with self.make_device(tmp_path) as device:
            try:
                device.artifact_format("no-such-runtime")
            except UnknownNameError:
                return
            _expect(False, "an unknown runtime was accepted")

    def test_a_missing_file_or_entry_is_a_typed_error(self, tmp_path: Path) -> None:
        """A model that is not there is one of Lutier's errors, not a crash or a number."""
        with self.make_device(tmp_path) as device:
            good = self.make_artifacts(tmp_path)[0]
            gone = Artifact(
                tmp_path / "gone", "no/such/key", good.format, good.input_shape, "0" * 64
            )
            try:
                device.load(gone, self.make_target(device))
            except LutierError:
                return
            _expect(False, "a model that does not exist was loaded")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
