"""A simulated Android phone: what it is, its files, and stand-ins for its system's programs."""

from __future__ import annotations

import itertools
import platform
import re
from dataclasses import dataclass
from pathlib import Path

SANDBOX = "/data/local/tmp"
FEATURES = ("shell_v2", "cmd", "stat_v2", "fixed_push_mkdir")
_ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}
_CPU = "/sys/devices/system/cpu"
_ZONES = "/sys/class/thermal"
_SENSORS = (("CPU0", 0), ("CPU1", 0), ("CPU2", 0), ("GPU0", 1), ("battery", 2), ("VIRTUAL-SKIN", 3))
"""Name and type of each, as the thermal service lists them."""


@dataclass(frozen=True)
class Phone:
    """What phone it is.

    Attributes:
        serial: the manufacturer's, which is not that of the connection.
        abi: of its programs; by default that of this machine, which runs them.
        core_max_khz: one frequency for each core; neighbours with the same one share a cluster.
        features: that its adbd announces; without ``shell_v2`` it is an old one, whose shell has
            one stream, ends its lines with CR LF, and gives no status.
        thermal_service: Android 9 and older has none.
    """

    serial: str = "28291FDH200001"
    model: str = "Pixel 7"
    manufacturer: str = "Google"
    product: str = "panther"
    soc_manufacturer: str = "Google"
    soc_model: str = "GS201"
    board_platform: str = "gs201"
    android: str = "14"
    sdk: int = 34
    fingerprint: str = "google/panther/panther:14/AP2A.240805.005/12025142:user/release-keys"
    abi: str = _ABIS.get(platform.machine(), platform.machine())
    core_max_khz: tuple[int, ...] = (1803000,) * 4 + (2348000,) * 2 + (2850000,) * 2
    governor: str = "sched_pixel"
    features: tuple[str, ...] = FEATURES
    thermal_service: bool = True

    @property
    def old(self) -> bool:
        """Whether its adbd is from before the shell protocol."""
        return "shell_v2" not in self.features

    def properties(self) -> dict[str, str]:
        """What ``getprop`` tells."""
        return {
            "dev.bootcomplete": "1",
            "ro.board.platform": self.board_platform,
            "ro.build.fingerprint": self.fingerprint,
            "ro.build.version.release": self.android,
            "ro.build.version.sdk": str(self.sdk),
            "ro.debuggable": "0",
            "ro.hardware": self.product,
            "ro.product.brand": self.manufacturer.lower(),
            "ro.product.cpu.abi": self.abi,
            "ro.product.cpu.abilist": self.abi,
            "ro.product.device": self.product,
            "ro.product.manufacturer": self.manufacturer,
            "ro.product.model": self.model,
            "ro.product.name": self.product,
            "ro.secure": "1",
            "ro.serialno": self.serial,
            "ro.soc.manufacturer": self.soc_manufacturer,
            "ro.soc.model": self.soc_model,
            "sys.boot_completed": "1",
        }

    def clusters(self) -> list[list[int]]:
        """The cores that share a clock, cluster by cluster."""
        cores = range(len(self.core_max_khz))
        return [list(group) for _, group in itertools.groupby(cores, self.core_max_khz.__getitem__)]


