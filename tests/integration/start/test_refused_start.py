"""What keeps the server from starting is said in one line, with the exit code 1."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.commands import one_line, refusal, succeed
from tests.integration.start.installation import ROOT, Installation
from tests.servers import running_server


def refused(installation: Installation, **env: str) -> str:
    code, line = refusal("serve", **{**installation.env, **env})
    assert code == 1
    assert line.startswith("sitebrook: ")
    assert installation.postmaster() is None
    return line


def test_a_port_that_is_taken(fresh: Installation) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", fresh.port))
        listener.listen()
        line = refused(fresh)
    assert line == (
        f"sitebrook: Port {fresh.port} on 127.0.0.1 is taken; "
        "stop what listens there or set SITEBROOK_PORT."
    )
    assert not fresh.data_dir.exists()


def test_an_address_that_is_not_of_this_machine(fresh: Installation) -> None:
    assert "Cannot listen on 192.0.2.1:" in refused(fresh, SITEBROOK_HOST="192.0.2.1")
    assert "Cannot listen on nowhere.invalid:" in refused(fresh, SITEBROOK_HOST="nowhere.invalid")


def test_a_file_in_the_place_of_the_data_folder(fresh: Installation) -> None:
    fresh.data_dir.write_text("")
    line = refused(fresh)
    assert str(fresh.data_dir) in line
    assert "make the folder writable or name another data folder" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_without_write_permission(fresh: Installation) -> None:
    fresh.data_dir.mkdir(mode=0o500)
    assert "make the folder writable" in refused(fresh)


def test_a_database_that_is_broken(installation: Installation) -> None:
    with installation.database():
        pass
    version = installation.data_dir / "postgres" / "cluster" / "PG_VERSION"
    text = version.read_text()
    version.write_text("garbage\n")
    line = refused(installation)
    version.write_text(text)
    assert "is broken (PG_VERSION is unreadable)" in line
    assert "restore the folder from a backup, or remove it to begin anew" in line


def test_keys_that_cannot_be_written(fresh: Installation, database_url: str) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "demo.env").mkdir()
    line = refused(fresh, DATABASE_URL=database_url)
    assert line.startswith(f"sitebrook: {fresh.demo_env} cannot be ")


def test_a_setting_that_does_not_exist(fresh: Installation) -> None:
    line = refused(fresh, SITEBROOK_PUBLIC_ULR="https://chat.example.com")
    assert line.endswith("Did you mean SITEBROOK_PUBLIC_URL?")


def test_a_database_that_does_not_answer(fresh: Installation) -> None:
    line = refused(fresh, DATABASE_URL="postgresql://127.0.0.1:1/sitebrook")
    assert line.startswith("sitebrook: The database of DATABASE_URL does not answer: ")


def look_for_extensions_in(url: str, folder: Path) -> None:
    """Lets the database see the extensions of this folder only."""
    statement = sql.SQL("ALTER DATABASE {} SET extension_control_path = {}")
    with psycopg.connect(url) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(statement.format(name, sql.Literal(str(folder))))


def test_a_database_without_pgvector(fresh: Installation, bare_database_url: str) -> None:
    look_for_extensions_in(bare_database_url, fresh.data_dir.parent)
    assert refused(fresh, DATABASE_URL=bare_database_url) == (
        "sitebrook: The database has no pgvector; install pgvector 0.8 or later there."
    )


def test_a_database_with_an_old_pgvector(fresh: Installation, bare_database_url: str) -> None:
    folder = fresh.data_dir.parent / "extension"
    folder.mkdir()
    (folder / "vector.control").write_text("default_version = '0.7.4'\n")
    folder.chmod(0o755)
    look_for_extensions_in(bare_database_url, folder.parent)
    line = refused(fresh, DATABASE_URL=bare_database_url)
    assert line == "sitebrook: pgvector 0.8 or later is needed; the database has 0.7.4."


def test_a_second_server_of_a_database_without_redis(
    fresh: Installation, database_url: str
) -> None:
    with running_server(database_url) as first:
        line = refused(fresh, DATABASE_URL=database_url)
        assert "Another process uses this database" in line
        assert "set the same REDIS_URL for each of them, or stop the other one first." in line
        assert "site" in succeed("site", "list", DATABASE_URL=database_url).lower()
        assert first.process.poll() is None


def test_a_server_with_redis_beside_one_without(
    fresh: Installation, database_url: str, with_redis: dict[str, str]
) -> None:
    with running_server(database_url):
        line = refused(fresh, DATABASE_URL=database_url, **with_redis)
    assert "Another process uses this database without a Redis" in line


def test_several_workers_without_redis(fresh: Installation) -> None:
    assert refused(fresh, SITEBROOK_WORKERS="2") == (
        "sitebrook: 2 workers share limits and streams through Redis: set REDIS_URL, or serve "
        "with one worker."
    )


def test_an_address_of_redis_that_cannot_be_meant(fresh: Installation, database_url: str) -> None:
    line = refused(fresh, REDIS_URL="localhost:6379")
    assert "REDIS_URL is not the address of a Redis server; write it like redis://" in line
    url = "redis://:secret@127.0.0.1:1?nonsense=1"
    line = refused(fresh, DATABASE_URL=database_url, REDIS_URL=url)
    assert "REDIS_URL has a part that does not belong there" in line
    assert "secret" not in line


TOOLS = ("bash", "cat", "cksum", "dirname", "id")
TOO_OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = f"""#!/bin/sh
case "$2" in *ensurepip*) exit 1 ;; esac
exec {sys.executable} "$@"
"""


def run_script(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """``scripts/run`` of a fresh clone on a machine whose only Python is this one."""
    programs = folder / "bin"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)
    (programs / "python3").write_text(python)
    (programs / "python3").chmod(0o755)
    for name in ("scripts", "pyproject.toml", "backend/requirements.lock"):
        target = folder / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
    return subprocess.run(
        [folder / "clone" / "scripts" / "run"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (TOO_OLD, "sitebrook needs Python 3.11 or later; install it, or name it: PYTHON="),
        (WITHOUT_VENV, "This Python cannot make virtual environments; install its venv module"),
    ],
)
def test_a_python_that_cannot_make_the_environment(
    tmp_path: Path, python: str, message: str
) -> None:
    done = run_script(tmp_path, python)
    assert done.returncode == 1
    assert done.stdout == ""
    assert one_line(done.stderr).startswith(message)
    assert not (tmp_path / "clone" / ".venv").exists()
