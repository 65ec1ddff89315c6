"""What a server says of Redis, and that it serves without it."""

from __future__ import annotations

from typing import Any

from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer
from tests.integration.redis.asking import ask, read_json, read_metrics
from tests.servers import running_server


def test_a_server_starts_without_its_redis_and_finds_it_later(
    database_url: str, redis_server: RedisServer
) -> None:
    redis_server.kill()
    with running_server(database_url, REDIS_URL=redis_server.url) as server:

        def health() -> dict[str, Any]:
            return read_json(server, "/health/ready")

        assert (health()["status"], health()["redis"]) == ("degraded", "degraded")
        assert health()["events"] == "degraded"
        assert ask(server).status == 200
        assert read_metrics(server)["sitebrook_redis_up"] == 0
        assert read_metrics(server)["sitebrook_events_degraded"] == 1
        redis_server.start()
        wait_until(lambda: health()["redis"] == "ok", timeout_s=5)
        assert (health()["status"], health()["events"]) == ("ok", "ok")
        assert ask(server).status == 200
        assert read_metrics(server)["sitebrook_redis_up"] == 1
        assert read_metrics(server)["sitebrook_events_degraded"] == 0
        assert server.log.count("Redis") == 2