class PhoneState:
    """The files of a phone, and what changes in them.

    Args:
        phone: what it is.
        root: folder that is the phone's ``/``; made.
    """

    def __init__(self, phone: Phone, root: Path) -> None:
        # It is put into shell commands as it is.
        if not re.fullmatch(r"[\w./+-]+", str(root)):
            raise ValueError(f"a shell would not read this as one plain word: {root}")
        self.root = root
        self._phone = phone
        self._state = root / "state"
        self._battery: dict[str, float] = {"level": 85, "temperature_c": 28.0, "charging": True}
        self._thermal: dict[str, float] = {"status": 0, "temperature_c": 31.0}
        self.path(SANDBOX).mkdir(parents=True)
        lines = [f"[{name}]: [{value}]\n" for name, value in phone.properties().items()]
        self._write(self._state / "properties", "".join(lines))
        self._make_cores()
        programs = self.path("/system/bin")
        all_cores = (1 << len(phone.core_max_khz)) - 1
        for name, text in _PROGRAMS.items():
            program = text.replace("@STATE@", str(self._state)).replace("@ALL@", str(all_cores))
            self._write(programs / name, program.lstrip())
            (programs / name).chmod(0o755)
        self.set_setting("stay_on_while_plugged_in", "0")
        self.set_low_power(False)
        self.set_screen(awake=True)
        self.set_temperature(31.0)
        self.set_battery()

    def path(self, phone_path: str) -> Path:
        """Where a file of the phone lies."""
        return self.root / phone_path.lstrip("/")

    def set_thermal_status(self, status: int) -> None:
        """Set how much the phone throttles itself: 0 not at all, up to 6."""
        self._thermal["status"] = status
        self._write_thermal()

    def set_temperature(self, celsius: float) -> None:
        """Set what the sensors of processor, graphics and skin read."""
        self._thermal["temperature_c"] = celsius
        for number, name in enumerate(("BIG", "MID", "LITTLE", "G3D")):
            zone = self.path(f"{_ZONES}/thermal_zone{number}")
            self._write(zone / "type", f"{name}\n")
            self._write(zone / "temp", f"{round(celsius * 1000)}\n")
        self._write_thermal()

    def set_battery(
        self,
        *,
        level: int | None = None,
        temperature_c: float | None = None,
        charging: bool | None = None,
    ) -> None:
        """Set what is given; the rest stays."""
        given = {"level": level, "temperature_c": temperature_c, "charging": charging}
        self._battery |= {name: value for name, value in given.items() if value is not None}
        charging = bool(self._battery["charging"])
        self._write(
            self._state / "battery",
            _BATTERY.format(
                charging=str(charging).lower(),
                current=500000 if charging else 0,
                voltage=5000000 if charging else 0,
                status=2 if charging else 3,
                level=self._battery["level"],
                tenths=round(self._battery["temperature_c"] * 10),
            ),
        )
        self._write_thermal()

    def set_low_power(self, on: bool) -> None:
        """Turn the battery saver on or off."""
        self.set_setting("low_power", str(int(on)))

    def set_screen(self, *, awake: bool) -> None:
        """Turn the screen on or off."""
        self._write(self._state / "wakefulness", "Awake\n" if awake else "Asleep\n")

    @property
    def awake(self) -> bool:
        """Whether the screen is on."""
        return (self._state / "wakefulness").read_text().strip() == "Awake"

    def set_setting(self, name: str, value: str) -> None:
        """Set a global setting."""
        self._write(self._state / "settings" / "global" / name, f"{value}\n")

    def setting(self, name: str) -> str | None:
        """A global setting; none where it is not set."""
        path = self._state / "settings" / "global" / name
        return path.read_text().strip() if path.exists() else None

    def set_clock(self, core: int, **values: object) -> None:
        """Set files of a core's cluster: ``scaling_cur_freq=600000``."""
        folder = self.path(f"{_CPU}/cpu{core}/cpufreq").resolve(strict=True)
        for name, value in values.items():
            self._write(folder / name, f"{value}\n")

    def _make_cores(self) -> None:
        cpu = self.path(_CPU)
        last = len(self._phone.core_max_khz) - 1
        for name in ("possible", "present", "online"):
            self._write(cpu / name, f"0-{last}\n")
        for cluster in self._phone.clusters():
            policy = cpu / "cpufreq" / f"policy{cluster[0]}"
            most = self._phone.core_max_khz[cluster[0]]
            files = {
                "cpuinfo_max_freq": most,
                "cpuinfo_min_freq": 300000,
                "related_cpus": " ".join(map(str, cluster)),
                "scaling_available_governors": f"{self._phone.governor} performance powersave",
                "scaling_cur_freq": most,
                "scaling_governor": self._phone.governor,
                "scaling_max_freq": most,
                "scaling_min_freq": 300000,
            }
            for name, value in files.items():
                self._write(policy / name, f"{value}\n")
            for core in cluster:
                self._write(cpu / f"cpu{core}" / "online", "1\n")
                (cpu / f"cpu{core}" / "cpufreq").symlink_to(f"../cpufreq/{policy.name}")

    def _write_thermal(self) -> None:
        status, celsius = int(self._thermal["status"]), self._thermal["temperature_c"]
        lines = []
        for name, kind in _SENSORS:
            value = self._battery["temperature_c"] if name == "battery" else celsius
            at = status if name == "VIRTUAL-SKIN" else 0
            lines.append(
                f"\tTemperature{{mValue={value:.1f}, mType={kind}, mName={name}, mStatus={at}}}\n"
            )
        if self._phone.thermal_service:
            text = _THERMAL.format(status=status, cached=lines[-1], current="".join(lines))
            self._write(self._state / "thermalservice", text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # At one stroke: a program may read it at this moment.
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.replace(path)


_THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
Thermal Status: {status}
Cached temperatures:
{cached}HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
{current}Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
Temperature static thresholds from HAL:
\tTemperatureThreshold{{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 43.0, \
45.0, 47.0, 52.0, 55.0], mColdThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, NaN, NaN]}}
"""

_BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: {charging}
  Wireless powered: false
  Dock powered: false
  Max charging current: {current}
  Max charging voltage: {voltage}
  Charge counter: 3650000
  status: {status}
  health: 2
  present: true
  level: {level}
  scale: 100
  voltage: 4180
  temperature: {tenths}
  technology: Li-ion
"""

