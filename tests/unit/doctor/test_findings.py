"""What is said of what was found, where the real thing cannot be had in a test."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sitebrook.db.facts import DatabaseFacts
from sitebrook.db.redis_commands import RedisFacts
from sitebrook.doctor.database import check_processes, check_server
from sitebrook.doctor.examination import check_workers
from sitebrook.doctor.findings import Finding, Level, fail, ok, warn, within_bounds, worst
from sitebrook.doctor.machine import check_clock, check_folder
from sitebrook.doctor.shared import check_facts, check_without_redis
from sitebrook.doctor.work import check_stats
from sitebrook.settings import RedisSettings, ServerSettings, Settings
from sitebrook.telemetry.metrics import JobFigures, OpenJobs

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_REDIS = RedisFacts(
    version="7.0.15",
    policy="volatile-ttl",
    used_bytes=1_000_000,
    max_bytes=100_000_000,
    told_at=_NOW,
    asked_at=_NOW,
    answer_ms=0.4,
)
_DATABASE = DatabaseFacts(
    version="18.1",
    version_number=180_001,
    pgvector="0.8.1",
    available_pgvector="0.8.1",
    processes=1,
    told_at=_NOW,
    asked_at=_NOW,
    answer_ms=1.0,
)


def _levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def test_the_worst_finding_is_the_level_of_all() -> None:
    fine, poor, bad = ok("a", "."), warn("b", ".", "!"), fail("c", ".", "!")
    assert worst([]) is worst([fine, fine]) is Level.OK
    assert worst([fine, poor]) is Level.WARN
    assert worst([poor, bad, fine]) is Level.FAIL


async def test_a_check_that_hangs_is_a_finding() -> None:
    async def hang() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    (finding,) = await within_bounds("slow", hang(), timeout_s=0.01)
    assert (finding.check, finding.level) == ("slow", Level.FAIL)


@pytest.mark.parametrize(
    ("seconds", "level", "word"),
    [
        (0, Level.OK, "+0.0 s"),
        (-1.5, Level.OK, "-1.5 s"),
        (5, Level.WARN, "5 s ahead of"),
        (-5, Level.WARN, "5 s behind"),
        (90, Level.FAIL, "90 s ahead of"),
        (-3600, Level.FAIL, "3,600 s behind"),
    ],
)
def test_a_clock_that_differs_is_told(seconds: float, level: Level, word: str) -> None:
    finding = check_clock("Redis", _NOW + timedelta(seconds=seconds), _NOW)
    assert finding.level is level
    assert word in finding.says
    assert (finding.advice is None) == (level is Level.OK)


def test_a_folder_that_can_be_made_is_left_to_the_first_start(tmp_path: Path) -> None:
    finding = check_folder(tmp_path / "a" / "b")
    assert finding.level in {Level.OK, Level.WARN}
    assert "can be made" in finding.says
    assert "can be written" in check_folder(tmp_path).says
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    finding = check_folder(tmp_path / place)
    assert finding.level is Level.FAIL
    assert str(tmp_path / place) in finding.says
    assert "SITEBROOK_DATA_DIR" in (finding.advice or "")


@pytest.mark.parametrize(
    ("over", "levels"),
    [
        ({}, [Level.OK, Level.OK]),
        ({"version": "6.0.16"}, [Level.FAIL]),
        ({"version": "255.255.255"}, [Level.OK, Level.OK]),
        ({"answer_ms": 80.0}, [Level.WARN, Level.OK]),
        ({"max_bytes": 0}, [Level.OK, Level.WARN]),
        ({"policy": "noeviction"}, [Level.OK, Level.WARN]),
        ({"policy": "allkeys-lru"}, [Level.OK, Level.WARN]),
        ({"used_bytes": 95_000_000}, [Level.OK, Level.WARN]),
    ],
)
def test_a_redis_is_judged_by_what_it_says(over: dict[str, object], levels: list[Level]) -> None:
    assert _levels(check_facts(dataclasses.replace(_REDIS, **over))) == levels


@pytest.mark.parametrize(
    ("over", "levels"),
    [
        ({}, [Level.OK, Level.OK]),
        ({"version_number": 140_010}, [Level.FAIL, Level.OK]),
        ({"pgvector": None}, [Level.OK, Level.OK]),
        ({"pgvector": None, "available_pgvector": None}, [Level.OK, Level.FAIL]),
        ({"pgvector": "0.7.4"}, [Level.OK, Level.FAIL]),
        ({"pgvector": "0.10.0"}, [Level.OK, Level.OK]),
    ],
)
def test_a_postgresql_is_judged_by_what_it_says(
    over: dict[str, object], levels: list[Level]
) -> None:
    assert _levels([*check_server(dataclasses.replace(_DATABASE, **over))]) == levels


def test_several_processes_without_a_redis_are_told() -> None:
    assert check_processes(1, has_redis=False).level is Level.OK
    assert check_processes(3, has_redis=True).level is Level.OK
    assert check_processes(2, has_redis=False).level is Level.WARN


def test_what_is_said_of_redis_without_one_goes_with_the_processes() -> None:
    assert _levels(check_without_redis(0)) == _levels(check_without_redis(1)) == [Level.OK] * 2
    several = check_without_redis(2)
    assert _levels(several) == [Level.WARN] * 2
    assert not any("one process needs none" in one.says for one in several)


def test_workers_without_a_redis_are_told() -> None:
    several = ServerSettings(workers=4)
    assert check_workers(Settings()) == []
    shared = RedisSettings(url="redis://localhost")
    assert check_workers(Settings(server=several, redis=shared)) == []
    assert _levels(check_workers(Settings(server=several))) == [Level.FAIL]


def _open(status: str, count: int, oldest_s: float = 1.0) -> OpenJobs:
    return OpenJobs("ingest", status, count, oldest_s)


@pytest.mark.parametrize(
    ("stats", "level"),
    [
        (JobFigures((), workers=0), Level.OK),
        (JobFigures((), workers=2), Level.OK),
        (JobFigures((_open("queued", 3),), workers=1), Level.OK),
        (JobFigures((_open("queued", 3),), workers=0), Level.FAIL),
        (JobFigures((_open("waiting", 1),), workers=0), Level.FAIL),
        (JobFigures((_open("running", 1),), workers=0), Level.OK),
        (JobFigures((_open("queued", 3, 3600),), workers=1), Level.WARN),
        (JobFigures((_open("running", 1, 3600),), workers=1), Level.OK),
    ],
)
def test_jobs_that_nobody_works_on_are_told(stats: JobFigures, level: Level) -> None:
    assert check_stats(stats).level is level
