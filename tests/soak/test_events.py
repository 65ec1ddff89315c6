"""Readers that move between processes all the time, while Redis is killed and comes back empty."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.fakes.redis_server import running_redis
from tests.integration.events.peer import Peer, Peers, Seen

from sitebrook.events.log import DELTA, END, SNAPSHOT, to_stream
from sitebrook.ids import new_id
from sitebrook.settings import EventSettings

_SETTINGS = EventSettings(lease_s=3.0, silence_s=1.0)
_CLIENTS = 20
_AWAY = "redis_unavailable"
_RETRY_S = 0.05


class _Client:
    """Reads one stream in small parts, each time in another process."""

    def __init__(self, stream: str, peers: list[Peer], chance: random.Random) -> None:
        self.stream = stream
        self.numbers: list[int] = []
        self.is_over = False
        self.moves = 0
        self._peers = peers
        self._chance = chance
        self._position: str | None = None

    async def move(self, count: int) -> None:
        """Reads on from where it is; when Redis is away it comes back."""
        peer = self._chance.choice(self._peers)
        self._take(await peer.read(self.stream, self._position, count))
        self.moves += 1

    async def finish(self) -> None:
        """Reads to the end."""
        while not self.is_over:
            await self.move(10**9)

    def _take(self, seen: Seen) -> None:
        for position, kind, payload in seen:
            if not position:
                assert kind == _AWAY, payload
                continue
            assert kind in {DELTA, SNAPSHOT, END}
            self._position = position
            self.is_over = kind == END
            if kind == SNAPSHOT:
                self.numbers = payload
            elif kind == DELTA:
                self.numbers.append(payload)


async def _roam(client: _Client, moves: int, chance: random.Random) -> None:
    for _ in range(moves):
        await client.move(chance.randint(1, 15))
        if chance.random() < 0.1:
            await asyncio.sleep(_RETRY_S)


@pytest.mark.parametrize("moves", [100, pytest.param(2000, marks=pytest.mark.soak)])
async def test_readers_that_move_all_the_time_lose_nothing_when_redis_is_killed(
    needs_redis: None, moves: int
) -> None:
    chance = random.Random(moves)
    with running_redis() as server:
        processes = Peers(server.url, _SETTINGS)
        try:
            peers = await processes.take(4)
            streams = [to_stream("site_a", "answer", new_id("ans")) for _ in range(4)]
            for place, stream in enumerate(streams):
                await peers[place % 2].write(stream, count=10**6, pace_s=0.01)
                await peers[3].find(stream)
            clients = [
                _Client(streams[place % len(streams)], peers, chance) for place in range(_CLIENTS)
            ]
            roaming = asyncio.gather(*(_roam(one, moves // _CLIENTS, chance) for one in clients))
            for share in (1 / 3, 2 / 3):
                while sum(one.moves for one in clients) < share * moves:
                    await asyncio.sleep(0.01)
                server.kill()
                await asyncio.sleep(chance.uniform(0, 1))
                server.start()
            await roaming
            for stream in streams:
                while (asked := await peers[2].cancel(stream)) is not True:
                    assert asked == _AWAY
                    await asyncio.sleep(_RETRY_S)
            await asyncio.gather(*(one.finish() for one in clients))
            assert sum(one.moves for one in clients) >= moves
            for one in clients:
                assert one.numbers == list(range(len(one.numbers)))
            for stream in streams:
                lengths = {len(one.numbers) for one in clients if one.stream == stream}
                assert len(lengths) == 1, "readers of one stream have seen different ends"
        finally:
            await processes.stop()
