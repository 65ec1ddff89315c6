"""What goes over the pipe between a process and its child: a few buffers with their lengths.

A call is ``Call``, its argument, and the argument's arrays; an answer is ``Reply``, the result, and
the result's arrays. Nothing is unpickled: an array is its kind, its shape and its bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import msgspec

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

HEAD: Final = struct.Struct("<4sI")
_MAGIC: Final = b"sbf1"
_MAX_BUFFERS: Final = 16_384
_LENGTH_BYTES: Final = 8
_SMALL_BYTES: Final = 16_384
# Booleans, whole numbers, floats and bytes of one length; anything else could be a reference.
_ARRAY_KINDS: Final = frozenset("biufS")


class Call(msgspec.Struct, frozen=True):
    """Which function to run, and the processor time that it may take, in whole seconds.

    The reply to a call has its number.
    """

    number: int
    target: str
    processor_s: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The function returned; its result follows."""

    number: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The function refused its argument with an error of ``sitebrook.errors``."""

    number: int
    kind: str
    message: str
    param: str | None
    code: str | None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The function raised what nobody expected."""

    number: int
    kind: str
    message: str


Reply = Done | Refused | Failed


def to_reply(buffer: Buffer) -> Reply:
    """The reply that stands before a result; raises BrokenFrame when it is none."""
    try:
        return msgspec.msgpack.decode(buffer, type=Reply)
    except msgspec.MsgspecError as error:
        raise BrokenFrame(str(error)) from None


class BrokenFrame(Exception):
    """What came is no frame, or one above a bound."""


def to_lengths(buffers: Sequence[Buffer]) -> bytes:
    """The head of a frame: how many buffers follow, and their lengths."""
    lengths = [memoryview(one).nbytes for one in buffers]
    return HEAD.pack(_MAGIC, len(lengths)) + struct.pack(f"<{len(lengths)}Q", *lengths)


def to_pieces(buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """A frame in the order in which it is sent: small buffers together, with one call."""
    small: list[Buffer] = [to_lengths(buffers)]
    for one in buffers:
        if memoryview(one).nbytes <= _SMALL_BYTES:
            small.append(one)
            continue
        yield b"".join(small)
        yield one
        small = []
    yield b"".join(small)


def read_buffers(receive: Callable[[int], bytearray], max_bytes: int) -> list[bytearray]:
    """The buffers of the next frame. ``receive`` gives that many bytes. Raises BrokenFrame."""
    magic, count = HEAD.unpack(receive(HEAD.size))
    if magic != _MAGIC or not 0 < count <= _MAX_BUFFERS:
        raise BrokenFrame("not a frame")
    lengths = struct.unpack(f"<{count}Q", receive(count * _LENGTH_BYTES))
    if sum(lengths) > max_bytes:
        raise BrokenFrame(f"{sum(lengths):,} bytes; at most {max_bytes:,} are taken")
    return [receive(length) for length in lengths]


def encode(value: object) -> list[Buffer]:
    """The value in MessagePack, then its arrays."""
    arrays: list[Buffer] = []

    def put_aside(given: object) -> dict[str, object]:
        # Only arrays come here, and only processes that have them have imported NumPy.
        import numpy as np

        array, name = cast("Any", given), type(given).__name__
        if not isinstance(given, np.ndarray) or array.dtype.kind not in _ARRAY_KINDS:
            raise TypeError(f"{name} does not go over the pipe")
        whole: Any = np.ascontiguousarray(array)
        arrays.append(memoryview(whole.reshape(-1).view(np.uint8)))
        return {"kind": whole.dtype.str, "shape": array.shape, "at": len(arrays) - 1}

    return [msgspec.msgpack.encode(value, enc_hook=put_aside), *arrays]


def decode(buffers: Sequence[Buffer], kind: type[T]) -> T:
    """The value that ``encode`` put into the buffers; raises BrokenFrame when it is not ``kind``.

    Arrays share the memory of their buffers.
    """

    def take(wanted: Any, described: Any) -> Any:
        return _to_array(wanted, msgspec.convert(described, _Array), buffers[1:])

    try:
        return msgspec.msgpack.decode(buffers[0], type=kind, dec_hook=take)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BrokenFrame(str(error)) from None


class _Array(msgspec.Struct, frozen=True):
    kind: str
    shape: tuple[int, ...]
    at: int


def _to_array(wanted: Any, described: _Array, arrays: Sequence[Buffer]) -> Any:
    """The array; a ValueError in here becomes msgspec's ValidationError."""
    import numpy as np

    if (get_origin(wanted) or wanted) is not np.ndarray:
        raise ValueError(f"{wanted} does not go over the pipe")
    if described.kind[1:2] not in _ARRAY_KINDS or min(described.shape, default=0) < 0:
        raise ValueError("not an array of numbers or bytes")
    if not 0 <= described.at < len(arrays):
        raise ValueError("an array without its bytes")
    found = np.dtype(described.kind)
    of_alias = get_args(get_args(wanted)[1]) if get_args(wanted) else ()
    if of_alias and isinstance(of_alias[0], type) and not _is(found, of_alias[0]):
        raise ValueError(f"an array of {found}")
    if memoryview(arrays[described.at]).nbytes != math.prod(described.shape) * found.itemsize:
        raise ValueError("an array of another size than its shape")
    return np.frombuffer(arrays[described.at], found).reshape(described.shape)


def _is(found: Any, kind: Any) -> bool:
    import numpy as np

    # The length of bytes is the array's own.
    return found.kind == "S" if kind is np.bytes_ else found == np.dtype(kind)
