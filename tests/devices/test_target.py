"""Targets: one stable string, read back as it was written, and nothing else is read."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, UnknownNameError
from devices.host import HostDevice
from devices.phone_name import alias
from devices.target import CHOICES, Target

NAMES = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1
).map(lambda text: text.replace("?", "!"))
PHONES = NAMES.map("android:{}".format)
# What a target keeps as it is: not the serial number of a phone.
OTHERS = NAMES.filter(
    lambda text: (
        not text.startswith("android:") and not (text.endswith(":") and text.count(":") == 1)
    )
)
DEVICES = OTHERS | PHONES
MASKS = st.integers(1, 2**64 - 1).map(hex)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "threads": st.integers(1, 1024),
        "batch": st.integers(1, 1024),
        **{name: st.sampled_from(values) for name, values in CHOICES.items()},
        "cores": st.sampled_from(CHOICES["cores"]) | MASKS,
    },
)
RUNTIMES = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
COUNTS = st.integers(1, 1024)
ALMOST_TARGETS = st.text(alphabet="cpu:/onxruntime?threads=batch&012;%+-\n\x00\u2028", max_size=60)


def outcome(text: str) -> Target | str:
    """The target that a text stands for, or the message of its error."""
    try:
        return Target.parse(text)
    except InputError as error:
        return str(error)


@given(DEVICES, RUNTIMES, OPTIONS)
def test_what_is_written_is_read_back(
    device: str, runtime: str, options: dict[str, str | int]
) -> None:
    target = Target.make(device, runtime, options)
    assert Target.parse(str(target)) == target
    assert str(Target.parse(str(target))) == str(target)


@given(
    st.one_of(st.text(), ALMOST_TARGETS, ALMOST_TARGETS.map("cpu/onnxruntime?threads={}".format))
)
def test_any_text_is_a_target_or_an_error_of_one_line(text: str) -> None:
    result = outcome(text)
    if isinstance(result, Target):
        assert Target.parse(str(result)) == result
    else:
        assert len(result.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("cpu/onnxruntime", "cpu/onnxruntime?threads=1"),
        ("cpu/onnxruntime?batch=1", "cpu/onnxruntime?threads=1"),
        ("cpu/torch?batch=8&threads=2", "cpu/torch?threads=2&batch=8"),
        ("cpu/torch?threads=02", "cpu/torch?threads=2"),
        ("cpu/torch?precision=float32&layout=contiguous", "cpu/torch?threads=1"),
        (
            "cpu/torch?layout=channels_last&precision=int8&threads=1",
            "cpu/torch?threads=1&precision=int8&layout=channels_last",
        ),
        ("replay:/tmp/a b/c.json/onnxruntime", "replay:/tmp/a b/c.json/onnxruntime?threads=1"),
        (
            "android:phone-0123456789/litert?cores=big&delegate=xnnpack",
            "android:phone-0123456789/litert?threads=1",
        ),
        (
            "android:phone-0123456789/litert?cores=prime&delegate=gpu&threads=2",
            "android:phone-0123456789/litert?threads=2&delegate=gpu&cores=prime",
        ),
        (
            "android:phone-0123456789/litert?cores=0X00F0",
            "android:phone-0123456789/litert?threads=1&cores=0xf0",
        ),
    ],
)
def test_two_ways_of_saying_the_same_give_one_string(text: str, written: str) -> None:
    assert str(Target.parse(text)) == written


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "is not a target"),
        ("cpu", "Try: cpu/onnxruntime?threads=1"),
        ("cpu?threads=1", "is not a target"),
        ("/onnxruntime", "names no device"),
        ("cpu/", "runtime '' is not a name"),
        ("cpu/Torch", "runtime 'Torch' is not a name"),
        ("cpu:/torch", "'cpu:' has an empty address"),
        ("cp\nu/torch", r"'cp\nu' cannot be part of a target"),
        ("cpu/torch?threads", "threads=''"),
        ("cpu/torch?threads=0", "threads='0': must be a whole number from 1 to 1024"),
        ("cpu/torch?threads=-1", "threads='-1'"),
        ("cpu/torch?threads=1.5", "threads='1.5'"),
        ("cpu/torch?threads=two", "threads='two'"),
        ("cpu/torch?threads=\u0661", "threads="),
        ("cpu/torch?threads=1025", "threads='1025'"),
        ("cpu/torch?threads=0000000010000000", "threads='0000000010000000'"),
        ("cpu/torch?threads=" + "9" * 5000, "must be a whole number"),
        ("cpu/torch?batch=0", "batch='0'"),
        ("cpu/torch?threads=1&threads=2", "says an option twice"),
        ("android:/litert", "'android:' has an empty address"),
        ("android:a/litert?delegate=gpgpu", "unknown delegate 'gpgpu'. Try: gpu"),
        ("android:a/litert?cores=bigg", "unknown cores 'bigg'. Try: big"),
        ("android:a/litert?cores=", "unknown cores ''"),
        ("android:a/litert?cores=0x", "unknown cores '0x'"),
        ("android:a/litert?cores=0x0", "unknown cores '0x0'"),
        ("android:a/litert?cores=f0", "unknown cores 'f0'"),
        ("android:a/litert?cores=-0xf0", "unknown cores '-0xf0'"),
        ("android:a/litert?cores=0xfg", "unknown cores '0xfg'"),
        ("android:a/litert?cores=0x1" + "0" * 16, "unknown cores '0x1"),
        ("android:a/litert?cores=0xf0%0A", r"unknown cores '0xf0\n'"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(text: str, fragment: str) -> None:
    with pytest.raises(InputError) as caught:
        Target.parse(text)
    assert fragment in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown target option 'thread'\. Try: threads"):
        Target.parse("cpu/torch?thread=1")


def test_a_device_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(InputError, match="question mark"):
        Target.make("replay:what?.json", "torch", {})


@given(OTHERS, COUNTS, COUNTS)
def test_the_flags_survive_a_shell(device: str, threads: int, batch: int) -> None:
    target = Target.make(device, "torch", {"threads": threads, "batch": batch})
    words = shlex.split(target.flags)
    assert words[:6] == ["--device", device, "--runtime", "torch", "--threads", str(threads)]
    assert words[6:] == ([] if batch == 1 else ["--batch", str(batch)])


@given(DEVICES, OPTIONS)
def test_the_flags_say_the_whole_target(device: str, options: dict[str, str | int]) -> None:
    target = Target.make(device, "litert", options)
    words = shlex.split(target.flags)
    said = {"--device": "", "--runtime": ""}
    read: dict[str, str | int] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        if flag in said:
            said[flag] = value
        elif flag == "--option":
            name, _, read[name] = value.partition("=")
        else:
            read[flag.removeprefix("--")] = value
    assert Target.make(said["--device"], said["--runtime"], read) == target


def test_words_that_an_option_cannot_have_name_those_it_can() -> None:
    with pytest.raises(UnknownNameError, match="float32"):
        Target.parse("cpu/torch?precision=float23")


def test_an_option_that_a_runtime_does_not_have_is_refused() -> None:
    target = Target.parse("cpu/onnxruntime?precision=int8&layout=channels_last")
    target.refuse_options("onnxruntime", ["precision", "layout"])
    with pytest.raises(InputError, match="no option layout; it has precision"):
        target.refuse_options("onnxruntime", ["precision"])
    Target.parse("cpu/onnxruntime?threads=4&batch=2").refuse_options("onnxruntime", [])


def test_flags_name_every_option() -> None:
    target = Target.parse("cpu/torch?threads=2&batch=4&layout=channels_last")
    assert target.flags == (
        "--device cpu --runtime torch --threads 2 --batch 4 --option layout=channels_last"
    )


# Phones


@pytest.mark.parametrize("address", ["R58M12ABCDE", "192.0.2.7:5555", "a/b"])
def test_a_target_keeps_a_phone_by_its_alias(address: str) -> None:
    target = Target.parse(f"android:{address}/litert")
    assert target.device == f"android:{alias(address)}"
    assert address not in str(target)
    assert address not in target.flags


def test_a_phone_by_its_alias_is_the_same_target_as_by_its_serial() -> None:
    named = Target.make("android:R58M12ABCDE", "litert", {})
    assert Target.make(f"android:{alias('R58M12ABCDE')}", "litert", {}) == named


def test_every_phone_is_no_phone_with_an_alias() -> None:
    assert Target.make("android:all", "litert", {}).device == "android:all"


def test_delegates_and_cores_are_different_targets() -> None:
    options = [{}, *({name: value} for name in ("delegate", "cores") for value in CHOICES[name])]
    targets = {str(Target.make("android:a", "litert", each)) for each in options}
    # The first of each is what is not said.
    assert len(targets) == len(options) - 2


@given(st.integers(1, 2**64 - 1), st.integers(0, 20), st.booleans())
def test_a_mask_has_one_spelling(mask: int, zeros: int, upper: bool) -> None:
    digits = f"{'0' * zeros}{mask:x}"
    target = Target.make(
        "android:a", "litert", {"cores": f"0x{digits.upper() if upper else digits}"}
    )
    assert target.cores == f"0x{mask:x}"


@pytest.mark.parametrize("option", ["delegate=gpu", "cores=little", "cores=0xf0"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "torch", "litert"])
def test_a_cpu_has_neither_delegates_nor_clusters_of_cores(option: str, runtime: str) -> None:
    target = Target.parse(f"cpu/{runtime}?{option}")
    with pytest.raises(InputError, match=f"{option}: .*has no option {option.split('=')[0]}"):
        HostDevice().environment(target)
