from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import InputError, UnknownNameError
from devices.phone_tools import TOOLS
from devices.target import Target
from lutier.settings import Settings, load_settings

HERE = Target.make("cpu", "onnxruntime", {})
PHONE = Target.make("android:x", "litert", {})


def load(folder: Path, flags: dict[str, object] | None = None, **environment: str) -> Settings:
    return load_settings(flags, environment, folder)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("seed = 1\nnetworks = 11\nmax_rounds = 21\n")
    settings = load(tmp_path, {"max_rounds": 23}, LUTIER_NETWORKS="12", LUTIER_MAX_ROUNDS="22")
    assert (settings.seed, settings.networks, settings.max_rounds) == (1, 12, 23)


def test_a_flag_that_was_not_typed_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {"seed": None}, LUTIER_SEED="7").seed == 7


def test_an_unknown_key_in_the_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("max_round = 30\n")
    with pytest.raises(UnknownNameError, match="max_rounds"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["seed = ", "\x00", "seed = -1", "networks = 'many'"])
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "lutier.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_url_the_database_lies_in_home(tmp_path: Path) -> None:
    settings = load(tmp_path, LUTIER_HOME=str(tmp_path / "home"))
    assert settings.db_url == f"sqlite:///{tmp_path / 'home' / 'lutier.db'}"


def test_protocol_takes_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, LUTIER_MIN_SECONDS="0.5", LUTIER_TARGET_ERROR="0.02")
    protocol = settings.protocol(HERE)
    assert (protocol.min_seconds, protocol.target_error) == (0.5, 0.02)


def test_on_a_phone_visits_are_fewer_and_of_more_runs(tmp_path: Path) -> None:
    settings = load(tmp_path)
    phone, here = settings.protocol(PHONE), settings.protocol(HERE)
    assert phone.min_rounds < here.min_rounds
    assert phone.timed_runs > here.timed_runs
    assert phone.warmup_runs > here.warmup_runs
    assert (phone.reference_every, here.reference_every) == (8, 1)


def test_the_protocol_of_a_phone_takes_the_settings(tmp_path: Path) -> None:
    settings = load(
        tmp_path, LUTIER_MAX_ROUNDS="12", LUTIER_MAX_SECONDS="60", LUTIER_TARGET_ERROR="0.02"
    )
    protocol = settings.protocol(PHONE)
    assert (protocol.max_rounds, protocol.max_seconds) == (12, 60.0)
    assert protocol.target_error == 0.02


def test_every_phone_has_the_same_protocol() -> None:
    names = ("android", "android:all", "android:x", "android:192.0.2.7:5555")
    assert {Settings().protocol(Target.make(name, "litert", {})).id for name in names} == {
        Settings().protocol(PHONE).id
    }


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "ssh:android", "replay:android:x", "androids"])
def test_what_is_no_phone_has_the_protocol_of_this_machine(device: str) -> None:
    assert Settings().protocol(Target.make(device, "onnxruntime", {})) == Settings().protocol(HERE)


@pytest.mark.parametrize(
    ("device", "runtime", "is_renewed"),
    [
        ("cpu", "litert", True),
        ("ssh:pi@board", "litert", True),
        ("cpu", "onnxruntime", False),
        ("cpu", "torch", False),
        ("android:x", "litert", False),
        ("replay:table.json", "litert", False),
    ],
)
def test_models_of_litert_are_loaded_anew(device: str, runtime: str, is_renewed: bool) -> None:
    protocol = Settings().protocol(Target.make(device, runtime, {}))
    assert (protocol.renewal > 0) == is_renewed


@pytest.mark.parametrize("device", ["cpu", "android:x"])
@pytest.mark.parametrize("seconds", ["0", "0.5", "2"])
def test_the_shortest_measurement_may_be_asked_for_everywhere(
    tmp_path: Path, device: str, seconds: str
) -> None:
    protocol = load(tmp_path, LUTIER_MAX_SECONDS=seconds).protocol(
        Target.make(device, "litert", {})
    )
    assert protocol.max_seconds == float(seconds)


def test_without_programs_no_runtime_of_phones_has_one(tmp_path: Path) -> None:
    assert load(tmp_path).programs == {}


def test_each_runtime_of_phones_has_the_program_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("benchmark_model = '/opt/benchmark_model'\n")
    settings = load(tmp_path, LUTIER_PERF_TEST="/opt/onnxruntime_perf_test")
    assert settings.programs == {
        "litert": Path("/opt/benchmark_model"),
        "onnxruntime": Path("/opt/onnxruntime_perf_test"),
    }


def test_the_variables_of_the_programs_are_those_that_phones_know() -> None:
    for runtime, tool in TOOLS.items():
        settings = load_settings(environment={tool.variable: "/opt/program"})
        assert settings.programs == {runtime: Path("/opt/program")}


def test_a_program_may_lie_in_the_home_of_the_user(tmp_path: Path) -> None:
    programs = load(tmp_path, LUTIER_BENCHMARK_MODEL="~/benchmark_model").programs
    assert programs == {"litert": Path.home() / "benchmark_model"}


def test_a_phone_is_waited_for_as_long_as_is_set(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("android_patience = 30\n")
    assert load(tmp_path).android_patience == 30.0
    assert load(tmp_path, LUTIER_ANDROID_PATIENCE="7.5").android_patience == 7.5
    assert load(tmp_path, {"android_patience": 0}).android_patience == 0.0


@pytest.mark.parametrize("patience", ["-1", "86401", "inf", "nan", "long"])
def test_nobody_waits_for_ever_for_a_phone(tmp_path: Path, patience: str) -> None:
    with pytest.raises(InputError, match="android_patience"):
        load(tmp_path, LUTIER_ANDROID_PATIENCE=patience)


def test_a_setting_of_phones_with_a_slip_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "lutier.toml").write_text("benchmark_modell = 'x'\n")
    with pytest.raises(UnknownNameError, match="benchmark_model"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("db", "shown"),
    [
        (
            "postgresql+psycopg://me:secret@host:5/lutier",
            "postgresql+psycopg://me:***@host:5/lutier",
        ),
        ("postgresql+psycopg://me:a@b@host/lutier", "postgresql+psycopg://me:***@host/lutier"),
        ("postgresql+psycopg://me@host/lutier", "postgresql+psycopg://me@host/lutier"),
        ("sqlite:////tmp/lutier.db", "sqlite:////tmp/lutier.db"),
    ],
)
def test_the_database_is_shown_without_its_password(db: str, shown: str) -> None:
    assert Settings(db=db).shown_db == shown
