"""One embedded PostgreSQL for the whole run, and an empty migrated database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.databases import TEMPLATE, URL_VARIABLE, new_database, to_libpq, with_database
from tests.fakes.redis_server import REDIS_SERVER, running_redis

from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate
from sitebrook.settings import well_known_names


def pytest_configure(config: pytest.Config) -> None:
    """Starts the server in the process that leads the run; its workers inherit the address."""
    outside = {"DATABASE_URL", "REDIS_URL", *well_known_names()}
    for name in [
        one for one in os.environ if one in outside or one.startswith(("SITEBROOK_", "OTEL_"))
    ]:
        del os.environ[name]
    if hasattr(config, "workerinput") or config.option.collectonly or URL_VARIABLE in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="sitebrook-test-"))
    folder.chmod(0o755)  # as root, the server's own user must reach it
    server = embedded.start(folder, fsync=False)
    os.environ[URL_VARIABLE] = server.url
    with psycopg.connect(to_libpq(server.url), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(with_database(server.url, TEMPLATE))

    def stop() -> None:
        del os.environ[URL_VARIABLE]
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(stop)


@pytest.fixture
def database_url() -> Iterator[str]:
    """The address of an empty database with every table."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def session_database_url() -> Iterator[str]:
    """As ``database_url``, one for all tests of a worker that do not disturb each other."""
    with new_database() as url:
        yield url


@pytest.fixture
def bare_database_url() -> Iterator[str]:
    """The address of a database without any table, in the form that libpq reads too."""
    with new_database("template1") as url:
        yield to_libpq(url)


@pytest.fixture(scope="session")
def needs_redis() -> None:
    """Skips without redis-server; where tests must not be skipped, fails."""
    if REDIS_SERVER is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("Tests of what processes share need: apt install redis-server")


@pytest.fixture(scope="session")
def with_redis(needs_redis: None) -> Iterator[dict[str, str]]:
    """The setting with which several servers may use one database."""
    with running_redis() as server:
        yield {"REDIS_URL": server.url}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool over an empty database with every table."""
    opened = Database(database_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def own_postgres() -> Iterator[Path]:
    """A data folder for a PostgreSQL of the test's own."""
    made = Path(tempfile.mkdtemp(prefix="sitebrook-jobs-"))
    made.chmod(0o755)  # as root, the server's own user must reach it
    yield made
    if embedded.find_running(made) is not None:
        embedded.start(made, fsync=False).stop()
    shutil.rmtree(made)
