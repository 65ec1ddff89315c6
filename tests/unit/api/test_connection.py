from __future__ import annotations

from typing import Any

from sitebrook.api.connection import _JoiningTransport

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class _Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, part: bytes) -> None:
        self.written.append(part)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def _joining() -> tuple[Any, _Transport]:
    transport: Any = _Transport()
    return _JoiningTransport(transport), transport


def test_the_head_of_a_response_leaves_with_its_body() -> None:
    joining, transport = _joining()
    joining.write(_HEAD)
    assert not transport.written
    joining.write(b"ab")
    joining.write(b"cd")
    assert transport.written == [_HEAD + b"ab", b"cd"]


def test_the_last_part_of_a_stream_leaves_with_its_end() -> None:
    joining, transport = _joining()
    joining.held += b"ab"
    joining.write(b"0")
    assert transport.written == [b"ab0"]


def test_a_head_without_a_body_is_sent_by_itself() -> None:
    joining, transport = _joining()
    joining.write(_HEAD)
    joining.flush()
    joining.flush()
    assert transport.written == [_HEAD]


def test_an_interim_response_does_not_wait() -> None:
    joining, transport = _joining()
    joining.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_closing_sends_what_waits_and_the_rest_is_the_transports() -> None:
    joining, transport = _joining()
    joining.write(_HEAD)
    assert not joining.is_closing()
    joining.close()
    assert transport.written == [_HEAD]
    assert joining.is_closing()
