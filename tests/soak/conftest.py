"""A server of its own for tests that count what it holds, and the fake upstream behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.databases import new_database
from tests.fakes import openai_scripts  # noqa: F401 - registers what the fake upstream plays
from tests.fakes.upstream import FakeUpstream
from tests.servers import RunningServer, running_server

SLOW_READER_S = 1.0
_CONFIG = """
[[providers]]
name = "mock"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0.01

[[providers]]
name = "up"
base_url = "{base_url}"
passthrough = true

[[models]]
id = "mock"
route = ["mock/mock"]
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A server that nobody else uses, and the upstream of its models ``up/<script>``."""

    server: RunningServer
    upstream: FakeUpstream

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the server."""
        lines = Path(f"/proc/{self.server.process.pid}/status").read_text("ascii").splitlines()
        (line,) = [line for line in lines if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    @property
    def files(self) -> int:
        """File descriptors that the server has open."""
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FakeUpstream]:
    """The upstream; it plays in tests that run in the module's loop."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def counted(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """The server, over a database in which it makes its demo site."""
    config = tmp_path_factory.mktemp("counted") / "sitebrook.toml"
    config.write_text(_CONFIG.format(base_url=upstream.base_url), "utf-8")
    settings = {"SITEBROOK_CONFIG": str(config), "SITEBROOK_SLOW_READER_S": str(SLOW_READER_S)}
    with new_database() as url, running_server(url, **settings) as server:
        yield Counted(server, upstream)
        assert server.process.poll() is None
