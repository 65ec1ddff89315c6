"""``sitebrook doctor`` over things that are really broken."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tests.fakes.openai_faults  # noqa: F401 - registers what the upstream plays
from psycopg import sql
from tests.commands import run, succeed
from tests.databases import URL_VARIABLE, to_libpq
from tests.fakes.openai_scripts import SCRIPTS
from tests.fakes.redis_server import RedisServer, running_redis
from tests.fakes.upstream import FakeUpstream
from tests.servers import running_server

from sitebrook.doctor.database import check_database
from sitebrook.doctor.findings import Level

_CONFIG = """
[[providers]]
name = "up"
base_url = "{base_url}"
api_key_env = "UP_KEY"

[[models]]
id = "{model}"
route = ["up/{model}"]
"""


@pytest.fixture
def redis_url(needs_redis: None) -> Iterator[str]:
    """A Redis as the documentation wants it."""
    options = {"maxmemory": "64mb", "maxmemory-policy": "volatile-ttl"}
    with running_redis(**options) as server:
        yield server.url


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach too."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings with which nothing is wrong."""
    return {"DATABASE_URL": database_url, "SITEBROOK_DATA_DIR": str(tmp_path / "data")}


def examine(env: dict[str, str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and the findings by the name of their check."""
    done = run("doctor", "--json", **env)
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert (done.returncode == 1) == (told["level"] == "fail")
    assert all((one["advice"] is None) == (one["level"] == "ok") for one in told["findings"])
    return done.returncode, {one["check"]: one for one in told["findings"]}


def failures(env: dict[str, str]) -> dict[str, str]:
    """What does not work, by the name of its check; the rest does."""
    status, found = examine(env)
    failed = {name: one["says"] for name, one in found.items() if one["level"] == "fail"}
    assert status == bool(failed)
    return failed


def drop_out(url: str) -> None:
    """Ends every connection to the database and lets none in."""
    name = url.partition("?")[0].rsplit("/", 1)[1]
    with psycopg.connect(to_libpq(os.environ[URL_VARIABLE]), autocommit=True) as connection:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
        connection.execute(statement.format(sql.Identifier(name)))


def test_all_is_well(env: dict[str, str], redis_url: str) -> None:
    status, found = examine({**env, "REDIS_URL": redis_url})
    assert (status, {one["level"] for one in found.values()}) == (0, {"ok"})
    assert set(found) == {
        *("data folder", "database", "pgvector", "migrations", "processes"),
        *("clock of the database", "job workers", "redis", "memory of redis", "clock of Redis"),
        *("event log", "providers"),
    }
    assert "reaches another process" in found["event log"]["says"]


def test_one_process_needs_no_redis(env: dict[str, str]) -> None:
    status, found = examine(env)
    assert (status, {one["level"] for one in found.values()}) == (0, {"ok"})
    assert "not set" in found["redis"]["says"]


def test_lines_for_people_say_what_to_do(env: dict[str, str]) -> None:
    said = succeed("doctor", **env)
    assert all(line.startswith("ok    ") for line in said.splitlines())
    done = run("doctor", **{**env, "SITEBROOK_WORKERS": "3"})
    assert done.returncode == 1
    assert "fail  workers  " in done.stdout
    assert "Set REDIS_URL, or serve with one worker." in done.stdout


def test_a_running_server_and_its_worker_are_seen(database_url: str, env: dict[str, str]) -> None:
    with running_server(database_url):
        _, found = examine(env)
        assert found["processes"]["says"].endswith("now: 1.")
        assert found["job workers"]["says"].startswith("Workers seen lately: 1")
        assert found["redis"]["level"] == found["event log"]["level"] == "ok"


def test_a_database_that_is_away_does_not_keep_the_rest_from_being_checked(
    env: dict[str, str], redis_url: str
) -> None:
    url = "postgresql://127.0.0.1:1/nothing"
    failed = failures({**env, "DATABASE_URL": url, "REDIS_URL": redis_url})
    assert list(failed) == ["database"]
    assert "does not answer" in failed["database"]


def test_a_database_that_lets_nobody_in(env: dict[str, str], database_url: str) -> None:
    drop_out(database_url)
    assert "not currently accepting connections" in failures(env)["database"]


def test_a_database_that_was_never_migrated(env: dict[str, str], bare_database_url: str) -> None:
    status, found = examine({**env, "DATABASE_URL": bare_database_url})
    assert (status, found["migrations"]["level"]) == (0, "warn")
    assert "sitebrook db migrate" in found["migrations"]["advice"]
    assert "job workers" not in found


def test_a_database_of_a_newer_version(env: dict[str, str], database_url: str) -> None:
    with psycopg.connect(to_libpq(database_url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "which this version does not know" in failures(env)["migrations"]


def test_a_database_without_pgvector(
    env: dict[str, str], bare_database_url: str, open_folder: Path
) -> None:
    with psycopg.connect(bare_database_url) as connection:
        statement = sql.SQL("ALTER DATABASE {} SET extension_control_path = {}")
        name = sql.Identifier(connection.info.dbname)
        connection.execute(statement.format(name, sql.Literal(str(open_folder))))
    assert list(failures({**env, "DATABASE_URL": bare_database_url})) == ["pgvector"]


def test_a_file_in_the_place_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    failed = failures({"SITEBROOK_DATA_DIR": str(tmp_path / "data")})
    assert set(failed) == {"data folder"}


def test_before_the_first_start_all_is_checked_and_nothing_is_made(
    tmp_path: Path, redis_url: str
) -> None:
    env = {"SITEBROOK_DATA_DIR": str(tmp_path / "data"), "REDIS_URL": redis_url}
    status, found = examine(env)
    assert (status, {one["level"] for one in found.values()}) == (0, {"ok"})
    assert set(found) == {
        *("data folder", "database", "redis", "memory of redis", "clock of Redis"),
        *("event log", "providers"),
    }
    assert "first start" in found["database"]["says"]
    assert "can be made" in found["data folder"]["says"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_may_only_be_read(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    assert list(failures(env)) == ["data folder"]


async def test_a_clock_that_is_wrong(database_url: str) -> None:
    report = await check_database(
        database_url, has_redis=False, now=lambda: datetime.now(UTC) - timedelta(minutes=5)
    )
    levels = {finding.check: finding.level for finding in report.findings}
    assert levels.pop("clock of the database") is Level.FAIL
    assert set(levels.values()) == {Level.OK}


def test_nothing_is_left_that_servers_would_take_for_a_process_that_is_gone(
    env: dict[str, str], redis_server: RedisServer
) -> None:
    _, found = examine({**env, "REDIS_URL": redis_server.url})
    assert found["event log"]["level"] == "ok"
    assert redis_server.command("KEYS", "*owners*") == []


def test_a_redis_that_is_away(env: dict[str, str], redis_server: RedisServer) -> None:
    redis_server.kill()
    _, found = examine({**env, "REDIS_URL": redis_server.url})
    assert found["redis"]["level"] == "fail"
    assert "cannot be reached" in found["redis"]["says"]
    assert found["event log"]["level"] == "warn"


def test_a_redis_that_does_not_answer(env: dict[str, str], redis_server: RedisServer) -> None:
    redis_server.pause()
    failed = failures({**env, "REDIS_URL": redis_server.url})
    assert failed == {"redis": "Redis did not answer within 0.5 s."}


def test_a_wrong_password_of_redis(env: dict[str, str], needs_redis: None) -> None:
    with running_redis(requirepass="right") as server:
        failed = failures({**env, "REDIS_URL": server.url.replace("right", "wrong")})
    assert failed == {"redis": "Redis refuses the user or the password in REDIS_URL."}


def test_a_redis_that_is_full(env: dict[str, str], redis_server: RedisServer) -> None:
    redis_server.command("CONFIG", "SET", "maxmemory", "1")
    assert "no memory left" in failures({**env, "REDIS_URL": redis_server.url})["redis"]


def test_a_redis_without_a_bound_on_its_memory(
    env: dict[str, str], redis_server: RedisServer
) -> None:
    _, found = examine({**env, "REDIS_URL": redis_server.url})
    assert found["memory of redis"]["level"] == "warn"
    assert "volatile-ttl" in found["memory of redis"]["advice"]


def test_a_redis_whose_user_may_not_subscribe(
    env: dict[str, str], redis_server: RedisServer
) -> None:
    redis_server.command(
        *("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "resetchannels", "+@all", "-@pubsub")
    )
    url = redis_server.url.replace("unix://", "unix://deaf:pw@")
    assert list(failures({**env, "REDIS_URL": url})) == ["event log"]


def test_a_redis_that_may_not_be_asked_what_it_is(
    env: dict[str, str], redis_server: RedisServer
) -> None:
    redis_server.command("ACL", "SETUSER", "some", "on", ">pw", "~*", "&*", "+@all", "-info")
    url = redis_server.url.replace("unix://", "unix://some:pw@")
    status, found = examine({**env, "REDIS_URL": url})
    assert (status, found["redis"]["level"]) == (0, "warn")
    assert found["event log"]["level"] == "ok"


@pytest.mark.parametrize(
    ("model", "level", "advice"),
    [
        ("normal", "ok", ""),
        ("400", "ok", ""),
        ("401", "fail", "Set UP_KEY to a key that is valid there."),
        ("404", "fail", "Correct the model's name in its route, or http://"),
        ("quota", "fail", "Pay the account"),
        ("500", "fail", "See whether"),
        ("html-200", "fail", "See whether"),
    ],
)
async def test_providers_are_asked_for_a_token(
    env: dict[str, str], tmp_path: Path, upstream: FakeUpstream, model: str, level: str, advice: str
) -> None:
    config = tmp_path / "sitebrook.toml"
    config.write_text(_CONFIG.format(base_url=upstream.base_url, model=model), "utf-8")
    settings = {**env, "SITEBROOK_CONFIG": str(config), "UP_KEY": "sk-secret"}
    _, found = await asyncio.to_thread(examine, settings)
    finding = found["provider up"]
    assert finding["level"] == level
    assert (finding["advice"] or "").startswith(advice)
    assert "sk-secret" not in str(finding)
    (request,) = upstream.requests
    assert request.json.get("max_completion_tokens", request.json.get("max_tokens")) == 1


async def test_a_variable_that_a_provider_comes_from_is_named(
    env: dict[str, str], upstream: FakeUpstream
) -> None:
    upstream.scripts["gpt-4o-mini"] = SCRIPTS["401"]
    refused = {"OPENAI_API_KEY": "sk-secret", "OPENAI_BASE_URL": upstream.base_url}
    _, found = await asyncio.to_thread(examine, {**env, **refused})
    finding = found["provider openai"]
    assert finding["says"] == "It refuses the key (HTTP 401)."
    assert finding["advice"] == "Set OPENAI_API_KEY to a key that is valid there."
    away = {**refused, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    _, found = await asyncio.to_thread(examine, {**env, **away})
    finding = found["provider openai"]
    assert finding["says"] == "http://127.0.0.1:1/v1 cannot be reached."
    assert finding["advice"].startswith("See whether OPENAI_BASE_URL is right")


async def test_a_provider_that_hangs_is_waited_for_ten_seconds_at_most(
    env: dict[str, str], tmp_path: Path, upstream: FakeUpstream
) -> None:
    config = tmp_path / "sitebrook.toml"
    config.write_text(_CONFIG.format(base_url=upstream.base_url, model="never-headers"), "utf-8")
    settings = {**env, "SITEBROOK_CONFIG": str(config), "UP_KEY": "sk-secret"}
    _, found = await asyncio.to_thread(examine, settings)
    assert found["provider up"]["says"] == "never-headers began no answer within 10 s."


def test_a_provider_without_a_model_is_not_asked(env: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "sitebrook.toml"
    provider = '[[providers]]\nname = "up"\nbase_url = "http://127.0.0.1:1/v1"\npassthrough = true'
    config.write_text(provider, "utf-8")
    status, found = examine({**env, "SITEBROOK_CONFIG": str(config)})
    assert (status, found["provider up"]["level"]) == (0, "warn")


def test_an_embedding_endpoint_that_is_away(env: dict[str, str]) -> None:
    endpoint = {
        "SITEBROOK_EMBEDDING_MODEL": "m",
        "SITEBROOK_EMBEDDING_BASE_URL": "http://127.0.0.1:1/v1",
    }
    (name,) = failures({**env, **endpoint})
    assert name.startswith("embedder openai:m@")


def test_jobs_that_nobody_works_on(env: dict[str, str], database_url: str) -> None:
    with psycopg.connect(to_libpq(database_url)) as connection:
        connection.execute(
            "INSERT INTO job (id, kind, queue, priority, rank, arguments)"
            " VALUES ('job_x', 'ingest', 'default', 'normal', 2, '{}')"
        )
    assert failures(env) == {"job workers": "No worker is there; jobs that wait: 1."}


def test_settings_with_which_nothing_starts(env: dict[str, str]) -> None:
    failed = failures({**env, "REDIS_URL": "redis://:secret@127.0.0.1:1?nonsense=1"})
    assert list(failed) == ["settings"]
    assert "secret" not in failed["settings"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REDIS_URL", "http://x", "write it like redis://"),
        ("SITEBROOK_PROT", "1", "Did you mean SITEBROOK_PORT?"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_one_of_the_findings(
    env: dict[str, str], name: str, value: str, says: str
) -> None:
    failed = failures({**env, name: value})
    assert list(failed) == ["settings"]
    assert name in failed["settings"]
    assert says in failed["settings"]


def test_settings_that_cannot_be_read(env: dict[str, str]) -> None:
    (said,) = failures({**env, "SITEBROOK_PORT": "many"}).values()
    assert "SITEBROOK_PORT" in said
    done = run("doctor", **{**env, "SITEBROOK_PORT": "many"})
    assert "Change the setting that it names." in done.stdout
