"""A phone over the real adb: what it is, what it measures, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from loopback_faults import Fault
from loopback_phone import Phone
from phone_bench import PhoneBench, phone_bench

import devices.android
import devices.phone_link
from devices.android import AndroidDevice
from devices.artifact import Artifact, ArtifactFolder
from devices.errors import (
    ArtifactError,
    DeviceError,
    InputError,
    LinkLostError,
    MeasurementError,
    MissingError,
    UnparsableOutputError,
)
from devices.registry import open_target
from devices.target import Target
from devices.testing import DeviceContract
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

OPS = (
    OpSpec.make("mbconv", (24, 28, 28), out=24, kernel=3, stride=1, expand=6),
    OpSpec.make("mbconv", (24, 28, 28), out=40, kernel=5, stride=2, expand=6),
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PhoneBench]:
    monkeypatch.setattr(devices.android, "_COOL_POLL_S", 0.02)
    monkeypatch.setattr(devices.phone_link, "_AGAIN_AFTER_S", 0.02)
    with phone_bench(tmp_path / "bench", monkeypatch=monkeypatch) as found:
        yield found


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    return make_files(tmp_path)


def make_files(tmp_path: Path) -> list[Artifact]:
    folder = ArtifactFolder(tmp_path / "models")
    return [make_artifact(Job.of_op(op), "tflite", 1, folder) for op in OPS]


def target_of(bench: PhoneBench, **options: str | int) -> Target:
    return Target.make(bench.device, "litert", options)


class TestAndroidContract(DeviceContract):
    tells_every_run = False

    @pytest.fixture(autouse=True)
    def _bench(self, bench: PhoneBench) -> None:
        self.bench = bench

    def make_device(self, tmp_path: Path) -> AndroidDevice:
        return AndroidDevice(self.bench.phone.serial)

    def make_target(self, device: object) -> Target:
        return target_of(self.bench)

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return make_files(tmp_path)


def test_the_figure_is_the_median_that_the_program_printed(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        found = [model.time_ms(warmup=2, runs=7) for _ in range(3)]
    runs = [run for run in bench.server.runs if run.num_runs == 7]
    assert [run.graph_sha256 for run in runs] == [artifacts[0].sha256] * 3
    assert found == [[run.stats["median"] / 1e3] for run in runs]


def test_an_old_program_gives_its_mean(
    tmp_path: Path, artifacts: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    with phone_bench(tmp_path / "bench", dialect="old", monkeypatch=monkeypatch) as bench:
        target = target_of(bench)
        with open_target(target) as device:
            found = device.load(artifacts[0], target).time_ms(warmup=2, runs=7)
        assert found == [bench.server.runs[-1].stats["avg"] / 1e3]


def test_a_model_too_quick_for_microseconds_is_the_mean_of_many_runs(
    bench: PhoneBench, tmp_path: Path
) -> None:
    tiny = make_artifact(Job.of_call(), "tflite", 1, ArtifactFolder(tmp_path / "models"))
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(tiny, target)
        found = [model.time_ms(warmup=0, runs=3) for _ in range(2)]
    many = [run.stats["avg"] / 1e3 for run in bench.server.runs if run.num_runs == 1000]
    assert found == [[mean] for mean in many]
    assert 0 < found[0][0] < 0.02


def test_a_phone_is_known_by_its_alias_and_its_serial_is_in_no_name(bench: PhoneBench) -> None:
    target = target_of(bench)
    assert bench.phone.serial not in str(target)
    with open_target(target) as device:
        assert device.name == target.device
        facts = device.environment(target).to_dict()
    assert bench.phone.phone.serial not in " ".join(facts.values())
    assert facts["phone"] == "Google Pixel 7"
    assert facts["chip"] == "Google GS201"
    assert facts["cores"] == "0x30"
    assert facts["clusters"].startswith("4 at 1803 MHz (0xf), 2 at 2348 MHz (0x30)")


def test_models_are_sent_once_and_gone_afterwards_and_the_program_stays(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        for _ in range(2):
            for artifact in artifacts:
                device.load(artifact, target).time_ms(warmup=0, runs=1)
        assert len(bench.phone.pushed) == 3
    kept = [path.name for path in (bench.phone.sandbox / "lutier").rglob("*") if path.is_file()]
    assert [name[:16] for name in kept] == ["benchmark_model-"]


@pytest.mark.parametrize(
    ("cores", "mask"),
    [("little", "f"), ("big", "30"), ("prime", "c0"), ("all", "ff"), ("0x3", "3")],
)
def test_a_run_is_pinned_to_the_cores_of_the_target(
    bench: PhoneBench, artifacts: list[Artifact], cores: str, mask: str
) -> None:
    target = target_of(bench, cores=cores)
    with open_target(target) as device:
        device.load(artifacts[1], target).time_ms(warmup=0, runs=1)
    assert any(f"taskset {mask} /data/local/tmp/lutier/" in each for each in bench.phone.commands)


def test_a_delegate_that_fell_back_is_a_failure_with_the_reason_of_the_log(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench, delegate="nnapi")
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        with pytest.raises(MeasurementError, match="NNAPI acceleration is unsupported"):
            model.time_ms(warmup=0, runs=1)


def test_a_delegate_that_does_not_start_is_a_failure(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench, delegate="gpu")
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        with pytest.raises(MeasurementError, match="Failed to apply GPU delegate"):
            model.time_ms(warmup=0, runs=1)


def test_without_a_delegate_the_runtimes_own_kernels_run(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench, delegate="none")
    with open_target(target) as device:
        assert device.load(artifacts[0], target).time_ms(warmup=0, runs=1)[0] > 0


def test_operations_are_timed_in_a_run_of_their_own(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with AndroidDevice(bench.phone.serial) as device:
        (found,) = device.op_times(artifacts[0], target, runs=5)
    assert "--enable_op_profiling=true" in bench.server.runs[-1].arguments
    assert found.avg_ms == pytest.approx(bench.server.runs[-1].stats["avg"] / 1e3, rel=0.05)


# What is refused before anything runs


def test_a_program_for_another_processor_is_refused_before_it_is_sent(
    bench: PhoneBench, tmp_path: Path, artifacts: list[Artifact]
) -> None:
    contents = bytearray(bench.program.read_bytes())
    contents[18:20] = (40).to_bytes(2, "little")
    wrong = tmp_path / "for_arm"
    wrong.write_bytes(contents)
    target = target_of(bench)
    with AndroidDevice(bench.phone.serial, programs={"litert": wrong}) as device:
        with pytest.raises(ArtifactError, match="armeabi-v7a"):
            device.environment(target)
        with pytest.raises(ArtifactError, match="armeabi-v7a"):
            device.load(artifacts[0], target)
    assert not any("benchmark_model" in path for path in bench.phone.pushed)


def test_without_a_program_it_says_where_to_get_one(bench: PhoneBench) -> None:
    with (
        AndroidDevice(bench.phone.serial, programs={}) as device,
        pytest.raises(MissingError, match="LUTIER_BENCHMARK_MODEL"),
    ):
        device.environment(target_of(bench))


def test_a_phone_low_on_battery_or_saving_it_is_refused(bench: PhoneBench) -> None:
    bench.phone.state.set_battery(level=12, temperature_c=41.0)
    bench.phone.state.set_low_power(True)
    with AndroidDevice(bench.phone.serial) as device:
        with pytest.raises(DeviceError, match="12 %") as caught:
            device.environment(target_of(bench))
        assert "41 C" in str(caught.value)
        assert "battery saver" in str(caught.value)


def test_more_threads_than_the_cluster_has_cores_are_refused(bench: PhoneBench) -> None:
    with (
        AndroidDevice(bench.phone.serial) as device,
        pytest.raises(InputError, match="2 cores"),
    ):
        device.environment(target_of(bench, threads=3))


def test_two_phones_and_no_serial_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = (Phone(), Phone(model="Galaxy S22", serial="R5CT1234567"))
    with phone_bench(tmp_path / "bench", *phones, monkeypatch=monkeypatch) as bench:
        with pytest.raises(InputError, match="2 phones are attached") as caught:
            AndroidDevice()
        assert all(phone.serial in str(caught.value) for phone in bench.phones)
        assert "--device android:" in caught.value.hint


def test_one_phone_needs_no_name(bench: PhoneBench) -> None:
    with AndroidDevice() as device:
        assert device.name == target_of(bench).device


# Heat


def test_a_run_during_which_the_phone_was_throttled_does_not_count(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.phone.state.set_thermal_status(2)
        # It has cooled down by the time that it is asked again.
        cool = partial(bench.phone.state.set_thermal_status, 0)
        bench.phone.when("taskset", lambda: bench.phone.when("thermalservice", cool))
        found = model.time_ms(warmup=0, runs=3)
    runs = [run.stats["median"] / 1e3 for run in bench.server.runs if run.num_runs == 3]
    assert len(runs) == 2
    assert found == [runs[1]]


def test_a_phone_that_stays_throttled_is_given_up(
    bench: PhoneBench, artifacts: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.android, "COOL_SECONDS", 0.1)
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.phone.state.set_thermal_status(3)
        with pytest.raises(DeviceError, match="does not cool down"):
            model.time_ms(warmup=0, runs=1)


# Trouble


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop-shell", "taskset", seconds=0.05),
        Fault("refuse-open", "taskset"),
        Fault("killed", "taskset", status=137),
        Fault("killed", "taskset", status=139),
        Fault("cut", "taskset"),
        Fault("slow", "taskset", seconds=0.5),
        Fault("offline", "taskset", seconds=0.5),
        Fault("mute", "taskset", seconds=0.5),
        Fault("unauthorized", "taskset", seconds=0.5),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_run_that_was_cut_is_made_again_as_a_whole(
    bench: PhoneBench, artifacts: list[Artifact], fault: Fault
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.phone.inject(fault)
        found = model.time_ms(warmup=0, runs=3)
    assert found == [bench.server.runs[-1].stats["median"] / 1e3]


def test_a_file_whose_way_broke_is_sent_again(bench: PhoneBench, artifacts: list[Artifact]) -> None:
    target = target_of(bench)
    bench.phone.inject(Fault("drop-push", "models/"))
    with open_target(target) as device:
        assert device.load(artifacts[0], target).time_ms(warmup=0, runs=1)[0] > 0


def test_what_a_restart_wiped_is_sent_again(bench: PhoneBench, artifacts: list[Artifact]) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)

        def wipe() -> None:
            for path in sorted((bench.phone.sandbox / "lutier").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            bench.phone.inject(Fault("offline", seconds=0.3))

        bench.phone.when("taskset", wipe)
        assert model.time_ms(warmup=0, runs=3)[0] > 0


def test_an_adb_server_that_is_killed_comes_back(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.adb.run("kill-server")
        assert model.time_ms(warmup=0, runs=1)[0] > 0


def test_a_full_phone_is_told_at_once(bench: PhoneBench, artifacts: list[Artifact]) -> None:
    target = target_of(bench)
    bench.phone.inject(Fault("full-disk", "models/", times=100))
    with open_target(target) as device, pytest.raises(DeviceError, match="no room") as caught:
        device.load(artifacts[0], target)
    assert not isinstance(caught.value, LinkLostError)


def test_a_phone_that_does_not_come_back_is_given_up(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with AndroidDevice(bench.phone.serial, patience_s=0.5) as device:
        model = device.load(artifacts[0], target)
        bench.phone.inject(Fault("offline", "taskset", seconds=20))
        with pytest.raises(LinkLostError, match="not ready after"):
            model.time_ms(warmup=0, runs=1)


@pytest.mark.parametrize("status", [137, 139])
def test_a_program_that_always_crashes_is_a_failure_of_the_model(
    bench: PhoneBench, artifacts: list[Artifact], status: int
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.phone.inject(Fault("killed", "taskset", times=100, status=status))
        with pytest.raises(MeasurementError, match="exit status"):
            model.time_ms(warmup=0, runs=1)


def test_output_that_nobody_can_read_ends_the_run(
    bench: PhoneBench, artifacts: list[Artifact]
) -> None:
    target = target_of(bench)
    with open_target(target) as device:
        model = device.load(artifacts[0], target)
        bench.phone.inject(Fault("cut", "taskset", times=100))
        with pytest.raises((UnparsableOutputError, LinkLostError)):
            model.time_ms(warmup=0, runs=1)