_PROGRAMS = {
    "getprop": r"""
#!/bin/sh
[ $# -eq 0 ] && exec cat @STATE@/properties
while IFS= read -r line; do
    case $line in "[$1]: ["*) line=${line#*: \[}; printf '%s\n' "${line%\]}"; exit 0 ;; esac
done <@STATE@/properties
printf '%s\n' "$2"
""",
    # A service that is not there is no failure of dumpsys.
    "dumpsys": r"""
#!/bin/sh
case $1 in
thermalservice | battery) [ -e @STATE@/$1 ] && exec cat @STATE@/$1 ;;
power)
    read -r wakefulness <@STATE@/wakefulness
    read -r plugs <@STATE@/settings/global/stay_on_while_plugged_in
    [ "$plugs" = 0 ] && stay=false || stay=true
    printf '%s\n' 'POWER MANAGER (dumpsys power)' '' 'Power Manager State:' '  mDirty=0x0' \
        "  mWakefulness=$wakefulness" '  mWakefulnessChanging=false' '  mIsPowered=true' \
        '  mPlugType=2' "  mStayOn=$stay" '  mProximityPositive=false'
    exit 0 ;;
esac
echo "Can't find service: $1" >&2
""",
    "settings": r"""
#!/bin/sh
file=@STATE@/settings/$2/$3
case $1 in
get) if [ -e "$file" ]; then cat "$file"; else echo null; fi ;;
put) mkdir -p "${file%/*}" && printf '%s\n' "$4" >"$file" ;;
delete) if rm "$file" 2>/dev/null; then echo 'Deleted 1 rows'; else echo 'Deleted 0 rows'; fi ;;
*) echo "Invalid command: $1" >&2; exit 255 ;;
esac
""",
    # To let the screen stay on is to turn it on, too.
    "svc": r"""
#!/bin/sh
case $1/$2/$3 in
power/stayon/true) plugs=15 ;;
power/stayon/false) plugs=0 ;;
power/stayon/ac) plugs=1 ;;
power/stayon/usb) plugs=2 ;;
power/stayon/wireless) plugs=4 ;;
*) echo 'usage: svc power stayon [true|false|usb|ac|wireless|dock]' >&2; exit 0 ;;
esac
echo $plugs >@STATE@/settings/global/stay_on_while_plugged_in
[ $plugs = 0 ] || echo Awake >@STATE@/wakefulness
""",
    "input": r"""
#!/bin/sh
case $1/$2 in
keyevent/KEYCODE_WAKEUP | keyevent/224) echo Awake >@STATE@/wakefulness ;;
keyevent/KEYCODE_SLEEP | keyevent/223) echo Asleep >@STATE@/wakefulness ;;
esac
""",
    # The mask must hold a core of the phone; the command runs on any core of this machine.
    "taskset": r"""
#!/bin/sh
mask=${1#0x}
case $mask in '' | *[!0-9a-fA-F]*) echo "taskset: bad mask '$1'" >&2; exit 1 ;; esac
if [ $((0x$mask & @ALL@)) -eq 0 ]; then
    echo "taskset: failed to set $$'s affinity: Invalid argument" >&2
    exit 1
fi
shift
exec "$@"
""",
    "toybox": r"""
#!/bin/sh
command -v "$1" >/dev/null || { echo "toybox: Unknown command $1" >&2; exit 127; }
exec "$@"
""",
    "id": r"""
#!/bin/sh
[ "$1" = -u ] && echo 2000 || echo 'uid=2000(shell) gid=2000(shell) context=u:r:shell:s0'
""",
    "su": r"""
#!/bin/sh
echo '/system/bin/sh: su: inaccessible or not found' >&2
exit 127
""",
}
