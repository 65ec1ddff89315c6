from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from sitebrook.compute.frames import (
    BrokenFrame,
    decode,
    encode,
    read_buffers,
    to_lengths,
    to_pieces,
)


class Names(msgspec.Struct):
    names: NDArray[np.bytes_]


class Matrix(msgspec.Struct):
    name: str
    numbers: NDArray[np.float32]


def reader(sent: bytes) -> Any:
    rest = memoryview(sent)

    def receive(count: int) -> bytearray:
        nonlocal rest
        if len(rest) < count:
            raise EOFError
        found, rest = bytearray(rest[:count]), rest[count:]
        return found

    return receive


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 0), (4, 5), (2, 3, 4)])
def test_arrays_come_through_as_they_were(shape: tuple[int, ...]) -> None:
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    buffers = encode(Matrix("a", numbers))
    sent = b"".join([to_lengths(buffers), *buffers])
    found = decode(read_buffers(reader(sent), 10_000), Matrix)
    assert found.numbers.dtype == np.float32
    assert np.array_equal(found.numbers, numbers)


@pytest.mark.parametrize("names", [[], [b"a"], [b"chunk_1", b"", b"chunk_22"]])
def test_bytes_of_one_length_come_through(names: list[bytes]) -> None:
    sent = np.array(names, dtype=np.bytes_)
    found = decode(encode(Names(sent)), Names).names
    assert found.dtype == sent.dtype
    assert found.tolist() == names


def test_small_buffers_travel_together_and_large_ones_as_they_are() -> None:
    large = bytes(100_000)
    buffers = [b"a", b"bc", large, b"", b"d"]
    pieces = list(to_pieces(buffers))
    assert [len(one) for one in pieces[1:]] == [100_000, 1]
    assert pieces[1] is large
    assert read_buffers(reader(b"".join(pieces)), 200_000) == buffers


def test_a_view_with_gaps_is_sent_without_them() -> None:
    numbers = np.arange(20, dtype=np.float32).reshape(4, 5)[::2, ::-1]
    found = decode(encode(Matrix("a", numbers)), Matrix)
    assert np.array_equal(found.numbers, numbers)


def test_an_array_is_not_copied_when_it_arrives() -> None:
    buffers = [bytearray(one) for one in encode(Matrix("a", np.zeros(3, np.float32)))]
    found = decode(buffers, Matrix)
    buffers[1][:4] = np.float32(7).tobytes()
    assert found.numbers[0] == 7


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.array(["text"]), np.array(["2026-01-01"], "M8[D]"), object()]
)
def test_what_is_no_array_of_numbers_is_not_sent(value: object) -> None:
    with pytest.raises(TypeError, match="does not go over the pipe"):
        encode([value])


@pytest.mark.parametrize(
    "described",
    [
        {"kind": "|O", "shape": [1], "at": 0},
        {"kind": "<f8", "shape": [1], "at": 0},
        {"kind": "<f4", "shape": [2], "at": 0},
        {"kind": "<f4", "shape": [-1, -1], "at": 0},
        {"kind": "<f4", "shape": [1], "at": 1},
        {"kind": "<f4", "shape": [1], "at": -1},
        {"kind": "|S4", "shape": [1], "at": 0},
        {"kind": "|S0", "shape": [1], "at": 0},
        {"kind": "nonsense", "shape": [1], "at": 0},
        {"kind": "ix", "shape": [1], "at": 0},
        {"kind": "<f4"},
        [1.0],
        "text",
    ],
)
def test_what_describes_another_array_is_refused(described: object) -> None:
    body = msgspec.msgpack.encode({"name": "a", "numbers": described})
    with pytest.raises(BrokenFrame):
        decode([body, bytearray(4)], Matrix)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", msgspec.msgpack.encode({"name": 1}), msgspec.msgpack.encode(7), b"\x91" * 9**5],
)
def test_a_body_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenFrame):
        decode([body], Matrix)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n", BrokenFrame),
        (to_lengths([]), BrokenFrame),
        (to_lengths([b""] * 16_385), BrokenFrame),
        (to_lengths([b"x" * 101]) + b"x" * 101, BrokenFrame),
        (to_lengths([b"x" * 60, b"x" * 60]), BrokenFrame),
        (to_lengths([b"xx"]) + b"x", EOFError),
    ],
)
def test_what_is_no_frame_is_refused_before_it_is_read(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_buffers(reader(sent), 100)
