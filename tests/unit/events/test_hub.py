from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import Command
from sitebrook.errors import RedisAway
from sitebrook.events.hub import Hub
from sitebrook.events.log import BEGINNING
from sitebrook.events.replica import Replica
from sitebrook.events.ring import Ring
from sitebrook.settings import EventSettings, RedisSettings


class Failing(RedisConnection):
    """Fails each call, during which the replica hears something."""

    replica: Replica

    async def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        self.replica.hear(b"what another version writes")
        raise RedisAway(reason="down")


async def test_a_message_that_cannot_be_read_ends_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Failing(RedisSettings(url="redis://127.0.0.1:1"))
    hub = Hub(connection, EventSettings(), "control", lambda _: None)
    replica = connection.replica = Replica(Ring("stream", 10), "channel", BEGINNING)
    await hub._load(replica)  # pyright: ignore[reportPrivateUsage] - the task that does it has no end
    assert "cannot be read" in caplog.text
    assert replica.hear(b"[1,1,[]]") is False  # it can be loaded again
