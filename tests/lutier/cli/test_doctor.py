"""``lutier doctor``: what is missing, what installs it, and its exit code."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import in_process
import pytest

from devices import nvml
from devices.errors import DeviceError, MissingExtraError
from lutier import asked_checks, checks
from lutier.checks import check_gpu, check_settings
from lutier.extras import Extra
from lutier.settings import Settings

run = partial(in_process.run_in_one_line, "doctor")
answer = partial(in_process.answer, "doctor")


@pytest.fixture
def without_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_extra", lambda name: Extra(name, (), ("plotly",)))


def test_it_looks_at_everything_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    names = {each["name"] for each in answer(capsys=capsys)["checks"]}
    assert names >= {"python", "packages", "settings", "database", "chip", "load", "governor"}
    assert names >= {"runtime onnxruntime", "runtime torch-compile", "gpu", "adb", "ssh"}
    assert names >= {"extra report", "extra litert"}


def test_a_part_that_is_asked_for_and_missing_exits_with_3(
    without_plotly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("--for", "report", capsys=capsys)
    assert code == 3
    assert out.startswith("none  extra report: lutier report (plotly not installed)")
    assert "Try: pip install 'lutier[report]'" in err


def test_of_several_that_are_missing_each_has_its_command(
    without_plotly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("--for", "report", "--for", "search", capsys=capsys)
    assert code == 3
    assert "missing too: extra search" in err
    assert "Try: pip install 'lutier[report]'; pip install 'lutier[search]'" in err


def test_a_part_that_nobody_asked_for_may_be_missing(
    without_plotly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys=capsys)
    assert (code, err) == (0, "")
    assert "pip install 'lutier[report]'" in out


def test_a_part_alone_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer("--for", "onnxruntime", "--for", "android", capsys=capsys)["checks"]
    assert [each["name"] for each in found] == ["runtime onnxruntime", "adb"]
    assert {each["verdict"] for each in found} == {"ok"}


def test_quiet_leaves_the_exit_code(
    without_plotly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("-q", "--for", "report", capsys=capsys)
    assert (code, out) == (3, "")
    assert err.startswith("error: extra report is missing")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--for", "repor"], 2, "Try: report"),
        (["--device", "androi"], 2, "Try: android"),
        (["--device", "cuda:x"], 2, "Try: cuda:0"),
        (["--device", "replay:gone.json"], 2, "no recording"),
    ],
)
def test_bad_input(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, _, err = run(*words, capsys=capsys)
    assert (got, says in err) == (code, True)


@pytest.mark.parametrize(
    "error",
    [
        MissingExtraError("this PyTorch cannot drive a GPU", "", "a build with CUDA"),
        DeviceError("no GPU for cuda:0", "PyTorch finds none", "nvidia-smi"),
    ],
)
def test_a_gpu_that_is_asked_for_and_missing_exits_with_3(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(address: str) -> None:
        raise error

    monkeypatch.setattr(asked_checks, "CudaDevice", none)
    code, _, err = run("--device", "cuda", capsys=capsys)
    assert code == 3
    assert str(error) in err.replace(" is missing: ", " ")


def test_a_phone_without_adb_exits_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> None:
        raise MissingExtraError("adb is not installed", "", "apt-get install adb")

    monkeypatch.setattr("lutier.phone_checks.Adb.find", none)
    code, _, err = run("--device", "android", capsys=capsys)
    assert (code, "apt-get install adb" in err) == (3, True)


# Settings


def settings_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[checks.Finding]:
    monkeypatch.chdir(folder)
    return list(check_settings(Settings()))


def test_the_settings_file_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no lutier.toml in this folder" in settings_of(tmp_path, monkeypatch)[0].text
    (tmp_path / "lutier.toml").write_text("# seed = 1\n")
    assert "sets nothing" in settings_of(tmp_path, monkeypatch)[0].text
    (tmp_path / "lutier.toml").write_text("seed = 1\nnetworks = 2\n")
    assert "lutier.toml sets networks, seed" in settings_of(tmp_path, monkeypatch)[0].text


def test_a_variable_with_a_slip_is_said_to_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTIER_MAX_ROUND", "20")
    monkeypatch.setenv("LUTIER_SSH_PYTHON", "python3")
    first, warning = settings_of(tmp_path, monkeypatch)
    assert "LUTIER_MAX_ROUND" in first.text
    assert warning.verdict == "warn"
    assert "LUTIER_MAX_ROUND" in warning.text
    assert "LUTIER_MAX_ROUNDS" in warning.advice


def test_every_variable_that_is_read_is_known() -> None:
    import re

    root = Path(__file__).parents[3]
    read = {
        name
        for package in ("devices", "profiler", "latency_models", "search", "lutier")
        for path in (root / package).rglob("*.py")
        for name in re.findall(r"\bLUTIER_[A-Z_]+[A-Z]", path.read_text())
    }
    known = {f"LUTIER_{name.upper()}" for name in Settings.model_fields} | checks.OTHER_VARIABLES
    assert read <= known | {"LUTIER_COMPLETE"}


# GPU


def gpu_of(
    monkeypatch: pytest.MonkeyPatch, build: str, answer: tuple[str, list[str]] | Exception
) -> list[checks.Finding]:
    def ask() -> tuple[str, list[str]]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(checks, "driver_and_gpus", ask)
    monkeypatch.setattr(checks, "torch_build", lambda: build)
    return list(check_gpu(Settings()))


def test_a_gpu_beside_a_torch_for_the_cpu_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu, build = gpu_of(monkeypatch, "2.6.0+cpu", ("580.65", ["Toy GPU, 80 GiB"]))
    assert (gpu.verdict, gpu.text) == ("ok", "Toy GPU, 80 GiB; driver 580.65")
    assert build.verdict == "warn"
    assert build.advice.startswith("pip install --force-reinstall torch")


def test_a_gpu_with_its_torch_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    (gpu,) = gpu_of(monkeypatch, "2.6.0+cu126", ("580.65", ["Toy GPU, 80 GiB"]))
    assert gpu.verdict == "ok"


def test_a_machine_without_a_gpu_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    (gpu,) = gpu_of(monkeypatch, "2.6.0+cpu", DeviceError("no", "Library Not Found"))
    assert (gpu.verdict, gpu.text) == ("none", "no NVIDIA GPU answers: Library Not Found")


def test_a_driver_without_its_python_package_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = MissingExtraError("read with nvidia-ml-py", "", "pip install 'lutier[cuda]'")
    monkeypatch.setattr("lutier.checks.shutil.which", lambda name: f"/usr/bin/{name}")
    (gpu,) = gpu_of(monkeypatch, "2.6.0+cu126", missing)
    assert (gpu.verdict, gpu.advice) == ("warn", "pip install 'lutier[cuda]'")


def test_the_management_library_names_driver_and_gpus() -> None:
    from types import SimpleNamespace

    from pynvml_stand_in import PynvmlStandIn

    library = PynvmlStandIn(
        nvmlDeviceGetCount=2,
        nvmlDeviceGetHandleByIndex="handle",
        nvmlDeviceGetMemoryInfo=SimpleNamespace(total=80 * 2**30),
    )
    assert nvml.driver_and_gpus(library) == ("580.65", ["Toy GPU, 80 GiB"] * 2)
    assert library.calls[-1] == "nvmlShutdown"


def test_a_management_library_that_does_not_start_is_a_device_error() -> None:
    from pynvml_stand_in import NVMLError, PynvmlStandIn

    library = PynvmlStandIn(nvmlInit=NVMLError("Library Not Found"))
    with pytest.raises(DeviceError, match="Library Not Found"):
        nvml.driver_and_gpus(library)
