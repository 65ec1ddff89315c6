"""When streams are written to Redis, on a clock that moves when there is nothing else to do."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Sequence
from typing import Any

import pytest

from sitebrook.db.redis import RedisConnection, RedisState
from sitebrook.db.redis_commands import Script, ScriptCall
from sitebrook.events.flusher import Flusher
from sitebrook.events.log import DELTA
from sitebrook.events.ring import Ring
from sitebrook.events.scripts import HEARD
from sitebrook.events.writer import RingWriter
from sitebrook.settings import EventSettings, RedisSettings

_SETTINGS = EventSettings(coalesce_s=0.01)


class _Selector(selectors.SelectSelector):
    """Lets the time that a loop would wait pass at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class _Connection(RedisConnection):
    """Takes every write, and keeps when it came."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(RedisSettings(url="redis://127.0.0.1:1"))
        self.state = RedisState(is_up=True, since=self.state.since)
        self.answer = answer
        self.times: list[float] = []

    async def run_script(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        self.times.append(round(asyncio.get_running_loop().time(), 6))
        return [[self.answer] * len(keys) for keys, _ in calls]


async def _write_for_95_ms(connection: _Connection) -> None:
    async def own(streams: Sequence[str]) -> None:
        assert streams == ["stream"]

    flusher = Flusher(connection, _SETTINGS, "me", own=own, on_end=lambda _: None)
    running = asyncio.create_task(flusher.run())
    ring = Ring("stream", 100)
    ring.begin(1, b"null")
    writer = RingWriter(ring, 1, flusher)
    flusher.add(writer)
    for _ in range(95):
        writer.emit(DELTA, "text")
        await asyncio.sleep(0.001)
    writer.close()
    await asyncio.sleep(0)
    assert await flusher.clean(1)
    assert flusher.copies[0].written == 96
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("answer", "every_ms"), [(HEARD, 10), (b"", 50)], ids=["one reads", "none reads"]
)
def test_deltas_are_collected_for_longer_while_no_other_process_reads(
    answer: bytes, every_ms: int
) -> None:
    connection = _Connection(answer)
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(_write_for_95_ms(connection))
    expected = [*(at / 1000 for at in range(0, 95, every_ms)), 0.095]
    assert connection.times == pytest.approx(expected, abs=0.0015)
