"""What is checked of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sitebrook.db.facts import DatabaseFacts, read_facts
from sitebrook.db.migrate import MIN_PGVECTOR, MIN_POSTGRES, migration_status, to_numbers
from sitebrook.doctor.findings import Finding, Level, fail, ok, warn, worst
from sitebrook.doctor.machine import check_clock
from sitebrook.errors import StartError

_DATABASE: Final = "database"
_MIGRATIONS: Final = "migrations"
_PGVECTOR: Final = "pgvector"
_PROCESSES: Final = "processes"


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """What was found; ``has_tables`` when what lies in the tables can be checked as well.

    ``processes`` are the servers and workers that use the database, 0 when nobody could tell.
    """

    findings: tuple[Finding, ...]
    has_tables: bool
    processes: int = 0


async def check_database(
    url: str, *, has_redis: bool, now: Callable[[], datetime]
) -> DatabaseReport:
    """What PostgreSQL is found to be, and whether its tables are this version's."""
    try:
        facts = await read_facts(url, now)
    except StartError as error:
        advice = (
            "See whether PostgreSQL runs there, lets this machine in, and whether DATABASE_URL has "
            "the right host, user, password and name."
        )
        return DatabaseReport((fail(_DATABASE, str(error), advice),), has_tables=False)
    server = check_server(facts)
    rest = (
        check_processes(facts.processes, has_redis=has_redis),
        check_clock("the database", facts.told_at, facts.asked_at),
    )
    if worst(server) is Level.FAIL:
        return DatabaseReport(server + rest, has_tables=False, processes=facts.processes)
    migrations, is_current = await asyncio.to_thread(_check_migrations, url)
    findings = (*server, migrations, *rest)
    return DatabaseReport(findings, has_tables=is_current, processes=facts.processes)


def check_missing(folder: Path) -> DatabaseReport:
    """What is to be said before there is a database in the data folder."""
    says = f"None is in {folder} yet; the first start of `sitebrook serve` makes it."
    return DatabaseReport((ok(_DATABASE, says),), has_tables=False)


def check_server(facts: DatabaseFacts) -> tuple[Finding, Finding]:
    """What is to be said of PostgreSQL and pgvector."""
    return _check_version(facts), _check_pgvector(facts)


def _check_version(facts: DatabaseFacts) -> Finding:
    says = f"PostgreSQL {facts.version} answers in {facts.answer_ms:.1f} ms."
    if facts.version_number < MIN_POSTGRES:
        needed = MIN_POSTGRES // 10_000
        return fail(_DATABASE, says, f"Upgrade to PostgreSQL {needed} or later.")
    return ok(_DATABASE, says)


def _check_pgvector(facts: DatabaseFacts) -> Finding:
    needed = ".".join(str(part) for part in MIN_PGVECTOR)
    found = facts.pgvector or facts.available_pgvector
    if found is None:
        return fail(
            _PGVECTOR,
            "The extension is not there.",
            f"Install pgvector {needed} or later on the database server.",
        )
    if to_numbers(found) < MIN_PGVECTOR:
        return fail(
            _PGVECTOR,
            f"The database has {found}.",
            f"Install pgvector {needed} or later, then run ALTER EXTENSION vector UPDATE; there.",
        )
    if facts.pgvector is None:
        return ok(_PGVECTOR, f"{found} is there; the first start makes the extension.")
    return ok(_PGVECTOR, f"{found} is there.")


def _check_migrations(url: str) -> tuple[Finding, bool]:
    """The finding, and whether the tables are this version's."""
    try:
        status = migration_status(url)
    except StartError as error:
        return fail(_MIGRATIONS, str(error), "Install the newer version here too."), False
    if status.is_current:
        return ok(_MIGRATIONS, f"The tables are at revision {status.current}."), True
    says = f"The tables are at revision {status.current or 'none'}, {status.needed} is needed."
    advice = "The next start of `sitebrook serve` does it, or run `sitebrook db migrate`."
    return warn(_MIGRATIONS, says, advice), False


def check_processes(count: int, *, has_redis: bool) -> Finding:
    """Whether the long-lived processes of a database can share what they must."""
    says = f"Servers and workers that use this database now: {count}."
    if count > 1 and not has_redis:
        advice = "Set the REDIS_URL that they have here too."
        return warn(_PROCESSES, says, advice)
    return ok(_PROCESSES, says)
