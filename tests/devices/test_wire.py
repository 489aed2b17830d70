"""Lines between two machines: read back as they were written, or one typed error."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from devices import errors, wire
from devices.errors import DeviceError, InputError, LutierError, UnknownNameError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Not lone surrogates: nothing that is sent holds one.
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, LutierError)
]


def outcome(line: bytes) -> dict[str, object] | str:
    """The object of a line, or the message of its error."""
    try:
        return wire.decode_line(line)
    except InputError as error:
        return str(error)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_message_is_read_back(message: dict[str, object]) -> None:
    line = wire.encode_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert wire.decode_line(line) == message


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_a_typed_error(line: bytes) -> None:
    result = outcome(line)
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
    else:
        assert json.loads(line) == result


@pytest.mark.parametrize("line", [b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000, b"9" * 9999])
def test_what_python_reads_and_json_is_not_is_refused(line: bytes) -> None:
    with pytest.raises(InputError):
        wire.decode_line(line)


def test_a_line_that_is_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_LINE_BYTES", 20)
    wire.encode_line({"data": "x" * 8})
    with pytest.raises(InputError, match="too many for one line"):
        wire.encode_line({"data": "x" * 9})


@given(st.sampled_from(KINDS), st.text(max_size=99), st.text(max_size=99), st.text(max_size=99))
def test_an_error_is_the_same_on_the_other_side(
    kind: type[LutierError], what: str, why: str, hint: str
) -> None:
    line = wire.encode_line(wire.encode_error(kind(what, why, hint)))
    error = wire.decode_error(wire.decode_line(line))
    assert type(error) is kind
    assert (error.what, error.why, error.hint) == (what, why, hint)


def test_an_error_of_a_plug_in_is_the_nearest_of_ours() -> None:
    class RobotError(DeviceError):
        pass

    assert wire.encode_error(RobotError("the arm is off"))["kind"] == "DeviceError"


@given(JSON)
def test_any_value_becomes_an_error(value: object) -> None:
    assert isinstance(wire.decode_error(value), LutierError)


def test_a_kind_that_is_not_an_error_of_ours_is_not_looked_up() -> None:
    error = wire.decode_error({"kind": "Iterable", "what": "boo"})
    assert type(error) is DeviceError
    assert type(wire.decode_error({"kind": "UnknownNameError"})) is UnknownNameError


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=4, max_side=4)))
def test_an_array_is_read_back(array: np.ndarray) -> None:
    fields = wire.decode_line(wire.encode_line(wire.encode_array(array)))
    back = wire.decode_array(tuple(fields["shape"]), wire.decode_bytes(fields["data"]))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.float32


def test_an_array_is_sent_in_order_whatever_its_strides() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    fields = wire.encode_array(array)
    back = wire.decode_array((3, 2), wire.decode_bytes(fields["data"]))
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("size", [0, 7, 9, 40])
def test_too_few_or_too_many_bytes_are_refused(size: int) -> None:
    with pytest.raises(InputError, match=r"no float32 array of shape \(1, 2\)"):
        wire.decode_array((1, 2), b"x" * size)


@pytest.mark.parametrize("text", ["a", "é", "a b=", "====", "AAAA\n"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="base64"):
        wire.decode_bytes(text)
