"""Bringing a database to this version's tables, by one process at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from sitebrook.db.connect import first_line, not_answering
from sitebrook.db.pool import to_psycopg_url
from sitebrook.errors import StartError

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x51_7E_B0_01
_LOCK_TIMEOUT: Final = "60s"
MIN_POSTGRES: Final = 150_000
MIN_PGVECTOR: Final = (0, 8)


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """The revision that the database has and the one that this version needs."""

    current: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return self.current == self.needed


def migrate(url: str) -> MigrationStatus:
    """The status after every missing revision has run; safe to call from many processes at once.

    Raises StartError when the database does not answer, is too old, lacks pgvector, or was
    migrated by a newer sitebrook.
    """
    engine = create_engine(to_psycopg_url(url), connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            _check_server(connection)
            before = _status(connection)
            if not before.is_current:
                _upgrade(connection)
            return _status(connection)
    except OperationalError as error:
        raise not_answering(url, error.orig) from None
    except DBAPIError as error:
        raise StartError(f"The database refused a migration: {first_line(error.orig)}") from None
    finally:
        engine.dispose()


def migration_status(url: str) -> MigrationStatus:
    """What the database has and what it needs. Raises StartError when it does not answer."""
    engine = create_engine(to_psycopg_url(url), connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            return _status(connection)
    except OperationalError as error:
        raise not_answering(url, error.orig) from None
    finally:
        engine.dispose()


def to_numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version, to be compared."""
    return tuple(int(part) for part in version.split(".")[:2])


def to_config(connection: Connection) -> Config:
    """Alembic's settings for the revisions of sitebrook over a connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    # Imported only here: Alembic takes a tenth of the start of a command.
    from alembic import command

    command.upgrade(to_config(connection), "head")


def _status(connection: Connection) -> MigrationStatus:
    # A file's name begins with its revision, and they follow each other in a line.
    known = sorted(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*.py"))
    current = None
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is not None:
        current = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if current is not None and current not in known:
        raise StartError(
            f"The database is at revision {current}, which this version does not know; "
            "run the newer sitebrook that made it."
        )
    return MigrationStatus(current, known[-1])


def _check_server(connection: Connection) -> None:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version < MIN_POSTGRES:
        raise StartError(f"PostgreSQL 15 or later is needed; this is {version // 10_000}.")
    statement = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
    found = connection.execute(statement).scalar_one_or_none()
    if found is None:
        raise StartError("The database has no pgvector; install pgvector 0.8 or later there.")
    if to_numbers(str(found)) < MIN_PGVECTOR:
        raise StartError(f"pgvector 0.8 or later is needed; the database has {found}.")
