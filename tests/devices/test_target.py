"""Targets: one stable string, read back as it was written, and nothing else is read."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, UnknownNameError
from devices.target import Target

DEVICES = (
    st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1)
    .map(lambda text: text.replace("?", "!"))
    .filter(lambda text: not (text.endswith(":") and text.count(":") == 1))
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


@given(DEVICES, RUNTIMES, COUNTS, COUNTS)
def test_what_is_written_is_read_back(device: str, runtime: str, threads: int, batch: int) -> None:
    target = Target.make(device, runtime, {"threads": threads, "batch": batch})
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


@given(DEVICES, COUNTS, COUNTS)
def test_the_flags_survive_a_shell(device: str, threads: int, batch: int) -> None:
    target = Target.make(device, "torch", {"threads": threads, "batch": batch})
    words = shlex.split(target.flags)
    assert words[:6] == ["--device", device, "--runtime", "torch", "--threads", str(threads)]
    assert words[6:] == ([] if batch == 1 else ["--batch", str(batch)])


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
