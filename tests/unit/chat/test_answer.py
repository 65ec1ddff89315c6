from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sitebrook.chat.answer import Answer, AnswerOrigin
from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import Delta


class _EndlessStream:
    """An upstream that never stops; some of its deltas are there at once."""

    has_ready = False

    def __init__(self, *, at_once: bool) -> None:
        self.given = 0
        self._at_once = at_once

    def on_ready(self, listener: Any) -> None:
        pass

    def take_delta(self) -> Delta | None:
        return self._next() if self._at_once else None

    def __aiter__(self) -> _EndlessStream:
        return self

    async def __anext__(self) -> Delta:
        return self._next()

    def _next(self) -> Delta:
        self.given += 1
        return Delta(content="x" * 100_000)

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_answer_without_an_end_is_broken_off_and_kept_so_far(*, at_once: bool) -> None:
    stored: list[Any] = []
    writer: Any = SimpleNamespace(put=stored.append)
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    stream: Any = _EndlessStream(at_once=at_once)
    answer = Answer(origin, stream, (), writer, cites=False)

    async def read() -> None:
        async for _ in answer.batches():
            answer.take_deltas()

    with pytest.raises(ProviderError) as broken:
        await read()
    assert broken.value.code == "provider_malformed"
    assert stream.given <= 102
    assert [one.status for one in stored] == ["interrupted"]
