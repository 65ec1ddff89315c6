"""A server for the modes of the fake upstream: one attempt, no breaker, short clocks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.databases import new_database
from tests.factories import make_key, make_site
from tests.fakes import (  # noqa: F401 - they register what the fake upstream plays
    anthropic_faults,
    openai_faults,
)
from tests.fakes.upstream import FakeUpstream
from tests.integration.api.client import PAGE_ORIGIN, SiteKeys
from tests.integration.faults.asking import Faulty
from tests.servers import running_server

from sitebrook.db.engine import Database

_SERVER = """
[server]
early_start_s = 20

[upstream]
attempts = {attempts}
attempts_within_s = 2.5
retry_pause_s = 0.02
breaker_failures = 0

[[models]]
id = "falls-back"
route = ["brief-openai/500", "claude/normal"]

[[models]]
id = "cut-before-next"
route = ["brief-openai/truncated", "claude/normal"]
"""
_PROVIDER = """
[[providers]]
name = "{name}{wire}"
kind = "{kind}"
base_url = "{base_url}"
passthrough = true
first_delta_timeout_s = {first_s}
idle_timeout_s = {idle_s}
total_timeout_s = {total_s}
"""
_KINDS = {"openai": "openai", "claude": "anthropic"}
_CLOCKS = {"": (5, 0.8, 20), "hasty-": (0.3, 5, 20), "brief-": (5, 5, 1.5)}


def _to_config(base_url: str, attempts: int) -> str:
    providers = [
        _PROVIDER.format(
            name=name,
            wire=wire,
            kind=kind,
            base_url=base_url,
            first_s=clocks[0],
            idle_s=clocks[1],
            total_s=clocks[2],
        )
        for wire, kind in _KINDS.items()
        for name, clocks in _CLOCKS.items()
    ]
    return _SERVER.format(attempts=attempts) + "".join(providers)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[FakeUpstream]:
    """What the server asks; its scripts play in the session's loop."""
    async with FakeUpstream() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def faulty(
    upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Faulty]:
    """The server that asks an upstream once."""
    with new_database() as url:
        keys = await _make_keys(url)
        with _serving(url, keys, upstream, tmp_path_factory, attempts=1) as server:
            yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def patient(
    upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Faulty]:
    """The server that asks an upstream up to three times within 2.5 s."""
    with new_database() as url:
        keys = await _make_keys(url)
        with _serving(url, keys, upstream, tmp_path_factory, attempts=3) as server:
            yield server


async def _make_keys(database_url: str) -> SiteKeys:
    """A site and its keys."""
    database = Database(database_url)
    try:
        site = await make_site(database, name="Faults", allowed_origins=(PAGE_ORIGIN,))
        secret = await make_key(database, site)
        publishable = await make_key(database, site, "publishable")
        return SiteKeys(site.id, secret.value, publishable.value, PAGE_ORIGIN)
    finally:
        await database.aclose()


@contextlib.contextmanager
def _serving(
    database_url: str,
    keys: SiteKeys,
    upstream: FakeUpstream,
    folders: pytest.TempPathFactory,
    *,
    attempts: int,
) -> Iterator[Faulty]:
    config = folders.mktemp("faults") / "sitebrook.toml"
    config.write_text(_to_config(upstream.base_url, attempts), "utf-8")
    with running_server(database_url, SITEBROOK_CONFIG=str(config)) as server:
        with Faulty(server, keys, upstream, database_url) as faulty:
            yield faulty
        assert server.process.poll() is None
