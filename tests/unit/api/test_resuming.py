from __future__ import annotations

import pytest

from sitebrook.api.resuming import to_numbered


@pytest.mark.parametrize(
    ("frames", "numbered"),
    [
        (b"", b""),
        (b"data: a\n\n", b"id: 1-2\ndata: a\n\n"),
        (b"data: a\n\ndata: b\n\n", b"data: a\n\nid: 1-2\ndata: b\n\n"),
        (b'data: {"x":"\\n\\ndata: "}\n\n', b'id: 1-2\ndata: {"x":"\\n\\ndata: "}\n\n'),
    ],
)
def test_the_last_frame_of_an_event_has_its_position(frames: bytes, numbered: bytes) -> None:
    assert to_numbered(frames, "1-2") == numbered


def test_what_has_no_position_gets_no_id() -> None:
    assert to_numbered(b"data: a\n\n", "") == b"data: a\n\n"
