"""One server for all tests of the HTTP surface: two sites, the mock, and a fake upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.factories import make_key, make_site
from tests.fakes import (  # noqa: F401 - they register what the fake upstream plays
    anthropic_scripts,
    openai_scripts,
)
from tests.fakes.upstream import FakeUpstream
from tests.integration.api.client import OTHER_ORIGIN, PAGE_ORIGIN, Api, SiteKeys
from tests.servers import running_server

from sitebrook.db.engine import Database

EARLY_START_S = 1.0
KEEP_ALIVE_S = 0.3
_CONFIG = """
[jobs]
queues = ["default", "crawl"]

[server]
early_start_s = {early_start_s}
keep_alive_s = {keep_alive_s}

[upstream]
attempts = 1
breaker_failures = 0

[[providers]]
name = "mock"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0

[[providers]]
name = "paced"
kind = "mock"
passthrough = true
first_delta_delay_s = 0.05
delta_delay_s = 0.02

[[providers]]
name = "up"
base_url = "{base_url}"
passthrough = true
first_delta_timeout_s = 2
idle_timeout_s = 0.5

[[providers]]
name = "left"
base_url = "{left_url}"
passthrough = true

[[providers]]
name = "claude"
kind = "anthropic"
base_url = "{base_url}"
passthrough = true
first_delta_timeout_s = 2
idle_timeout_s = 0.5

[[models]]
id = "mock"
route = ["mock/mock"]

[[models]]
id = "claude-then-other"
route = ["claude/normal", "up/normal"]

[[models]]
id = "claude-twice"
route = ["claude/normal", "claude/json"]

[[models]]
id = "up/normal"
input_price = 0.15
output_price = 0.6

[[models]]
id = "routed"
route = ["up/normal"]
input_price = 9
output_price = 9

[[models]]
id = "uncounted"
route = ["up/no-usage", "up/normal"]
input_price = 1
output_price = 2

[[models]]
id = "cut"
route = ["up/truncated"]
input_price = 1
output_price = 2
"""
DOCUMENTS = {
    "opening.md": (
        "# Opening hours\n\nThe workshop opens at nine in the morning and closes at six.\n\n"
        "## Holidays\n\nOn public holidays the workshop stays closed all day.\n"
    ),
    "sails.md": (
        "# Sails \N{SAILBOAT}\n\n\N{SAILBOAT}\N{HAMMER AND WRENCH} Spinnaker sails are mended "
        "\N{SEWING NEEDLE} with ripstop nylon tape. A spinnaker repair takes two days "
        "\N{GRINNING FACE}.\n"
    ),
    "rigging.md": "# Tune the rigging\n\nTo tune the rigging, take these steps:\n\n"
    + "\n".join(
        f"{number}. Loosen the shroud number {number} and tension it by {number} turns."
        for number in range(1, 9)
    ),
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstreams() -> AsyncIterator[tuple[FakeUpstream, FakeUpstream]]:
    """Two fake upstreams; they play in tests that run in the session's loop."""
    async with FakeUpstream() as first, FakeUpstream() as second:
        yield first, second


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sites(session_database_url: str) -> tuple[SiteKeys, SiteKeys]:
    """Two sites with keys, in the database before the server starts."""
    database = Database(session_database_url)
    try:
        return await _make(database, "Shop", PAGE_ORIGIN), await _make(
            database, "Other", OTHER_ORIGIN
        )
    finally:
        await database.aclose()


async def _make(database: Database, name: str, origin: str) -> SiteKeys:
    site = await make_site(database, name=name, allowed_origins=(origin,))
    secret = await make_key(database, site)
    publishable = await make_key(database, site, "publishable")
    return SiteKeys(site.id, secret.value, publishable.value, origin)


@pytest.fixture(scope="session")
def api(
    session_database_url: str,
    sites: tuple[SiteKeys, SiteKeys],
    upstreams: tuple[FakeUpstream, FakeUpstream],
    tmp_path_factory: pytest.TempPathFactory,
    with_redis: dict[str, str],
) -> Iterator[Api]:
    """The server; whoever adds documents takes them away again."""
    config = tmp_path_factory.mktemp("api") / "sitebrook.toml"
    text = _CONFIG.format(
        base_url=upstreams[0].base_url,
        left_url=upstreams[1].base_url,
        early_start_s=EARLY_START_S,
        keep_alive_s=KEEP_ALIVE_S,
    )
    config.write_text(text, "utf-8")
    env = {"SITEBROOK_CONFIG": str(config), **with_redis}
    with running_server(session_database_url, **env) as server:
        api = Api(server, *sites, *upstreams)
        for site in sites:
            for source, content in DOCUMENTS.items():
                added = api.send(
                    "POST", "/api/documents", {"source": source, "content": content}, site.server
                )
                assert added.status == 201, added
        yield api
        assert server.process.poll() is None
