"""The simulated phone: the real adb takes it for one, and sees each fault as on a real phone."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_adbd import AdbServer, LoopbackPhone, adb_server
from loopback_faults import Fault
from loopback_phone import Phone
from sshd_server import command_line
from stand_in_benchmark_model import BenchmarkServer, build

from devices.artifact import ArtifactFolder
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

OLD = Phone(model="Galaxy S4", product="jflte", features=())
SMALL, LARGE = "mbconv/4x6x6/out=4,kernel=3,expand=3", "mbconv/24x48x48/out=24,kernel=3,expand=6"
QUICK = "--warmup_runs=2 --warmup_min_secs=0 --num_runs=7 --min_secs=0 --max_secs=60"
BENCHMARK = "/data/local/tmp/benchmark_model"


@pytest.fixture(scope="module")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_server(tmp_path_factory.mktemp("adb") / "server") as server:
        yield server


@pytest.fixture
def phone(adb: AdbServer, tmp_path: Path) -> Iterator[LoopbackPhone]:
    with LoopbackPhone(Phone(), tmp_path / "phone") as opened:
        adb.connect(opened)
        yield opened
        adb.run("disconnect", opened.serial)


@pytest.fixture
def old_phone(adb: AdbServer, tmp_path: Path) -> Iterator[LoopbackPhone]:
    with LoopbackPhone(OLD, tmp_path / "old_phone") as opened:
        adb.connect(opened)
        yield opened
        adb.run("disconnect", opened.serial)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("program"))


@pytest.fixture(params=["new", "old"])
def server(request: pytest.FixtureRequest) -> Iterator[BenchmarkServer]:
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'lutier[litert]'")
    with BenchmarkServer(request.param) as opened:
        yield opened


@pytest.fixture
def bench(
    adb: AdbServer, server: BenchmarkServer, program: Path, tmp_path: Path
) -> Iterator[LoopbackPhone]:
    """A phone that has the program and two models."""
    with LoopbackPhone(Phone(), tmp_path / "bench", server) as opened:
        adb.connect(opened)
        push(adb, opened, program, "/data/local/tmp/")
        for name, key in (("small", SMALL), ("large", LARGE)):
            job = Job.of_op(OpSpec.parse(key))
            path = make_artifact(job, "tflite", 1, ArtifactFolder(tmp_path / "models")).path
            push(adb, opened, path, f"/data/local/tmp/{name}.tflite")
        yield opened
        adb.run("disconnect", opened.serial)


def shell(adb: AdbServer, phone: LoopbackPhone, command: str) -> subprocess.CompletedProcess[str]:
    return adb.run("-s", phone.serial, "shell", command)


def push(
    adb: AdbServer, phone: LoopbackPhone, path: Path, to: str
) -> subprocess.CompletedProcess[str]:
    return adb.run("-s", phone.serial, "push", str(path), to)


def random_file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def figures(text: str) -> list[dict[str, float]]:
    """The lines of figures in what the program printed."""
    lines = re.findall(r"^(?:INFO: )?(count=.*)", text, re.MULTILINE)
    pairs = [re.findall(r"(\w+)=([\d.e+-]+)", line) for line in lines]
    return [{name: float(value) for name, value in line} for line in pairs]


def test_it_is_listed_with_its_model(adb: AdbServer, phone: LoopbackPhone) -> None:
    listed = adb.run("devices", "-l").stdout
    (line,) = (line for line in listed.splitlines() if line.startswith(phone.serial))
    assert re.search(r"\bdevice product:panther model:Pixel_7 device:panther\b", line)
    assert adb.run("-s", phone.serial, "get-state").stdout == "device\n"


def test_a_command_has_two_streams_and_a_status(adb: AdbServer, phone: LoopbackPhone) -> None:
    done = shell(adb, phone, "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert shell(adb, phone, "nosuchcmd --x").returncode == 127
    assert shell(adb, phone, "kill -SEGV $$").returncode == 139
    assert phone.commands[-1] == "kill -SEGV $$"


def test_an_old_phone_has_one_stream_and_no_status(
    adb: AdbServer, old_phone: LoopbackPhone
) -> None:
    command = [adb.program, "-s", old_phone.serial, "shell", "echo out; echo err >&2; exit 3"]
    done = subprocess.run(
        command, env=adb.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"out\r\nerr\r\n", b"", 0)
    # More than one message of the old protocol can hold.
    assert shell(adb, old_phone, "seq 20000").stdout.split()[-1] == "20000"


def test_a_command_is_given_its_input(adb: AdbServer, phone: LoopbackPhone) -> None:
    command = [adb.program, "-s", phone.serial, "shell", "wc -c"]
    done = subprocess.run(
        command, env=adb.environment(), input=bytes(200_000), capture_output=True, check=True
    )
    assert done.stdout == b"200000\n"


@pytest.mark.parametrize("name", ["phone", "old_phone"])
def test_files_come_back_as_they_went(
    adb: AdbServer, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    phone: LoopbackPhone = request.getfixturevalue(name)
    sent = random_file(tmp_path / "sent", 3_000_000)
    sent.chmod(0o755)
    there = "/data/local/tmp/new/folder/file"
    assert push(adb, phone, sent, there).returncode == 0
    assert adb.run("-s", phone.serial, "pull", there, str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()
    assert phone.pushed == [there]
    digest = hashlib.sha256(sent.read_bytes()).hexdigest()
    asked = shell(adb, phone, f"sha256sum {there}; stat -c '%s %a' {there}; ls {there[:-5]}")
    assert asked.stdout == f"{digest}  {there}\n3000000 755\nfile\n"


def test_files_are_listed_and_missed(adb: AdbServer, phone: LoopbackPhone, tmp_path: Path) -> None:
    # Where the target is a folder, adb has asked and puts the file into it.
    push(adb, phone, random_file(tmp_path / "one", 1000), "/data/local/tmp")
    listed = adb.run("-s", phone.serial, "ls", "/data/local/tmp").stdout.splitlines()
    assert [line.split()[1:2] + line.split()[3:] for line in listed] == [["000003e8", "one"]]
    missed = adb.run("-s", phone.serial, "pull", "/data/local/tmp/zzz", str(tmp_path))
    assert missed.returncode == 1
    assert "failed to stat remote object '/data/local/tmp/zzz'" in missed.stdout + missed.stderr


def test_adbutils_takes_it_for_a_phone(adb: AdbServer, phone: LoopbackPhone) -> None:
    adbutils = pytest.importorskip("adbutils", reason="needs adbutils: pip install adbutils")
    device = adbutils.AdbClient("127.0.0.1", adb.port).device(phone.serial)
    done = device.shell2("echo out; echo err >&2; exit 3", v2=True)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    device.sync.push(b"some text", "/data/local/tmp/file")
    assert device.sync.stat("/data/local/tmp/file").size == 9
    assert device.sync.read_text("/data/local/tmp/file") == "some text"
    assert device.prop.model == "Pixel 7"


def test_two_phones_have_to_be_told_apart(
    adb: AdbServer, phone: LoopbackPhone, old_phone: LoopbackPhone
) -> None:
    models = [
        shell(adb, one, "getprop ro.product.model").stdout.strip() for one in (phone, old_phone)
    ]
    assert models == ["Pixel 7", "Galaxy S4"]
    asked = adb.run("shell", "true")
    assert asked.returncode == 1
    assert "more than one device/emulator" in asked.stderr


def test_it_has_the_files_and_programs_of_a_phone(adb: AdbServer, phone: LoopbackPhone) -> None:
    cores = 'for c in /sys/devices/system/cpu/cpu[0-9]*; do echo "${c##*cpu} $(cat $c/cpufreq/'
    clocks = shell(adb, phone, cores + 'cpuinfo_max_freq)"; done').stdout.splitlines()
    assert clocks == [f"{core} {khz}" for core, khz in enumerate(phone.phone.core_max_khz)]
    phone.state.set_clock(0, scaling_cur_freq=600000)
    read = shell(adb, phone, "cd /sys/devices/system/cpu; pwd; cat cpu3/cpufreq/scaling_cur_freq")
    assert read.stdout == "/sys/devices/system/cpu\n600000\n"
    assert shell(adb, phone, "taskset c0 echo pinned").stdout == "pinned\n"
    assert shell(adb, phone, "taskset 100 echo pinned").returncode == 1
    assert shell(adb, phone, "toybox timeout 0.1 sleep 9").returncode == 124
    assert "[ro.soc.model]: [GS201]\n" in shell(adb, phone, "getprop").stdout
    assert shell(adb, phone, "getprop ro.no.such").stdout == "\n"
    assert shell(adb, phone, "settings get global no_such").stdout == "null\n"
    assert shell(adb, phone, "id -u").stdout == "2000\n"


def test_its_state_changes_while_it_runs(adb: AdbServer, phone: LoopbackPhone) -> None:
    phone.state.set_thermal_status(2)
    phone.state.set_temperature(41.5)
    phone.state.set_battery(level=25, temperature_c=39.0, charging=False)
    phone.state.set_low_power(True)
    phone.state.set_screen(awake=False)
    thermal = shell(adb, phone, "dumpsys thermalservice").stdout
    assert "\nThermal Status: 2\n" in thermal
    assert "\n\tTemperature{mValue=41.5, mType=0, mName=CPU0, mStatus=0}\n" in thermal
    battery = shell(adb, phone, "dumpsys battery").stdout
    for line in ("USB powered: false", "status: 3", "level: 25", "temperature: 390"):
        assert f"\n  {line}\n" in battery
    assert shell(adb, phone, "settings get global low_power").stdout == "1\n"
    assert "mWakefulness=Asleep" in shell(adb, phone, "dumpsys power").stdout
    shell(adb, phone, "svc power stayon true")
    assert phone.state.awake
    assert phone.state.setting("stay_on_while_plugged_in") == "15"
    phone.when("work", lambda: phone.state.set_thermal_status(3))
    asked = "dumpsys thermalservice | grep Status:"
    assert [shell(adb, phone, f"echo {word}; {asked}").stdout for word in ("rest", "work")] == [
        "rest\nThermal Status: 2\n",
        "work\nThermal Status: 3\n",
    ]


def test_the_stand_in_times_models_for_real(
    adb: AdbServer, bench: LoopbackPhone, server: BenchmarkServer
) -> None:
    printed = []
    for name in ("small", "large"):
        graph = f"--graph=/data/local/tmp/{name}.tflite"
        done = shell(adb, bench, f"{BENCHMARK} {graph} --num_threads=1 {QUICK} 2>&1")
        assert done.returncode == 0
        assert f"Graph: [/data/local/tmp/{name}.tflite]\n" in done.stdout
        assert "\nRunning" in done.stdout.replace("\nINFO: Running", "\nRunning")
        assert ("INFO: STARTING!" in done.stdout) == (server.dialect == "new")
        warmup, timed = figures(done.stdout)
        assert (warmup["count"], timed["count"]) == (2, 7)
        assert ("median" in timed) == (server.dialect == "new")
        assert "Inference timings in us: Init: " in done.stdout
        run = server.runs[-1]
        contents = (bench.sandbox / f"{name}.tflite").read_bytes()
        assert run.graph_sha256 == hashlib.sha256(contents).hexdigest()
        assert (run.num_runs, run.warmup, run.stats, run.status) == (7, warmup, timed, 0)
        printed.append(timed)
    small, large = printed
    assert large.get("min", large["curr"]) > 3 * small.get("min", small["curr"])


@pytest.mark.parametrize("server", ["new"], indirect=True)
def test_the_stand_in_fails_and_falls_back_as_the_program_does(
    adb: AdbServer, bench: LoopbackPhone, server: BenchmarkServer
) -> None:
    def run(flags: str) -> tuple[int, str]:
        done = shell(adb, bench, f"cd /data/local/tmp; ./benchmark_model {flags} {QUICK} 2>&1")
        return done.returncode, done.stdout

    (bench.sandbox / "cut.tflite").write_bytes((bench.sandbox / "large.tflite").read_bytes()[:999])
    for flags, status, text in (
        ("", 1, "ERROR: Please specify the name of your TF Lite input file with --graph\n"),
        ("--graph=none.tflite", 1, "ERROR: Could not open 'none.tflite'.\n"),
        ("--graph=cut.tflite", 1, "ERROR: The model is not a valid Flatbuffer buffer\n"),
        ("--graph=small.tflite --num_threads=-3", 1, "ERROR: Failed to set thread number\n"),
        ("--graph=small.tflite --use_gpu=true", 1, "ERROR: Failed to apply GPU delegate.\n"),
        ("--graph=small.tflite --external_delegate_path=no.so", 139, "EXTERNAL delegate created."),
        ("--graph=small.tflite --use_nnapi=true", 0, "WARN: NNAPI acceleration is unsupported"),
        ("--graph=small.tflite --use_hexagon=true", 0, "WARN: Could not create Hexagon delegate"),
        ("--graph=small.tflite --kernel=k", 0, "WARN: Unconsumed cmdline flags: --kernel=k\n"),
    ):  # fmt: skip
        ended, printed = run(flags)
        assert ended == status
        assert text in printed
        assert ("Benchmarking failed." in printed) == (status == 1)
        assert len(figures(printed)) == (0 if status else 2)
    assert "Replacing 4 out of 4 node(s) with delegate (TfLiteXNNPackDelegate)" in printed
    _, profiled = run("--graph=large.tflite --use_xnnpack=false --enable_op_profiling=true")
    assert "XNNPack" not in profiled
    (row,) = set(re.findall(r"^\t +Invoke\t.*\tInvoke/0$", profiled, re.MULTILINE))
    first_ms = float(row.split("\t")[2])
    assert first_ms * 1000 == pytest.approx(server.runs[-1].stats["first"])


@pytest.mark.parametrize("kind", ["unauthorized", "mute", "offline"])
def test_a_fault_of_the_link_passes(adb: AdbServer, phone: LoopbackPhone, kind: str) -> None:
    state = "unauthorized" if kind == "unauthorized" else "offline"
    phone.inject(Fault(kind, seconds=1.0))
    adb.await_state(phone, state)
    asked = shell(adb, phone, "true")
    assert asked.returncode == 1
    assert f"device {state}" in asked.stderr
    adb.await_state(phone, "device")
    assert shell(adb, phone, "echo back").stdout == "back\n"


def test_the_link_breaks_amid_output(adb: AdbServer, phone: LoopbackPhone) -> None:
    phone.inject(Fault("drop-shell", matching="echo start", seconds=0.1))
    broken = shell(adb, phone, "echo start; sleep 2; echo end")
    assert broken.stdout == "start\n"
    # Versions differ in whether they call that a failure.
    assert broken.returncode in (0, 255)
    adb.await_state(phone, "device")
    assert shell(adb, phone, "echo start; echo end").stdout == "start\nend\n"


def test_the_link_breaks_at_the_right_command(adb: AdbServer, phone: LoopbackPhone) -> None:
    phone.inject(Fault("offline", matching="work", after=1, seconds=0.1))
    assert [shell(adb, phone, f"echo {word}").stdout for word in ("work", "rest", "work")] == [
        "work\n",
        "rest\n",
        "",
    ]
    adb.await_state(phone, "device")


def test_the_link_breaks_amid_a_file(adb: AdbServer, phone: LoopbackPhone, tmp_path: Path) -> None:
    sent = random_file(tmp_path / "sent", 3_000_000)
    phone.inject(Fault("drop-push", matching="file"))
    assert push(adb, phone, sent, "/data/local/tmp/file").returncode != 0
    assert not (phone.sandbox / "file").exists()
    adb.await_state(phone, "device")
    assert push(adb, phone, sent, "/data/local/tmp/file").returncode == 0


def test_a_full_disk_takes_no_file(adb: AdbServer, phone: LoopbackPhone, tmp_path: Path) -> None:
    sent = random_file(tmp_path / "sent", 3_000_000)
    phone.inject(Fault("full-disk"))
    refused = push(adb, phone, sent, "/data/local/tmp/file")
    assert refused.returncode == 1
    assert "No space left on device" in refused.stdout + refused.stderr
    assert not (phone.sandbox / "file").exists()


def test_services_are_refused(adb: AdbServer, phone: LoopbackPhone) -> None:
    phone.inject(Fault("refuse-open", times=2))
    for _ in range(2):
        refused = shell(adb, phone, "true")
        assert refused.returncode == 1
        assert refused.stderr.endswith(": closed\n")
    assert phone.commands == []
    assert shell(adb, phone, "echo open").stdout == "open\n"


def test_commands_are_slow_and_cut_and_killed(adb: AdbServer, phone: LoopbackPhone) -> None:
    phone.inject(Fault("slow", seconds=0.3))
    start = time.monotonic()
    shell(adb, phone, "true")
    assert time.monotonic() - start > 0.3
    phone.inject(Fault("cut"))
    cut = shell(adb, phone, "seq 1000 1009")
    assert (cut.stdout, cut.returncode) == ("1000\n1001\n1002\n1003\n1004", 0)
    phone.inject(Fault("killed", matching="seq", status=139))
    killed = shell(adb, phone, "seq 1000 1009")
    assert (killed.stdout, killed.returncode) == ("1000\n1001\n1002\n1003\n1004", 139)


@pytest.mark.parametrize("status", [137, 139])
@pytest.mark.parametrize("server", ["new"], indirect=True)
def test_the_stand_in_is_killed_and_its_shell_goes_on(
    adb: AdbServer, bench: LoopbackPhone, server: BenchmarkServer, status: int
) -> None:
    bench.inject(Fault("killed", matching="benchmark_model", status=status))
    command = f'{BENCHMARK} --graph=/data/local/tmp/small.tflite {QUICK}; echo "status $?"'
    done = shell(adb, bench, command)
    assert done.stdout.endswith(f"60 seconds.\nstatus {status}\n")
    assert len(figures(done.stdout)) == 1
    assert server.runs[-1].stats == {}
    assert shell(adb, bench, command).stdout.endswith("\nstatus 0\n")


def test_a_restart_ends_programs_and_keeps_files(adb: AdbServer, phone: LoopbackPhone) -> None:
    touch = "touch /data/local/tmp/file"
    started = shell(adb, phone, f"{touch}; sleep 60 >/dev/null 2>&1 </dev/null & echo $!")
    pid = int(started.stdout)
    assert command_line(pid) == "sleep 60 "
    phone.restart(0.1)
    adb.await_state(phone, "device")
    assert command_line(pid) == ""
    assert shell(adb, phone, "ls /data/local/tmp").stdout == "file\n"
