"""What NVIDIA's management library (NVML) says about a GPU. It is only read: nothing is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devices.errors import DeviceError, MissingExtraError

# Bits of nvmlDeviceGetCurrentClocksEventReasons, from nvml.h. The first three slow nothing down
# that a person did not ask for.
_ASKED_FOR = {0x1: "idle", 0x2: "clocks set by a person", 0x100: "display clocks"}
_SLOWED = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "held to the clocks of another GPU",
    0x20: "temperature, by software",
    0x40: "temperature, by hardware",
    0x80: "power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class GpuHealth:
    """The state of a GPU at one moment; None where it does not say.

    Attributes:
        graphics_clock_mhz: clock of the processors now.
        max_graphics_clock_mhz: the highest it can be.
        memory_clock_mhz: clock of the memory now.
        temperature_c: of the chip.
        power_w: drawn now.
        power_cap_w: the most it may draw.
        utilisation_percent: share of the last moments in which some kernel ran, of any process.
        clock_reasons: why the clock is not higher, in words.
        is_throttled: whether one of the reasons is heat, power or a fault.
    """

    graphics_clock_mhz: int | None
    max_graphics_clock_mhz: int | None
    memory_clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    power_cap_w: float | None
    utilisation_percent: int | None
    clock_reasons: tuple[str, ...] | None
    is_throttled: bool | None


class Gpu:
    """One GPU, by the identity that CUDA gives it.

    CUDA and NVML number GPUs differently, and CUDA_VISIBLE_DEVICES changes only CUDA's numbers.

    Args:
        uuid: as CUDA gives it, with or without the prefix ``GPU-`` or ``MIG-``.
        library: the module ``pynvml``, or something like it.

    Raises:
        MissingExtraError: the package nvidia-ml-py is not installed.
        DeviceError: there is no NVIDIA driver, or it does not know the GPU.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._nvml: Any = library or _pynvml()
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise DeviceError(
                "NVIDIA's management library does not start",
                str(error),
                "nvidia-smi, which shows what is wrong with the driver",
            ) from error
        self._is_open = True
        try:
            self._handle, self._is_slice = self._found(
                uuid.removeprefix("GPU-").removeprefix("MIG-")
            )
        except BaseException:
            self.close()
            raise

    def _found(self, uuid: str) -> tuple[Any, bool]:
        """The whole GPU, and whether the identity is that of a slice of it (MIG)."""
        nvml = self._nvml
        reason = ""
        for prefix in ("GPU-", "MIG-"):
            try:
                handle = nvml.nvmlDeviceGetHandleByUUID(prefix + uuid)
                if prefix == "MIG-":
                    # Clocks, power and temperature are those of the GPU it is cut from.
                    handle = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            except nvml.NVMLError as error:
                reason = str(error)
            else:
                return handle, prefix == "MIG-"
        raise DeviceError(
            f"NVIDIA's management library does not know the GPU {uuid}", reason, "nvidia-smi -L"
        )

    def facts(self) -> dict[str, str]:
        """What a latency depends on and does not change by itself; ``unknown`` where not said.

        Raises:
            DeviceError: the GPU does not answer.
        """
        nvml = self._nvml
        cuda = self._asked(nvml.nvmlSystemGetCudaDriverVersion)
        facts = {
            "chip": self._asked(nvml.nvmlDeviceGetName, self._handle),
            "driver": self._asked(nvml.nvmlSystemGetDriverVersion),
            "driver_cuda_version": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "power_cap_w": self._watts(nvml.nvmlDeviceGetEnforcedPowerLimit),
            "max_graphics_clock_mhz": self._max_clock_mhz(nvml.NVML_CLOCK_GRAPHICS),
            "max_memory_clock_mhz": self._max_clock_mhz(nvml.NVML_CLOCK_MEM),
            "ecc": _switch(self._asked(nvml.nvmlDeviceGetEccMode, self._handle)),
            "mig": _switch(self._asked(nvml.nvmlDeviceGetMigMode, self._handle)),
            "mig_slice": "yes" if self._is_slice else "no",
        }
        return {name: _UNKNOWN if fact is None else str(fact) for name, fact in facts.items()}

    def health(self) -> GpuHealth:
        """Clocks, temperature, power and what holds the clocks down, now.

        Raises:
            DeviceError: the GPU does not answer.
        """
        nvml = self._nvml
        load = self._asked(nvml.nvmlDeviceGetUtilizationRates, self._handle)
        bits = self._asked(nvml.nvmlDeviceGetCurrentClocksEventReasons, self._handle)
        return GpuHealth(
            graphics_clock_mhz=self._clock_mhz(nvml.NVML_CLOCK_GRAPHICS),
            max_graphics_clock_mhz=self._max_clock_mhz(nvml.NVML_CLOCK_GRAPHICS),
            memory_clock_mhz=self._clock_mhz(nvml.NVML_CLOCK_MEM),
            temperature_c=self._asked(
                nvml.nvmlDeviceGetTemperature, self._handle, nvml.NVML_TEMPERATURE_GPU
            ),
            power_w=self._watts(nvml.nvmlDeviceGetPowerUsage),
            power_cap_w=self._watts(nvml.nvmlDeviceGetEnforcedPowerLimit),
            utilisation_percent=None if load is None else int(load.gpu),
            clock_reasons=None if bits is None else _reasons(bits),
            is_throttled=None if bits is None else any(bits & bit for bit in _SLOWED),
        )

    def close(self) -> None:
        """Let go of the library; twice is fine."""
        if self._is_open:
            self._is_open = False
            self._nvml.nvmlShutdown()

    def _clock_mhz(self, kind: int) -> Any:
        return self._asked(self._nvml.nvmlDeviceGetClockInfo, self._handle, kind)

    def _max_clock_mhz(self, kind: int) -> Any:
        return self._asked(self._nvml.nvmlDeviceGetMaxClockInfo, self._handle, kind)

    def _watts(self, question: Callable[..., Any]) -> float | None:
        milliwatts = self._asked(question, self._handle)
        return None if milliwatts is None else milliwatts / 1000

    def _asked(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """An answer; None where this GPU or its driver has none to give."""
        nvml = self._nvml
        try:
            return question(*arguments)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            return None
        # A GPU shared out by a hypervisor keeps some answers to itself.
        except nvml.NVMLError_NoPermission:
            return None
        except nvml.NVMLError as error:
            raise DeviceError(
                "the GPU does not answer NVIDIA's management library",
                f"{getattr(question, '__name__', question)}: {error}",
                "nvidia-smi, which shows whether it is still there",
            ) from error


def driver_and_gpus(library: Any = None) -> tuple[str, list[str]]:
    """Version of NVIDIA's driver, and name and memory of every GPU that it has, without CUDA.

    Args:
        library: the module ``pynvml``, or something like it.

    Raises:
        MissingExtraError: the package nvidia-ml-py is not installed.
        DeviceError: there is no NVIDIA driver, or it does not answer.
    """
    nvml = library or _pynvml()
    try:
        nvml.nvmlInit()
        try:
            handles = [
                nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
            ]
            gpus = [
                f"{nvml.nvmlDeviceGetName(each)},"
                f" {nvml.nvmlDeviceGetMemoryInfo(each).total / 2**30:.0f} GiB"
                for each in handles
            ]
            return str(nvml.nvmlSystemGetDriverVersion()), gpus
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise DeviceError(
            "NVIDIA's management library does not start",
            str(error),
            "nvidia-smi, which shows what is wrong with the driver",
        ) from error


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise MissingExtraError(
            "the state of a GPU is read with nvidia-ml-py, which is not installed",
            str(error),
            "pip install 'lutier[cuda]'",
        ) from error
    return pynvml


def _switch(current_and_pending: Any) -> str | None:
    """Whether a mode is on now; what it will be after a restart is no fact yet."""
    if current_and_pending is None:
        return None
    return "on" if current_and_pending[0] else "off"


def _reasons(bits: int) -> tuple[str, ...]:
    known = _ASKED_FOR | _SLOWED
    words = [word for bit, word in sorted(known.items()) if bits & bit]
    rest = bits & ~sum(known)
    return (*words, *([f"reason {rest:#x}"] if rest else []))
