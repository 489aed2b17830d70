"""The command line on a phone: from the cable to a network that meets its budget."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_faults import Fault
from loopback_phone import Phone
from phone_bench import CommandLine, PhoneBench, phone_bench

SPACE = "mobile-tiny"
OP = "mbconv/16x16x16/expand=3,kernel=3,out=24,stride=2"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PhoneBench]:
    with phone_bench(tmp_path / "bench", monkeypatch=monkeypatch) as found:
        yield found


@pytest.fixture
def lutier(bench: PhoneBench, tmp_path: Path) -> CommandLine:
    return CommandLine(bench, tmp_path)


def profile_words(device: str, *more: str) -> list[str]:
    words = ["profile", "--device", device, "--runtime", "litert", "--time-limit", "1"]
    return [*words, *more]


def printed(bench: PhoneBench) -> dict[str, list[float]]:
    """What the stand-in printed of each model, in ms: the median, of quick ones the mean."""
    found: dict[str, list[float]] = {}
    for run in bench.server.runs:
        if run.status == 0:
            # Of runs that all took as long, one figure is printed for all.
            names = [name for name in ("median", "avg", "curr") if name in run.stats]
            found.setdefault(run.graph_sha256, []).extend(run.stats[name] / 1e3 for name in names)
    return found


@pytest.mark.slow
def test_from_a_phone_to_a_network_within_its_budget(
    bench: PhoneBench, lutier: CommandLine, tmp_path: Path
) -> None:
    words = profile_words(bench.device, "--space", SPACE, "--networks", "24")
    report = lutier.json(*words)
    assert report["measured"] == report["planned"]
    assert report["environment"]["phone"] == "Google Pixel 7"
    figures = printed(bench)
    visits = lutier.rows(
        "SELECT artifact_sha256, samples_ms FROM visits JOIN measurements"
        " ON measurements.id = visits.measurement_id"
    )
    assert len(visits) >= 8 * report["planned"]
    for digest, samples in visits:
        (sample,) = json.loads(samples)
        assert sample in figures[digest]
    stored = lutier.rows("SELECT target, facts FROM measurements, environments")
    assert not any(bench.phone.serial in "".join(row) for row in stored)
    # Stored once is stored: nothing runs again.
    runs = len(bench.server.runs)
    assert lutier.json(*words)["measured"] == 0
    assert len(bench.server.runs) == runs

    target = f"{bench.device}/litert"
    lutier("fit", "--target", target)
    budget = 3 * min(
        median
        for (median,) in lutier.rows("SELECT median_ms FROM measurements WHERE role = 'network'")
    )
    search = ["search", "knas", "--target", target, "--space", SPACE, "--data", "digits"]
    search += ["--budget", f"{budget:.3f}ms", "--pool", "8", "--k", "1", "--train-epochs", "1"]
    lutier(*search, "--out", str(tmp_path / "run"))
    before = len(bench.server.runs)
    verified = lutier.json("verify", str(tmp_path / "run"))
    assert verified["measured_ms"] <= budget
    medians = [run.stats["median"] / 1e3 for run in bench.server.runs[before:] if run.status == 0]
    assert min(medians) <= verified["measured_ms"] <= max(medians)


def test_a_phone_that_stays_away_is_given_up_and_the_same_command_goes_on(
    bench: PhoneBench, lutier: CommandLine
) -> None:
    lutier.environment["LUTIER_ANDROID_PATIENCE"] = "0.5"
    words = profile_words(bench.device, "--op", OP)
    bench.phone.inject(Fault("offline", "taskset", after=5, seconds=8))
    _, err = lutier(*words, status=4)
    assert "0 of 1 are measured" in err
    assert "visits of this run are stored" in err
    assert f"lutier {' '.join(words)}" in err
    stored = lutier.rows("SELECT count(*) FROM visits")[0][0]
    assert stored > 0
    lutier.environment["LUTIER_ANDROID_PATIENCE"] = "60"
    assert bench.adb.connect(bench.phone) == bench.phone.serial
    assert lutier.json(*words)["measured"] == 1
    assert lutier.rows("SELECT count(*) FROM visits")[0][0] >= 8
    assert len(set(lutier.rows("SELECT measurement_id, number FROM visits"))) == len(
        lutier.rows("SELECT number FROM visits")
    )


def test_two_processes_do_not_measure_on_one_phone_at_once(
    bench: PhoneBench, lutier: CommandLine
) -> None:
    bench.phone.inject(Fault("slow", "taskset", times=1000, seconds=0.3))
    first = lutier.start(*profile_words(bench.device, "--op", OP))
    try:
        while not lutier.rows("SELECT name FROM sqlite_master WHERE name = 'claims'") or (
            not lutier.rows("SELECT * FROM claims")
        ):
            assert first.poll() is None, first.communicate()
        other = profile_words(bench.device, "--op", OP, "--delegate", "none")
        # However long the other takes to start, the first is not done by then.
        first.send_signal(signal.SIGSTOP)
        _, err = lutier(*other, status=4)
        assert "is being measured by another process" in err
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=200)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 0


def test_all_phones_are_measured_each_op_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = (Phone(), Phone(model="Galaxy S22", serial="R5CT1234567", soc_model="S5E9925"))
    with phone_bench(tmp_path / "bench", *phones, monkeypatch=monkeypatch) as bench:
        lutier = CommandLine(bench, tmp_path)
        words = profile_words("android:all", "--op", OP, "--time-limit", "0")
        found = lutier.json(*words)
        assert set(found["statuses"].values()) == {0}
        assert [report["measured"] for report in found["devices"].values()] == [1, 1]
        keys = lutier.rows("SELECT target, key FROM measurements WHERE role = 'op'")
        assert sorted(keys) == sorted(
            (f"{device}/litert?threads=1", OP) for device in found["devices"]
        )


def test_devices_and_doctor_say_what_stands_in_the_way(
    bench: PhoneBench, lutier: CommandLine
) -> None:
    out, _ = lutier("devices")
    assert "Google Pixel 7, Google GS201, Android 14" in out
    assert "battery 85 %" in out
    out, _ = lutier("doctor", "--device", bench.device)
    assert "4 at 1803 MHz (0xf)" in out
    bench.phone.state.set_battery(level=9)
    bench.phone.state.set_thermal_status(2)
    bench.phone.state.set_clock(6, scaling_max_freq=1000000)
    out, _ = lutier("doctor", "--device", "android", status=4)
    assert "the battery is at 9 %" in out
    assert "thermal status 2 (moderate)" in out
    assert "core 6 at 1000 of 2850 MHz" in out
    out, _ = lutier("devices")
    assert "in the way: the battery is at 9 %" in out
    bench.phone.inject(Fault("unauthorized", seconds=30))
    bench.adb.await_state(bench.phone, "unauthorized")
    out, _ = lutier("devices")
    assert "unauthorized" in out
    assert "in the way" in out


def test_a_program_that_is_none_is_told_before_anything_runs(
    bench: PhoneBench, lutier: CommandLine, tmp_path: Path
) -> None:
    page = tmp_path / "benchmark_model"
    page.write_text("<!doctype html><html>not found</html>")
    words = profile_words(bench.device, "--op", OP, "--benchmark-model", str(page))
    _, err = lutier(*words, status=2)
    assert "is no program: it is a text" in err
    assert not bench.phone.pushed


def test_names_with_shell_characters_run_nothing(bench: PhoneBench, lutier: CommandLine) -> None:
    for word in ("$(touch x)", "a;touch x", "`touch x`", "a b'c\"d"):
        _, err = lutier(*profile_words(f"android:{word}", "--op", OP), status=2)
        assert "is not attached" in err
    assert not list(bench.phone.sandbox.rglob("x"))
    assert not Path("x").exists()
