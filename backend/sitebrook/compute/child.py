"""The process that runs work: ``python -m sitebrook.compute.child PARENT_ID MEMORY_BYTES``.

It reads calls from its standard input, a socket, and answers on it, one at a time, until the other
end is closed. It imports as little as it can: its start is part of the first call.
"""

from __future__ import annotations

import importlib
import os
import sys
import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sitebrook.compute.confinement import OUT_OF_MEMORY, bound_processor_time, confine
from sitebrook.compute.frames import (
    Buffer,
    Call,
    Done,
    Failed,
    Refused,
    Reply,
    decode,
    encode,
    read_buffers,
    to_pieces,
)
from sitebrook.errors import RequestError

_NO_BOUND: Final = 2**62  # what the parent sends it has made itself
_MAX_MESSAGE_CHARACTERS: Final = 1000


def main() -> None:
    """Serves until the parent closes the pipe."""
    parent_id, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    confine(pipe, parent_id, memory_bytes)
    try:
        while True:
            _serve(pipe)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nothing to tidy up
    except MemoryError:
        # Whatever is still whole after this is not worth finding out.
        os._exit(OUT_OF_MEMORY)


def _serve(pipe: int) -> None:
    """One call; what it brought and gave is not kept while the next one is waited for."""
    answer = _answer(read_buffers(lambda count: _receive(pipe, count), _NO_BOUND))
    for piece in to_pieces(answer):
        _send(pipe, piece)


def _answer(received: list[bytearray]) -> list[Buffer]:
    call = msgspec.msgpack.decode(received[0], type=Call)
    try:
        bound_processor_time(call.processor_s)
        function, asked, given = _find(call.target)
        result = function(decode(received[1:], asked))
        # A wrong type is told here, where the function's name is known.
        return _to_frame(Done(call.number), encode(_checked(result, given)))
    except MemoryError:
        raise
    except RequestError as error:
        kind, message = type(error).__name__, _cut(error.message)
        reply = Refused(call.number, kind, message, error.param, error.code)
    except Exception as error:  # noqa: BLE001 - whatever work raises is told to who asked for it
        reply = Failed(call.number, type(error).__name__, _cut(str(error)))
    return _to_frame(reply, [])


def _find(target: str) -> tuple[Callable[[Any], object], Any, Any]:
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    hints = typing.get_type_hints(function)
    given = hints.pop("return")
    (asked,) = hints.values()
    return function, asked, given


def _checked(result: object, given: Any) -> object:
    kind = typing.get_origin(given) or given
    if isinstance(kind, type) and not isinstance(result, kind):
        raise TypeError(f"the work gave {type(result).__name__}, not {kind.__name__}")
    return result


def _to_frame(reply: Reply, rest: list[Buffer]) -> list[Buffer]:
    return [msgspec.msgpack.encode(reply), *rest]


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:_MAX_MESSAGE_CHARACTERS]


def _receive(pipe: int, count: int) -> bytearray:
    received = bytearray(count)
    view = memoryview(received)
    while view:
        found = os.readv(pipe, [view])
        if found == 0:
            raise EOFError
        view = view[found:]
    return received


def _send(pipe: int, piece: Buffer) -> None:
    view = memoryview(piece).cast("B")
    while view:
        view = view[os.write(pipe, view) :]


if __name__ == "__main__":
    main()
