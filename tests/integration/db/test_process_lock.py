"""Which long-lived processes may use one database together."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.commands import wait_until
from tests.databases import URL_VARIABLE, to_libpq

from sitebrook.db.process_lock import ProcessLock
from sitebrook.errors import StartError

_LOOK_S = 0.05


def lock(url: str, *, shares: bool = False) -> ProcessLock:
    return ProcessLock(url, shares=shares, look_s=_LOOK_S, take_s=0.5)


@contextmanager
def holder_process(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the database alone."""
    script = (
        "import sys, time\nfrom sitebrook.db.process_lock import ProcessLock\n"
        "with ProcessLock(sys.argv[1], shares=False): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def drop_connections(url: str) -> None:
    """Ends every connection to the database, as a restart of PostgreSQL does."""
    name = url.partition("?")[0].rsplit("/", 1)[1]
    server = to_libpq(os.environ[URL_VARIABLE])
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )


def test_a_second_process_without_redis_is_refused_and_told_who_is_there(
    database_url: str,
) -> None:
    with holder_process(database_url) as other:
        with pytest.raises(StartError, match="REDIS_URL") as refused, lock(database_url):
            pass
        assert f"process {other.pid} on" in str(refused.value) or "sitebrook-" in str(refused.value)


def test_processes_with_redis_share_a_database(database_url: str) -> None:
    with lock(database_url, shares=True) as first, lock(database_url, shares=True) as second:
        assert first.is_held
        assert second.is_held


def test_one_with_and_one_without_redis_do_not_go_together(database_url: str) -> None:
    with (
        lock(database_url),
        pytest.raises(StartError, match="without a Redis"),
        lock(database_url, shares=True),
    ):
        pass
    with (
        lock(database_url, shares=True),
        pytest.raises(StartError, match="REDIS_URL"),
        lock(database_url),
    ):
        pass


def test_a_killed_process_leaves_its_place_at_once(database_url: str) -> None:
    with holder_process(database_url) as other:
        other.kill()
        with lock(database_url) as ours:
            assert ours.is_held


def test_a_process_that_has_ended_leaves_its_place(database_url: str) -> None:
    for _ in range(3):
        with lock(database_url) as ours:
            assert ours.is_held


def test_a_lost_lock_is_taken_again(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with lock(database_url) as ours:
        drop_connections(database_url)
        wait_until(lambda: "held again" in caplog.text)
        assert ours.is_held
        with pytest.raises(StartError), lock(database_url):
            pass


def test_a_lost_lock_that_another_has_taken_is_told_and_awaited(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours = ProcessLock(database_url, shares=False, look_s=0.5)
    with ours:
        drop_connections(database_url)
        with lock(database_url) as other:
            assert other.is_held
            wait_until(lambda: "Another process uses this database" in caplog.text)
            assert not ours.is_held
        wait_until(lambda: ours.is_held)


def test_a_database_that_is_away_is_waited_for(database_url: str) -> None:
    name = database_url.partition("?")[0].rsplit("/", 1)[1]
    server = to_libpq(os.environ[URL_VARIABLE])
    with lock(database_url) as ours, psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        drop_connections(database_url)
        wait_until(lambda: not ours.is_held)
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        wait_until(lambda: ours.is_held)


def test_a_database_that_does_not_answer_stops_the_start() -> None:
    url = "postgresql://127.0.0.1:1/nothing"
    with pytest.raises(StartError, match="does not answer"), lock(url):
        pass
