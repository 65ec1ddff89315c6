"""How connections to PostgreSQL are made and how their failures are told, without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sitebrook.errors import StartError, Unavailable

CONNECT_S: Final = 3
_STATEMENT_S: Final = 60
_SILENCE_S: Final = 10
# Candidates that an index of vectors looks at: recall@100 is 0.99 with 200 and 0.97 with 100. When
# too many of them have been deleted, it goes on scanning.
_VECTOR_SEARCH: Final = "-c hnsw.ef_search=200 -c hnsw.iterative_scan=relaxed_order"
_CONFLICTS: Final = frozenset({"40001", "40P01"})  # a serialisation failure, a deadlock
CONNECT_ARGS: Final[Mapping[str, Any]] = {
    "connect_timeout": CONNECT_S,
    "client_encoding": "UTF8",
    "fallback_application_name": "sitebrook",
    "options": f"-c statement_timeout={_STATEMENT_S}s {_VECTOR_SEARCH}",
    # A host that vanished is noticed by what was sent to it, or by its silence.
    "tcp_user_timeout": _SILENCE_S * 1000,
    "keepalives_idle": _SILENCE_S,
    "keepalives_interval": _SILENCE_S,
    "keepalives_count": 2,
}


def to_libpq(url: str) -> str:
    """The address as libpq reads it, from the form that names a driver."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


def is_connection_failure(error: BaseException | None) -> bool:
    """Whether psycopg's error says that the server is away, not that a statement is wrong."""
    state = getattr(error, "sqlstate", None)
    # No state: the connection was never made. Class 08: connection, 57P: server going down.
    return (state is None and isinstance(error, psycopg.OperationalError)) or (
        isinstance(state, str) and state.startswith(("08", "57P", "53300"))
    )


def is_conflict(error: BaseException | None) -> bool:
    """Whether PostgreSQL ended a transaction because of others beside it; again, it may go well."""
    return getattr(error, "sqlstate", None) in _CONFLICTS


def conflict() -> Unavailable:
    """The refusal of what PostgreSQL ended because of something beside it."""
    return Unavailable(
        "Something else was changing the same at this moment; try again.",
        code="database_conflict",
        retry_after_s=1,
    )


def no_database() -> Unavailable:
    """The refusal while PostgreSQL does not answer."""
    return Unavailable(
        "The database does not answer; try again in a few seconds.",
        code="database_unavailable",
        retry_after_s=3,
    )


def not_answering(url: str, error: BaseException | None) -> StartError:
    """Why a process cannot start over a database that does not answer."""
    # The embedded database is reached by a socket, which is no part of the address.
    host = str(conninfo_to_dict(to_libpq(url)).get("host") or "/")
    name = "database" if host.startswith("/") else "database of DATABASE_URL"
    return StartError(f"The {name} does not answer: {first_line(error)}")


def first_line(error: BaseException | None) -> str:
    """What PostgreSQL said, without the details behind it."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
