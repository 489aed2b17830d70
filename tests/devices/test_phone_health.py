"""Health of a phone: what its tools print is read, and what they do not say is not made up."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devices.errors import InputError, UnparsableOutputError
from devices.phone_health import (
    CORES_COMMAND,
    LEAST_BATTERY,
    WARMEST_BATTERY_C,
    Battery,
    Core,
    Heat,
    choose_cores,
    clusters,
    describe_clusters,
    is_awake,
    mask_of,
    objections,
    parse_battery,
    parse_cores,
    parse_heat,
    parse_load,
    parse_properties,
)

# As Android 10 prints it; one of the sensors of the skin is broken.
HEAT_10 = """\
IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
	killed: false
	broadcasts count: -1
ThermalStatusListeners:
	callbacks: 2
	killed: false
	broadcasts count: -1
Thermal Status: 1
Cached temperatures:
	Temperature{mValue=61.4, mType=0, mName=CPU0, mStatus=0}
	Temperature{mValue=48.9, mType=3, mName=skin, mStatus=1}
HAL Ready: true
HAL connection:
	ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
	Temperature{mValue=39.1, mType=0, mName=CPU0, mStatus=0}
	Temperature{mValue=40.25, mType=0, mName=CPU1, mStatus=0}
	Temperature{mValue=37.0, mType=1, mName=GPU, mStatus=0}
	Temperature{mValue=29.5, mType=2, mName=battery, mStatus=0}
	Temperature{mValue=33.7, mType=3, mName=skin, mStatus=1}
	Temperature{mValue=NaN, mType=3, mName=skin2, mStatus=0}
	Temperature{mValue=5000.0, mType=6, mName=vbat, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""
# No sensor can be asked: there is only what was told before.
HEAT_NOT_READY = """\
IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=35.5, mType=0, mName=AP, mStatus=0}
	Temperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
HAL Ready: false
"""
# As Android 15 prints it: thresholds and headroom stand behind the temperatures, and are none.
HEAT_15 = """\
IsStatusOverride: false
ThermalEventListeners:
	callbacks: 4
	killed: false
	broadcasts count: -1
Thermal Status: 2
Cached temperatures:
	Temperature{mValue=84.208, mType=0, mName=BIG, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 2  connected: yes
Current temperatures from HAL:
	Temperature{mValue=57.9, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=41.351, mType=3, mName=VIRTUAL-SKIN, mStatus=2}
	Temperature{mValue=-40.0, mType=3, mName=VIRTUAL-SKIN-HINT, mStatus=0}
	Temperature{mValue=38.6, mType=9, mName=TPU, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=3, mType=2, mName=thermal-cpufreq-2}
Temperature static thresholds from HAL:
	TemperatureThreshold{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 41.0, \
43.0, 45.0, 47.0, 55.0], mColdThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, NaN, NaN]}
Temperature headroom thresholds:
[NaN, 0.8666667, 0.93333334, 1.0, 1.0666667, 1.1333333, 1.4]
"""
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2580000
  status: 2
  health: 2
  present: true
  level: 85
  scale: 100
  voltage: 4150
  temperature: 271
  technology: Li-ion
  Charging state: 0
  Charging policy: 0
  Capacity level: -1
"""
ABSENT = BATTERY.replace("present: true", "present: false").replace("level: 85", "level: 0")
POWER = """\
POWER MANAGER (dumpsys power)

Power Manager State:
  Settings power_manager_constants:
    no_cached_wake_locks=true
  mDirty=0x0
  mWakefulness=Awake
  mWakefulnessChanging=false
"""
WORDS = (
    "Thermal Status: ",
    "Current temperatures from HAL:\n",
    "Temperature{mValue=",
    ", mType=0, mName=CPU0, mStatus=0}",
    "\n  level: ",
    "\n  scale: ",
    "\n  temperature: ",
    "\n  present: true\n",
    "\n0 cpuinfo_max_freq ",
    "\n7 scaling_governor walt",
    "\n[ro.product.model]: [",
    "\n  mWakefulness=",
    "9" * 400,
    "9" * 5000,
    "-2147483648",
    "1.2.3",
    "NaN",
    "\u0661\u0662",
    "0.5 ",
    "\r\n",
)
ANY_TEXT = st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=16).map(
    "".join
)
CORES = st.lists(
    st.builds(
        Core,
        st.integers(0, 63),
        st.sampled_from((0, 1_800_000, 2_400_000, 2_850_000, 3_300_000)),
        st.just(0),
        st.just(0),
        st.just("walt"),
    ),
    max_size=12,
    unique_by=lambda core: core.number,
)


def phone(*speeds_mhz: int) -> tuple[Core, ...]:
    """Cores with these clocks; 0 for one that is switched off."""
    return tuple(
        Core(number, speed * 1000, speed * 1000, speed * 1000, "walt")
        for number, speed in enumerate(speeds_mhz)
    )


ALIKE = phone(*[2000] * 8)
TWO = phone(*[1800] * 4, *[2850] * 4)
THREE = phone(*[1803] * 4, *[2348] * 2, *[2850] * 2)
FOUR = phone(*[2265] * 2, *[3148] * 3, *[2956] * 2, 3302)


def numbers(cores: tuple[Core, ...], wanted: str, threads: int = 1) -> list[int]:
    return [core.number for core in choose_cores(cores, wanted, threads)]


# Heat


def test_the_temperatures_are_those_of_now() -> None:
    heat = parse_heat(HEAT_10)
    assert heat == Heat(1, {"CPU0": 39.1, "CPU1": 40.25, "skin": 33.7}, 33.7)


def test_thresholds_are_no_temperatures() -> None:
    assert parse_heat(HEAT_15) == Heat(2, {"BIG": 57.9, "VIRTUAL-SKIN": 41.351}, 41.351)


def test_where_no_sensor_answers_what_was_told_before_counts() -> None:
    assert parse_heat(HEAT_NOT_READY) == Heat(0, {"AP": 35.5}, 35.5)


def test_the_warmest_skin_counts() -> None:
    text = HEAT_10.replace("mValue=NaN", "mValue=36.5")
    assert parse_heat(text).skin_c == 36.5


def test_without_a_skin_the_warmest_core_counts() -> None:
    assert parse_heat(HEAT_10.replace("mType=3", "mType=5")).skin_c == 40.25


@pytest.mark.parametrize("value", ["NaN", "-273.15", "-40.0", "1000.0", "150.0", "1.2.3", ""])
def test_what_cannot_be_a_temperature_is_not_known(value: str) -> None:
    heat = parse_heat(HEAT_10.replace("mValue=33.7", f"mValue={value}"))
    assert "skin" not in heat.temperatures_c
    assert heat.skin_c == 40.25


def test_a_number_may_have_an_exponent() -> None:
    assert parse_heat(HEAT_10.replace("mValue=33.7", "mValue=1.0E-4")).skin_c == 1e-4


def test_below_zero_is_a_temperature() -> None:
    assert parse_heat(HEAT_10.replace("mValue=33.7", "mValue=-4.5")).skin_c == -4.5


def test_a_phone_without_the_service_tells_nothing() -> None:
    heat = parse_heat("Can't find service: thermalservice\n")
    assert (heat.status, heat.temperatures_c) == (None, {})
    assert math.isnan(heat.skin_c)


def test_lines_may_end_as_on_a_terminal() -> None:
    assert parse_heat(HEAT_15.replace("\n", "\r\n")) == parse_heat(HEAT_15)
    assert parse_battery(BATTERY.replace("\n", "\r\n")) == parse_battery(BATTERY)


# The battery


def test_a_battery_has_a_charge_and_a_temperature() -> None:
    assert parse_battery(BATTERY) == Battery(85, 27.1, "USB")


@pytest.mark.parametrize(
    ("powered", "charging"),
    [([], ""), (["AC"], "AC"), (["Wireless"], "Wireless"), (["Dock", "AC"], "AC Dock")],
)
def test_a_battery_is_charged_from_what_is_said(powered: list[str], charging: str) -> None:
    text = BATTERY.replace("USB powered: true", "USB powered: false")
    for name in powered:
        text = text.replace(f"{name} powered: false", f"{name} powered: true")
    battery = parse_battery(text)
    assert battery is not None
    assert battery.charging == charging


@pytest.mark.parametrize(
    ("level", "scale", "percent"),
    [("850", "scale: 1000", 85), ("128", "scale: 255", 50), ("85", "", 85), ("0", "scale: 100", 0)],
)
def test_the_charge_is_a_part_of_the_scale(level: str, scale: str, percent: int) -> None:
    text = BATTERY.replace("level: 85", f"level: {level}").replace("scale: 100", scale)
    battery = parse_battery(text)
    assert battery is not None
    assert battery.percent == percent


def test_a_battery_below_zero_degrees_is_read() -> None:
    battery = parse_battery(BATTERY.replace("temperature: 271", "temperature: -35"))
    assert battery is not None
    assert battery.temperature_c == -3.5


def test_the_events_behind_the_state_change_nothing() -> None:
    events = (
        "[EventLogBuffer]\n08-11 18:34:14.721  Sending ACTION_BATTERY_CHANGED: level:12, health:2,"
        " voltage:4120, temperature:399\n"
    )
    assert parse_battery(BATTERY + events) == parse_battery(BATTERY)


def test_a_simulated_battery_is_read_like_a_real_one() -> None:
    header, rest = BATTERY.split("\n", 1)
    stopped = f"{header}\n  (UPDATES STOPPED -- use 'reset' to restart)\n{rest}"
    assert parse_battery(stopped) == parse_battery(BATTERY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Can't find service: battery\n",
        ABSENT,
        BATTERY.replace("level: 85", ""),
        BATTERY.replace("level: 85", "level: full"),
        BATTERY.replace("temperature: 271", ""),
        BATTERY.replace("scale: 100", "scale: 0"),
        BATTERY.replace("scale: 100", "scale: -1"),
        BATTERY.replace("level: 85", f"level: {'9' * 400}"),
        BATTERY.replace("temperature: 271", f"temperature: {'9' * 400}"),
    ],
    ids=[
        "nothing",
        "no service",
        "absent",
        "no level",
        "level in words",
        "no temperature",
        "scale of 0",
        "scale below 0",
        "level of 400 digits",
        "temperature of 400 digits",
    ],
)
def test_no_battery_is_made_up(text: str) -> None:
    assert parse_battery(text) is None


# What keeps a phone from being measured


def test_a_charged_cool_phone_has_nothing_in_the_way() -> None:
    assert objections(Battery(LEAST_BATTERY, WARMEST_BATTERY_C, ""), low_power=False) == []


def test_a_phone_without_a_battery_has_nothing_in_the_way() -> None:
    assert objections(None, low_power=False) == []


@pytest.mark.parametrize(
    ("battery", "low_power", "said"),
    [
        (Battery(29, 25.0, ""), False, "the battery is at 29 %"),
        (Battery(90, 38.1, "AC"), False, "the battery has 38 C"),
        (Battery(90, 25.0, "AC"), True, "battery saver is on"),
        (None, True, "battery saver is on"),
    ],
)
def test_each_thing_in_the_way_is_said(battery: Battery, low_power: bool, said: str) -> None:
    (found,) = objections(battery, low_power=low_power)
    assert said in found


def test_all_that_is_in_the_way_is_said_at_once() -> None:
    assert len(objections(Battery(5, 45.0, ""), low_power=True)) == 3


# Cores


def test_cores_have_their_clocks_in_the_order_of_the_cores() -> None:
    text = (
        "0 cpuinfo_max_freq 1803000\n0 scaling_max_freq 1300000\n0 scaling_cur_freq 300000\n"
        "0 scaling_governor schedutil\n10 cpuinfo_max_freq 2850000\n10 scaling_max_freq 2850000\n"
        "10 scaling_cur_freq 1106000\n10 scaling_governor sched_pixel\n2 cpuinfo_max_freq 1803000\n"
        "2 scaling_max_freq 1803000\n2 scaling_cur_freq 300000\n2 scaling_governor schedutil\n"
    )
    assert parse_cores(text) == (
        Core(0, 1_803_000, 1_300_000, 300_000, "schedutil"),
        Core(2, 1_803_000, 1_803_000, 300_000, "schedutil"),
        Core(10, 2_850_000, 2_850_000, 1_106_000, "sched_pixel"),
    )
    assert parse_cores(text.replace("\n", "\r\n")) == parse_cores(text)


def test_a_core_that_tells_nothing_is_still_a_core() -> None:
    text = "".join(
        f"0 {name} \n" for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_governor")
    )
    assert parse_cores(text) == (Core(0, 0, 0, 0, ""),)


@pytest.mark.parametrize("value", ["-1", "1.8e6", "many", "\u0661\u0662", "9" * 12])
def test_a_clock_that_is_no_number_is_not_known(value: str) -> None:
    assert parse_cores(f"0 cpuinfo_max_freq {value}\n") == (Core(0, 0, 0, 0, ""),)


def test_the_command_lists_the_cores_of_a_real_system() -> None:
    folders = list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*"))
    if not folders:
        pytest.skip("needs /sys/devices/system/cpu: run it on Linux")
    said = subprocess.run(CORES_COMMAND, capture_output=True, text=True, check=True).stdout
    there = sorted(int(folder.name.removeprefix("cpu")) for folder in folders)
    assert [core.number for core in parse_cores(said)] == there


def test_the_command_needs_no_more_than_one_word_of_a_shell() -> None:
    assert len(CORES_COMMAND) == 3
    assert "'" not in CORES_COMMAND[2]


@pytest.mark.parametrize(
    ("cores", "sizes"),
    [(ALIKE, [8]), (TWO, [4, 4]), (THREE, [4, 2, 2]), (FOUR, [2, 2, 3, 1]), ((), [])],
)
def test_clusters_are_cores_of_one_speed_the_slowest_first(
    cores: tuple[Core, ...], sizes: list[int]
) -> None:
    groups = clusters(cores)
    assert [len(group) for group in groups] == sizes
    speeds = [group[0].max_khz for group in groups]
    assert speeds == sorted(speeds)


@pytest.mark.parametrize(
    ("cores", "wanted", "chosen"),
    [
        (ALIKE, "big", [0, 1, 2, 3, 4, 5, 6, 7]),
        (ALIKE, "little", [0, 1, 2, 3, 4, 5, 6, 7]),
        (ALIKE, "prime", [0, 1, 2, 3, 4, 5, 6, 7]),
        (TWO, "big", [4, 5, 6, 7]),
        (TWO, "little", [0, 1, 2, 3]),
        (TWO, "prime", [4, 5, 6, 7]),
        (TWO, "all", [0, 1, 2, 3, 4, 5, 6, 7]),
        (THREE, "big", [4, 5]),
        (THREE, "little", [0, 1, 2, 3]),
        (THREE, "prime", [6, 7]),
        (FOUR, "big", [5, 6]),
        (FOUR, "little", [0, 1]),
        (FOUR, "prime", [7]),
        (FOUR, "all", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_clusters_have_names(cores: tuple[Core, ...], wanted: str, chosen: list[int]) -> None:
    assert numbers(cores, wanted) == chosen


@pytest.mark.parametrize(
    ("mask", "chosen"),
    [("0xf0", [4, 5, 6, 7]), ("0x1", [0]), ("0x80", [7]), ("0x5", [0, 2])],
)
def test_a_mask_names_its_cores(mask: str, chosen: list[int]) -> None:
    assert numbers(TWO, mask) == chosen


@pytest.mark.parametrize("mask", ["0x100", "0x1f0", "0xffffffffffffffff"])
def test_a_mask_of_cores_that_are_not_there_is_refused(mask: str) -> None:
    with pytest.raises(InputError, match=rf"cores={mask}: the phone has 8 cores"):
        choose_cores(TWO, mask, 1)


def test_a_mask_of_cores_of_different_speed_is_refused_with_the_clusters() -> None:
    with pytest.raises(InputError, match="different clocks") as caught:
        choose_cores(TWO, "0x18", 1)
    assert caught.value.hint == "4 at 1800 MHz (0xf), 4 at 2850 MHz (0xf0)"


def test_as_many_threads_as_cores_fit() -> None:
    assert numbers(THREE, "big", 2) == [4, 5]


@pytest.mark.parametrize(
    ("wanted", "threads"), [("big", 3), ("prime", 3), ("little", 5), ("all", 9), ("0x40", 2)]
)
def test_more_threads_than_cores_are_refused(wanted: str, threads: int) -> None:
    with pytest.raises(InputError, match=rf"threads={threads}: cores={wanted} are \d cores"):
        choose_cores(THREE, wanted, threads)


def test_a_phone_that_names_no_cores_is_not_guessed_at() -> None:
    with pytest.raises(UnparsableOutputError, match="does not say what cores"):
        choose_cores((), "big", 1)


def test_a_core_that_is_switched_off_makes_no_cluster() -> None:
    some = phone(*[1800] * 4, 0, *[2850] * 3)
    assert numbers(some, "little") == [0, 1, 2, 3]
    assert numbers(some, "big") == [5, 6, 7]
    assert 4 not in numbers(some, "all")


def test_a_mask_of_a_core_that_is_switched_off_is_refused() -> None:
    with pytest.raises(InputError, match="the phone has 7 cores"):
        choose_cores(phone(*[1800] * 4, 0, *[2850] * 3), "0xf0", 1)


def test_where_no_clocks_are_told_the_cores_count_as_alike() -> None:
    assert numbers(phone(0, 0, 0, 0), "big", 4) == [0, 1, 2, 3]


@given(CORES, st.sampled_from(("big", "little", "prime", "all")) | st.integers(1, 2**16).map(hex))
def test_cores_are_chosen_or_refused(cores: list[Core], wanted: str) -> None:
    try:
        chosen = choose_cores(cores, wanted, 1)
    except (InputError, UnparsableOutputError):
        assert not cores or wanted.startswith("0x")
        return
    assert set(chosen) <= set(cores)
    assert wanted == "all" or len({core.max_khz for core in chosen}) == 1


@given(CORES, st.sampled_from(("big", "little", "prime")))
def test_the_mask_of_a_cluster_names_that_cluster(cores: list[Core], wanted: str) -> None:
    assume(cores)
    cluster = choose_cores(cores, wanted, 1)
    assert set(choose_cores(cores, f"0x{mask_of(cluster)}", 1)) == set(cluster)


@given(CORES)
def test_a_mask_of_cores_has_a_bit_for_each(cores: list[Core]) -> None:
    mask = int(mask_of(cores), 16)
    assert {n for n in range(64) if mask >> n & 1} == {core.number for core in cores}


def test_clusters_are_told_with_their_masks() -> None:
    assert describe_clusters(FOUR) == (
        "2 at 2265 MHz (0x3), 2 at 2956 MHz (0x60), 3 at 3148 MHz (0x1c), 1 at 3302 MHz (0x80)"
    )


# The rest


def test_properties_are_read_by_name() -> None:
    text = (
        "[ro.product.model]: [Pixel 7]\n[ro.soc.model]: []\n"
        "[persist.sys.boot.reason.history]: [reboot,1700000000\nreboot,1690000000]\n"
        "[ro.product.cpu.abi]: [arm64-v8a]\n"
    )
    assert parse_properties(text) == {
        "ro.product.model": "Pixel 7",
        "ro.soc.model": "",
        "persist.sys.boot.reason.history": "reboot,1700000000\nreboot,1690000000",
        "ro.product.cpu.abi": "arm64-v8a",
    }


@pytest.mark.parametrize(
    ("said", "awake"), [("Awake", True), ("Asleep", False), ("Dozing", False), ("Dreaming", False)]
)
def test_the_screen_is_on_where_the_phone_is_awake(said: str, awake: bool) -> None:
    assert is_awake(POWER.replace("=Awake", f"={said}")) is awake


def test_whether_the_screen_is_on_may_be_unknown() -> None:
    assert is_awake(re.sub(r"mWakefulness=\w+\n", "", POWER)) is None


def test_the_load_is_that_of_the_last_minute() -> None:
    assert parse_load("3.25 4.10 4.44 2/1893 21347\n") == 3.25


@pytest.mark.parametrize("text", ["", "cat: /proc/loadavg: Permission denied\n", "busy 1 2\n"])
def test_a_load_that_is_not_told_is_unknown(text: str) -> None:
    assert parse_load(text) is None


@given(ANY_TEXT)
def test_any_text_is_read_as_heat_that_could_be(text: str) -> None:
    heat = parse_heat(text)
    assert all(-30 < celsius < 150 for celsius in heat.temperatures_c.values())
    assert math.isnan(heat.skin_c) or heat.skin_c in heat.temperatures_c.values()


@given(ANY_TEXT)
def test_any_text_is_read_as_a_battery_or_none(text: str) -> None:
    battery = parse_battery(text)
    assert battery is None or math.isfinite(battery.temperature_c)


@given(ANY_TEXT)
def test_any_text_is_read_as_cores_that_can_be_named(text: str) -> None:
    cores = parse_cores(text)
    assert [core.number for core in cores] == sorted({core.number for core in cores})
    assert all(re.fullmatch("[0-9a-f]+", mask_of([core])) for core in cores)


@given(ANY_TEXT)
def test_any_text_is_read_as_the_rest(text: str) -> None:
    load = parse_load(text)
    assert load is None or load >= 0
    assert is_awake(text) in (True, False, None)
    assert all(name and "]" not in value for name, value in parse_properties(text).items())
