"""Databases of a run's one PostgreSQL server, each a copy of an empty migrated one."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

import psycopg
from psycopg import sql

URL_VARIABLE = "TEST_DATABASE_URL"
TEMPLATE = "sitebrook_template"


@contextlib.contextmanager
def new_database(template: str = TEMPLATE) -> Iterator[str]:
    """The address of a copy of the template, which ends with the block.

    PostgreSQL's own ``template1`` gives a database without any table.
    """
    server = os.environ[URL_VARIABLE]
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(to_libpq(server), autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    yield with_database(server, name)
    with psycopg.connect(to_libpq(server), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def to_libpq(url: str) -> str:
    """The address as libpq reads it, from SQLAlchemy's form."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def with_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
