"""What is read of a GPU: facts, its state now, and what it does not say."""

from __future__ import annotations

import sys

import pytest
import torch
from pynvml_stand_in import NotFoundError, NotSupportedError, NVMLError, PynvmlStandIn

from devices.errors import DeviceError, MissingExtraError
from devices.nvml import Gpu


def test_the_facts_name_chip_driver_caps_and_modes() -> None:
    assert Gpu("7f", PynvmlStandIn()).facts() == {
        "chip": "Toy GPU",
        "driver": "580.65",
        "driver_cuda_version": "13.2",
        "power_cap_w": "300.0",
        "max_graphics_clock_mhz": "1980",
        "max_memory_clock_mhz": "2619",
        "ecc": "on",
        "mig": "off",
        "mig_slice": "no",
    }


@pytest.mark.parametrize(
    "refusal", [NotSupportedError("Not Supported"), NotFoundError("no such function")]
)
def test_what_a_gpu_does_not_say_is_unknown(refusal: NVMLError) -> None:
    silent = PynvmlStandIn(
        nvmlDeviceGetEccMode=refusal,
        nvmlDeviceGetMigMode=refusal,
        nvmlDeviceGetEnforcedPowerLimit=refusal,
        nvmlDeviceGetTemperature=refusal,
        nvmlDeviceGetUtilizationRates=refusal,
        nvmlDeviceGetCurrentClocksEventReasons=refusal,
    )
    gpu = Gpu("7f", silent)
    facts, health = gpu.facts(), gpu.health()
    assert {facts[name] for name in ("ecc", "mig", "power_cap_w")} == {"unknown"}
    assert health.power_cap_w is health.temperature_c is health.utilisation_percent is None
    assert health.clock_reasons is health.is_throttled is None
    assert health.power_w == 61.5


def test_the_state_now_has_its_units() -> None:
    health = Gpu("7f", PynvmlStandIn()).health()
    assert (health.graphics_clock_mhz, health.max_graphics_clock_mhz) == (345, 1980)
    assert health.memory_clock_mhz == 1593
    assert health.temperature_c == 41
    assert (health.power_w, health.power_cap_w) == (61.5, 300.0)
    assert health.utilisation_percent == 7


@pytest.mark.parametrize(
    ("bits", "reasons", "is_throttled"),
    [
        (0, (), False),
        (0x1, ("idle",), False),
        (0x2, ("clocks set by a person",), False),
        (0x4, ("power cap",), True),
        (0x60, ("temperature, by software", "temperature, by hardware"), True),
        (0x4001, ("idle", "reason 0x4000"), False),
    ],
)
def test_why_the_clock_is_not_higher_is_said_in_words(
    bits: int, reasons: tuple[str, ...], is_throttled: bool
) -> None:
    health = Gpu("7f", PynvmlStandIn(nvmlDeviceGetCurrentClocksEventReasons=bits)).health()
    assert health.clock_reasons == reasons
    assert health.is_throttled is is_throttled


def test_an_identity_may_have_its_prefix() -> None:
    assert Gpu("GPU-7f", PynvmlStandIn()).facts()["chip"] == "Toy GPU"


def test_a_slice_answers_with_the_gpu_it_is_cut_from() -> None:
    nvml = PynvmlStandIn("MIG-7f")
    assert Gpu("7f", nvml).facts()["mig_slice"] == "yes"
    assert "nvmlDeviceGetDeviceHandleFromMigDeviceHandle" in nvml.calls


def test_nothing_is_set() -> None:
    nvml = PynvmlStandIn()
    gpu = Gpu("7f", nvml)
    gpu.facts()
    gpu.health()
    gpu.close()
    gpu.close()
    others = [name for name in nvml.calls if "Get" not in name]
    assert others == ["nvmlInit", "nvmlShutdown"]


def test_a_gpu_that_is_not_known_is_an_error_and_the_library_is_let_go() -> None:
    nvml = PynvmlStandIn("GPU-8a")
    with pytest.raises(DeviceError, match=r"does not know the GPU 7f: Not Found.*nvidia-smi -L"):
        Gpu("7f", nvml)
    assert nvml.calls == ["nvmlInit", "nvmlShutdown"]


def test_a_missing_driver_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"does not start: no library.*nvidia-smi"):
        Gpu("7f", PynvmlStandIn(nvmlInit=NotFoundError("no library")))


def test_a_gpu_that_is_lost_is_an_error_that_names_the_question() -> None:
    gpu = Gpu("7f", PynvmlStandIn(nvmlDeviceGetClockInfo=NVMLError("GPU is lost")))
    with pytest.raises(DeviceError, match="nvmlDeviceGetClockInfo: GPU is lost"):
        gpu.health()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lutier\[cuda\]'"):
        Gpu("7f")


def test_the_package_has_every_name_that_is_used() -> None:
    import pynvml

    names = [name for name in PynvmlStandIn().answers if name.startswith("nvml")]
    names += [name for name in dir(PynvmlStandIn) if name.startswith(("NVML", "nvml"))]
    assert [name for name in names if not hasattr(pynvml, name)] == []
    assert issubclass(pynvml.NVMLError_NotSupported, pynvml.NVMLError)


@pytest.mark.gpu
def test_a_real_gpu_says_what_it_is() -> None:
    gpu = Gpu(str(torch.cuda.get_device_properties(0).uuid))
    facts, health = gpu.facts(), gpu.health()
    assert facts["chip"] == torch.cuda.get_device_properties(0).name
    assert facts["driver"] != "unknown"
    assert health.graphics_clock_mhz is None or health.graphics_clock_mhz > 0
    gpu.close()
