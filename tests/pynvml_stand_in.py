"""As much of the module ``pynvml`` as Lutier reads, for machines without a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """What the library raises."""


class NotSupportedError(NVMLError):
    """This GPU does not say."""


class NotFoundError(NVMLError):
    """No such GPU, function or permission."""


class PynvmlStandIn:
    """One GPU with the identity ``uuid``, and a note of every function that was called.

    Args:
        uuid: with its prefix, ``GPU-`` or ``MIG-``.
        answers: by function, in the place of what it would answer; an exception is raised.
    """

    NVMLError = NVMLError
    NVMLError_NotSupported = NotSupportedError
    NVMLError_FunctionNotFound = NotFoundError
    NVMLError_NoPermission = NotFoundError
    NVML_CLOCK_GRAPHICS = 0
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, uuid: str = "GPU-7f", **answers: Any) -> None:
        self.uuid = uuid
        self.calls: list[str] = []
        self.answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlSystemGetDriverVersion": "580.65",
            "nvmlSystemGetCudaDriverVersion": 13020,
            "nvmlDeviceGetName": "Toy GPU",
            "nvmlDeviceGetEnforcedPowerLimit": 300_000,
            "nvmlDeviceGetPowerUsage": 61_500,
            "nvmlDeviceGetEccMode": [1, 0],
            "nvmlDeviceGetMigMode": [0, 1],
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=7, memory=3),
            "nvmlDeviceGetCurrentClocksEventReasons": 0x1,
            "nvmlDeviceGetClockInfo": {0: 345, 2: 1593},
            "nvmlDeviceGetMaxClockInfo": {0: 1980, 2: 2619},
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": "parent",
            **answers,
        }

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - the library's spelling
        """The handle of the GPU."""
        if uuid != self.uuid:
            raise NotFoundError("Not Found")
        return "handle"

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            raise AttributeError(name)

        def answer(*arguments: Any) -> Any:
            self.calls.append(name)
            value = self.answers[name]
            if isinstance(value, Exception):
                raise value
            return value[arguments[1]] if isinstance(value, dict) else value

        answer.__name__ = name
        return answer
