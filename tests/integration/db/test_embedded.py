"""The embedded PostgreSQL: real servers, started, joined and stopped."""

from __future__ import annotations

import contextlib
import gc
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.commands import wait_until
from tests.integration.db.servers import (
    IS_ROOT,
    cluster_of,
    python,
    rows,
)

from sitebrook.db.embedded import EmbeddedPostgres, find_running, start
from sitebrook.db.embedded_account import STATE_DIR, settle_home
from sitebrook.db.embedded_server import read_postmaster
from sitebrook.errors import StartError


def test_a_database_with_vectors_is_made_on_first_use_and_keeps_its_data(data_dir: Path) -> None:
    first = start(data_dir)
    assert first.owned
    rows(first, "CREATE EXTENSION vector", "CREATE TABLE note (v vector(2))")
    rows(first, "INSERT INTO note VALUES ('[1,2]')")
    settings = ["data_checksums", "server_encoding", "fsync", "listen_addresses"]
    shown = [rows(first, f"SHOW {setting}")[0][0] for setting in settings]
    assert shown == ["on", "UTF8", "on", ""]
    assert rows(first, "SELECT lower('ÉÑ'), current_user") == [("éñ", "sitebrook")]
    first.stop()
    first.stop()
    assert find_running(data_dir) is None

    second = start(data_dir)
    assert second.owned
    assert rows(second, "SELECT v::text FROM note") == [("[1,2]",)]
    second.stop()


def test_an_owner_that_leaves_a_used_server_forgets_it_without_a_warning(data_dir: Path) -> None:
    postgres = start(data_dir, fsync=False)
    other = find_running(data_dir)
    assert other is not None
    engine = sa.create_engine(other.url, poolclass=sa.NullPool)
    with engine.connect():
        postgres.leave(data_dir)
        assert find_running(data_dir) is not None
    engine.dispose()
    del postgres
    gc.collect()  # an unreaped process would be reported here
    start(data_dir, fsync=False).stop()


def test_connections_of_the_owner_do_not_keep_the_server(data_dir: Path) -> None:
    postgres = start(data_dir, fsync=False)
    engine = sa.create_engine(postgres.url, poolclass=sa.NullPool)
    with engine.connect():
        postgres.leave(data_dir)
        assert find_running(data_dir) is None
    engine.dispose()


def test_a_server_is_told_to_end_without_a_wait(data_dir: Path) -> None:
    postgres = start(data_dir, fsync=False)
    other = find_running(data_dir)
    assert other is not None
    engine = sa.create_engine(other.url, poolclass=sa.NullPool)
    with engine.connect():
        postgres.leave_unwaited()
        assert find_running(data_dir) is not None
    engine.dispose()
    wait_until(lambda: postgres.leave_unwaited() or find_running(data_dir) is None)
    postgres.stop()


def test_only_the_servers_user_reaches_it_and_only_by_its_socket(private_folder: Path) -> None:
    data_dir = private_folder / "data"
    data_dir.mkdir()
    parents = {parent: parent.stat().st_mode for parent in (data_dir, *data_dir.parents)}
    postgres = start(data_dir, fsync=False)
    folder = postgres.socket_dir.stat()
    assert stat.S_IMODE(folder.st_mode) == 0o700
    assert folder.st_uid == (postgres.home / "cluster").stat().st_uid
    assert folder.st_uid != 0
    found = read_postmaster(postgres.home / "cluster")
    assert found is not None
    assert not listening_inodes() & socket_inodes(found.pid)
    hba = rows(postgres, "SELECT type, auth_method FROM pg_hba_file_rules")
    assert hba == [("local", "peer")]
    assert {parent: parent.stat().st_mode for parent in parents} == parents
    postgres.stop()


def listening_inodes() -> set[str]:
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return {fields[9] for fields in lines if fields[3] == "0A"}


def socket_inodes(pid: int) -> set[str]:
    targets = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    found = {target[8:-1] for target in targets if target.startswith("socket:[")}
    assert found
    return found


def test_a_home_that_the_system_user_cannot_reach_is_kept_elsewhere(private_folder: Path) -> None:
    data_dir = private_folder / "data"
    postgres = start(data_dir, fsync=False)
    if IS_ROOT:
        assert postgres.home.parent == STATE_DIR
        assert postgres.notice is not None
        assert str(postgres.home) in postgres.notice
        assert "\n" not in postgres.notice
    else:
        assert postgres.home == data_dir / "postgres"
        assert postgres.notice is None
    postgres.stop()


