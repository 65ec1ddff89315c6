from __future__ import annotations

import time

import pytest

from sitebrook.providers.sse import EventTooLarge, SseDecoder

STREAM = (
    "\ufeff: comment\n\n"
    "data: one\n\n"
    "data:two\n\n"
    "data:  three\n\n"
    "event: ping\n\n"
    "retry: 3000\n\n"
    ":\n\n"
    "event: x\nid: 7\ndata: four\nretry: 1\n\n"
    "data: a\ndata: b\ndata\ndata: c\n\n"
    "\n\n\n"
    "data\n\n"
    "data: \n\n"
    "datax: no\n\n"
    " data: no\n\n"
    'data: {"text":"wörld 😀 \u2028 \x85 \x0b"}\n\n'
    "data: [DONE]\n\n"
)
PAYLOADS = [
    *(b"one", b"two", b" three", b"four", b"a\nb\n\nc", b"", b""),
    '{"text":"wörld 😀 \u2028 \x85 \x0b"}'.encode(),
    b"[DONE]",
]


def decode(chunks: list[bytes]) -> list[bytes]:
    decoder = SseDecoder()
    payloads = [payload for chunk in chunks for payload in decoder.feed(chunk)]
    return payloads + decoder.end()


def mixed(text: str) -> str:
    """The text with its line ends in turn LF, CR and CRLF."""
    ends = ("\n", "\r", "\r\n")
    lines = text.split("\n")
    # CR before an LF would be one line end, so an LF never follows a CR here
    order = [ends[(0, 2, 1, 2)[at % 4]] for at in range(len(lines) - 1)]
    return "".join(line + end for line, end in zip(lines, [*order, ""], strict=True))


FRAMINGS = {
    "lf": STREAM.encode(),
    "cr": STREAM.replace("\n", "\r").encode(),
    "crlf": STREAM.replace("\n", "\r\n").encode(),
    "mixed": mixed(STREAM).encode(),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_events_are_the_same_at_every_chunk_size(framing):
    raw = FRAMINGS[framing]
    for size in range(1, len(raw) + 1):
        chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
        assert decode(chunks) == PAYLOADS, size


@pytest.mark.parametrize("framing", FRAMINGS)
def test_events_are_the_same_at_every_cut(framing):
    raw = FRAMINGS[framing]
    for cut in range(len(raw) + 1):
        assert decode([raw[:cut], raw[cut:]]) == PAYLOADS, cut


def test_a_read_that_is_one_event_needs_no_first_read():
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\n") == [b"a"]
    assert decoder.feed(b"data: b\n\r") == [b"b"]
    assert decoder.feed(b"\ndata: c\n\n") == [b"c"]
    assert decoder.feed(b"\xef\xbb\xbfdata: d\n\n") == []


def test_an_event_comes_as_soon_as_its_blank_line_is_there():
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [b"a"]
    assert decoder.feed(b"\ndata: b\n\nda") == [b"b"]
    assert decoder.feed(b"ta: c\r\r") == [b"c"]


def test_a_last_event_without_its_blank_line_is_given_at_the_end():
    assert decode([b"data: a\n\ndata: b"]) == [b"a", b"b"]
    assert decode([b"data: a\n\ndata: b\n"]) == [b"a", b"b"]


def test_only_the_first_byte_order_mark_is_dropped():
    assert decode([b"\xef\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"]) == [b"a"]
    assert decode([b"\xef\xbbdata: a\n\ndata: b\n\n"]) == [b"b"]


def test_an_event_without_an_end_is_refused_at_the_bound():
    decoder = SseDecoder(max_event_bytes=100)
    decoder.feed(b"data: " + b"x" * 94)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"x")
    with pytest.raises(EventTooLarge):
        SseDecoder(max_event_bytes=100).feed(b"data: a\n\n" + b"x" * 101)


def test_a_large_event_in_single_bytes_takes_linear_time():
    def seconds(size: int) -> float:
        decoder = SseDecoder()
        since = time.process_time()
        for at in range(size):
            decoder.feed(b"\n" if at % 10 == 9 else b"x")
        return time.process_time() - since

    small = min(seconds(20_000) for _ in range(3))
    assert seconds(160_000) < 30 * small  # quadratic would be 64 times
