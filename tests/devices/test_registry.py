"""Devices by name: built in, plugged in, or refused with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.base import Device
from devices.errors import InputError, LutierError, UnknownNameError
from devices.registry import device_names, open_device, open_target
from devices.target import Target


def outcome(name: str) -> Device | str:
    """The device of a name, or the message of its error."""
    try:
        return open_device(name)
    except LutierError as error:
        return str(error)


def test_built_in_devices_are_listed() -> None:
    assert {"cpu", "cuda", "replay"} <= set(device_names())
    assert list(device_names()) == sorted(set(device_names()))


def test_the_cpu_opens() -> None:
    with open_device("cpu") as device:
        assert isinstance(device, Device)
        assert device.name == "cpu"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("cpuu", "cpu"), ("CPU", "cpu"), ("replai:/a/rather/long/path/to.json", "replay")],
)
def test_a_misspelt_device_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown device .*Try: .*{nearest.lower()}"):
        open_device(name)


def test_an_address_the_cpu_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"'cpu:0': the CPU has no number\. Try: cpu"):
        open_device("cpu:0")


@given(st.one_of(st.text(), st.text().map("replay:{}".format), st.text().map("cpu:{}".format)))
def test_any_name_is_a_device_or_an_error_of_one_line(name: str) -> None:
    result = outcome(name)
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
    else:
        assert result.name == "cpu"


def test_the_runtime_of_a_target_is_checked() -> None:
    with open_target(Target.parse("cpu/onnxruntime")) as device:
        assert device.name == "cpu"
    with pytest.raises(UnknownNameError, match=r"'onxruntime'\. Try: onnxruntime"):
        open_target(Target.parse("cpu/onxruntime"))


def test_a_plug_in_is_listed_and_opened_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "robot_device.py").write_text(
        "class Robot:\n    def __init__(self, address):\n        self.name = f'robot:{address}'\n"
    )
    facts = tmp_path / "robot-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: robot\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[lutier.devices]\nrobot = robot_device:Robot\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "robot" in device_names()
    assert open_device("robot:arm:2").name == "robot:arm:2"
