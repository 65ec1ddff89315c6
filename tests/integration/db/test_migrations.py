"""Revisions and tables say the same, and any number of processes may migrate at once."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.commands import command_environment, refusal, run

import sitebrook
from sitebrook.chat.usage import load_usage, to_query
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate, migration_status, to_config
from sitebrook.db.pool import to_psycopg_url
from sitebrook.db.tables import metadata
from sitebrook.errors import StartError

PROCESSES = 6
MIGRATE = (
    "import sys; from sitebrook.db.migrate import migrate; print(migrate(sys.argv[1]).current)"
)


@pytest.fixture
def tables() -> sa.MetaData:
    """What every module named tables declares."""
    package = Path(sitebrook.__file__).parent
    for path in package.rglob("tables.py"):
        names = path.relative_to(package.parent).with_suffix("").parts
        importlib.import_module(".".join(names))
    return metadata


def test_migrated_tables_equal_the_code(database_url: str, tables: sa.MetaData) -> None:
    engine = sa.create_engine(to_psycopg_url(database_url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, *_: not str(name).startswith("procrastinate_"),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables) == []
        inspector = sa.inspect(connection)
        for table in tables.tables.values():
            stored = {check["name"] for check in inspector.get_check_constraints(table.name)}
            checks = [one for one in table.constraints if isinstance(one, sa.CheckConstraint)]
            assert {str(check.name) for check in checks} == stored
            keys = {key["name"] for key in inspector.get_foreign_keys(table.name)}
            assert {f"{table.name}_{key.parent.name}_fkey" for key in table.foreign_keys} == keys


def test_processes_that_migrate_at_once_all_succeed(bare_database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, bare_database_url],
            env=command_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    needed = migration_status(bare_database_url).needed
    for process in processes:
        with process:
            said, complaint = process.communicate(timeout=60)
        assert (said.strip(), complaint) == (needed, "")
    assert migration_status(bare_database_url).is_current


def test_an_old_revision_is_reported_and_brought_up(bare_database_url: str) -> None:
    assert migration_status(bare_database_url).current is None
    assert not migration_status(bare_database_url).is_current
    assert migrate(bare_database_url).is_current
    assert migrate(bare_database_url).is_current


_OLD_ROWS = """
INSERT INTO site (id, name) VALUES ('site_1', 'Example');
INSERT INTO conversation (id, site_id) VALUES ('conv_1', 'site_1');
INSERT INTO message (id, conversation_id, number, role, content, status, model, prompt_tokens,
    completion_tokens)
VALUES ('msg_1', 'conv_1', 0, 'user', 'Why?', 'complete', NULL, NULL, NULL),
    ('ans_1', 'conv_1', 1, 'assistant', 'So.', 'complete', 'm', 7, 5),
    ('ans_2', 'conv_1', 2, 'assistant', 'S', 'interrupted', 'm', NULL, NULL);
"""


async def test_answers_from_before_costs_were_kept_are_of_unknown_cost(
    bare_database_url: str,
) -> None:
    engine = sa.create_engine(to_psycopg_url(bare_database_url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        command.upgrade(to_config(connection), "0001")
        connection.execute(sa.text(_OLD_ROWS))
    assert migrate(bare_database_url).is_current
    database = Database(bare_database_url)
    query = to_query(None, None, site_id="site_1", by_day=False)
    report = await load_usage(database, query)
    await database.aclose()
    [row] = report.rows
    assert (row.answers, row.interrupted, row.prompt_tokens, row.without_tokens) == (2, 1, 7, 1)
    assert (row.cost, row.without_cost, row.estimated) == (None, 2, 0)
    assert report.totals.cost is None


_OLD_KNOWLEDGE = """
INSERT INTO site (id, name) VALUES ('site_1', 'Example');
INSERT INTO knowledge (site_id, embedder) VALUES ('site_1', 'e');
INSERT INTO document (id, site_id, source, title, language, sha256, characters, chunks, version)
VALUES ('doc_1', 'site_1', 'a', 'A', 'en', '', 1, 1, 1);
"""
_NEW_KNOWLEDGE = """
INSERT INTO site (id, name) VALUES ('site_2', 'Other');
INSERT INTO knowledge (site_id, embedder) VALUES ('site_2', 'e');
"""


def test_documents_from_before_stores_are_their_sites(bare_database_url: str) -> None:
    engine = sa.create_engine(to_psycopg_url(bare_database_url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        command.upgrade(to_config(connection), "0011")
        connection.execute(sa.text(_OLD_KNOWLEDGE))
    assert migrate(bare_database_url).is_current
    with engine.begin() as connection:
        # As a process of before writes one: it knows no holders.
        connection.execute(sa.text("INSERT INTO site (id, name) VALUES ('site_2', 'Other')"))
        connection.execute(
            sa.text("INSERT INTO knowledge (site_id, embedder) VALUES ('site_2', 'e')")
        )
        holders = connection.execute(sa.text("SELECT id, site_id FROM holder ORDER BY id")).all()
        assert holders == [("site_1", "site_1"), ("site_2", "site_2")]
        connection.execute(sa.text("DELETE FROM site"))
        for table in ("document", "knowledge", "holder"):
            assert connection.execute(sa.text(f"SELECT * FROM {table}")).all() == []


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://", 1)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


def test_a_revision_of_a_newer_sitebrook_is_refused(database_url: str) -> None:
    set_revision(database_url, "9999")
    message = (
        "sitebrook: The database is at revision 9999, which this version does not know; "
        "run the newer sitebrook that made it."
    )
    for words in (("db", "status"), ("db", "migrate")):
        assert refusal(*words, DATABASE_URL=database_url) == (1, message)
    with pytest.raises(StartError, match="does not know"):
        migrate(database_url)


def test_a_failed_migration_leaves_the_database_as_it_was(bare_database_url: str) -> None:
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE message (id int)")  # in the way of ours
        done = run("db", "migrate", DATABASE_URL=bare_database_url)
        assert done.returncode == 1
        assert done.stderr.startswith("sitebrook: The database refused a migration: ")
        assert done.stderr.count("\n") == 1
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert tables == [("message",)]