@pytest.mark.skipif(not IS_ROOT, reason="only root's cluster is ever kept elsewhere")
def test_a_home_elsewhere_lives_and_dies_with_its_data_folder(private_folder: Path) -> None:
    data_dir = private_folder / "data"
    first = start(data_dir, fsync=False)
    first.stop()
    data_dir.rename(private_folder / "moved")
    moved = start(private_folder / "moved", fsync=False)
    assert moved.home == first.home
    moved.stop()
    shutil.rmtree(first.home)
    with pytest.raises(StartError, match="is gone: restore it"):
        start(private_folder / "moved")
    assert start_and_stop(data_dir).home != first.home


def start_and_stop(data_dir: Path) -> EmbeddedPostgres:
    postgres = start(data_dir, fsync=False)
    postgres.stop()
    return postgres


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user runs its own files")
def test_programs_that_the_system_user_cannot_reach_are_copied(
    filled: Path, private_folder: Path
) -> None:
    bundled = settle_home(filled).install.parent
    before = set(STATE_DIR.glob("postgresql-*")) if STATE_DIR.exists() else set()
    for part in (bundled, bundled.with_name(f"{bundled.name}.libs")):
        subprocess.run(["cp", "-al", part, private_folder], check=True)
    script = "pg = start(data_dir, fsync=False); print(pg.notice); pg.stop()"
    with python(script, filled, PYTHONPATH=str(private_folder)) as process:
        notice = process.communicate()[0]
    assert process.returncode == 0
    assert f"its programs are copied to {STATE_DIR}/postgresql-18-" in notice
    for made in set(STATE_DIR.glob("postgresql-*")) - before:
        shutil.rmtree(made)


def test_a_second_process_joins_and_does_not_stop_it(filled: Path) -> None:
    postgres = start(filled, fsync=False)
    script = """
pg = start(data_dir)
pg.stop()
print(pg.owned, pg.socket_dir, find_running(data_dir).owned)
"""
    with python(script, filled) as process:
        said = process.communicate()[0].split()
    assert said == ["False", str(postgres.socket_dir), "False"]
    assert rows(postgres, "SELECT text FROM note") == [("kept",)]
    postgres.stop()


def test_of_processes_that_start_at_once_one_owns_and_all_connect(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    script = """
pg = start(data_dir, fsync=False)
import psycopg
psycopg.connect(pg.url.replace("+psycopg", "")).close()
print(pg.owned, flush=True)
(data_dir / f"connected-{os.getpid()}").touch()
while pg.owned and len(list(data_dir.glob("connected-*"))) < 3:
    time.sleep(0.02)
pg.stop()
"""
    processes = [python(script, data_dir) for _ in range(3)]
    said = []
    for process in processes:
        with process:
            said.append(process.communicate()[0].strip())
    assert sorted(said) == ["False", "False", "True"]
    assert find_running(data_dir) is None


def test_nothing_runs_in_an_unknown_folder(tmp_path: Path) -> None:
    assert find_running(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["n" * 120, "with, comma 'and' quote"])
def test_a_path_that_no_socket_address_takes_is_served_from_a_short_one(
    filled: Path, name: str
) -> None:
    data_dir = filled.parent / name / "data"
    data_dir.parent.mkdir()
    filled.rename(data_dir)
    postgres = start(data_dir, fsync=False)
    assert postgres.socket_dir.parent == Path("/tmp")
    assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
    assert rows(postgres, "SELECT text FROM note") == [("kept",)]
    with python("print(find_running(data_dir).socket_dir)", data_dir) as process:
        assert process.communicate()[0].strip() == str(postgres.socket_dir)
    postgres.stop()
    data_dir.rename(filled)
    assert not postgres.socket_dir.exists()


def test_a_socket_folder_that_someone_else_has_made_is_not_used(filled: Path) -> None:
    if (filled / "postgres" / "socket").exists():
        (filled / "postgres" / "socket").rmdir()
    (filled / "postgres" / "socket").mkdir()
    (filled / "postgres" / "socket").chmod(0o777)
    postgres = start(filled, fsync=False)
    assert postgres.socket_dir != filled / "postgres" / "socket"
    assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
    postgres.stop()
    (filled / "postgres" / "socket").rmdir()


def test_the_log_is_cut_when_it_has_grown(filled: Path) -> None:
    log = filled / "postgres" / "postgres.log"
    with log.open("ab") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    start(filled, fsync=False).stop()
    assert log.stat().st_size < 10_000


def test_an_idle_client_does_not_delay_the_stop(filled: Path) -> None:
    postgres = start(filled, fsync=False)
    found = read_postmaster(cluster_of(filled))
    assert found is not None
    engine = sa.create_engine(postgres.url)
    with contextlib.suppress(sa.exc.OperationalError), engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        begun = time.monotonic()
        postgres.stop()
        assert time.monotonic() - begun < 5
    engine.dispose()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError, match="No such file"):
        client.connect(f"{postgres.socket_dir}/.s.PGSQL.5432")
