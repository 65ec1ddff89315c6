"""Server-sent events from bytes, however they are cut."""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 4_000_000

_BOM: Final = b"\xef\xbb\xbf"
_FAST: Final = b"data: "
_NEXT_FAST: Final = b"\n\n" + _FAST


class EventTooLarge(ValueError):
    """An event that does not end within the decoder's bound."""


class SseDecoder:
    """The payloads of one event stream, as its bytes arrive.

    Follows the HTML standard's "server-sent events" grammar; ``event``, ``id`` and ``retry`` are
    read over, since no chat wire needs them. Line ends are made LF before anything else looks at
    the bytes, so that one search for a blank line serves CR, CRLF and LF alike. Cost is linear in
    the bytes, also when they come one by one.
    """

    __slots__ = ("_after_cr", "_buffer", "_head", "_max_event_bytes")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()  # since the last event end
        self._head: bytes | None = b""  # what may be a byte order mark; None once decided
        self._after_cr = False
        self._max_event_bytes = max_event_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads of the events that ``chunk`` completes; events without data give none.

        Raises EventTooLarge when more is waiting for an event end than the bound allows.
        """
        if (
            chunk[-2:] == b"\n\n"
            and chunk[:6] == _FAST
            and not (self._buffer or self._head or self._after_cr or 13 in chunk)
        ):  # whole events, mostly one, as most reads are
            self._head = None
            if chunk.find(10) == len(chunk) - 2:
                return [chunk[6:-2]]
            return _to_payloads(chunk[:-2])
        if self._head is not None:
            chunk = self._without_bom(self._head + chunk)
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        buffer = self._buffer
        if buffer:
            start = len(buffer) - 1
            buffer += chunk
            end = buffer.rfind(b"\n\n", start)
            if end < 0:
                self._check_size()
                return []
            text = bytes(buffer[:end])
            del buffer[: end + 2]
        else:
            end = chunk.rfind(b"\n\n")
            if end < 0:
                buffer += chunk
                self._check_size()
                return []
            if end + 2 < len(chunk):
                buffer += chunk[end + 2 :]
                self._check_size()
            text = chunk[:end]
        return _to_payloads(text)

    def end(self) -> list[bytes]:
        """What an event at the end of the stream holds whose blank line never came.

        The standard drops it; upstreams are known to leave the last line end out.
        """
        text, self._buffer = bytes(self._buffer), bytearray()
        return _to_payloads(text)

    def _without_bom(self, chunk: bytes) -> bytes:
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._head = chunk
            return b""
        self._head = None
        return chunk.removeprefix(_BOM)

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk[-1:] == b"\r"
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check_size(self) -> None:
        if len(self._buffer) > self._max_event_bytes:
            raise EventTooLarge(f"an event is over {self._max_event_bytes} bytes")


def _to_payloads(text: bytes) -> list[bytes]:
    if text[:6] == _FAST and text.count(b"\n") == 2 * text.count(_NEXT_FAST):
        return text[6:].split(_NEXT_FAST)  # each event is one line of data, as nearly all are
    payloads: list[bytes] = []
    for block in text.split(b"\n\n"):
        if block[:6] == _FAST and b"\n" not in block:
            payloads.append(block[6:])
            continue
        data = [value for line in block.split(b"\n") if (value := _data_of(line)) is not None]
        if data:
            payloads.append(b"\n".join(data))
    return payloads


def _data_of(line: bytes) -> bytes | None:
    field, _, value = line.partition(b":")
    return value.removeprefix(b" ") if field == b"data" else None
