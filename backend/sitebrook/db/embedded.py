"""The embedded PostgreSQL: a database of its own in the data folder, with nothing to install.

One process at a time owns the server: the one that holds the lock on ``<data dir>/postgres/lock``.
Others join. When an owner is killed its server lives on, and the next ``start`` takes it over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import tempfile
import time
import weakref
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from sitebrook.db.embedded_account import MAJOR, Home, home_folder, settle_home
from sitebrook.db.embedded_server import (
    DATABASE,
    POLL_S,
    PORT,
    ROLE,
    Server,
    bring_up,
    broken_cluster,
    connection_failure,
    has_others,
    read_postmaster,
)
from sitebrook.errors import StartError

_log = logging.getLogger(__name__)

# Defaults of a new cluster, the operator's to change in its postgresql.conf.
_NEW_CLUSTER_SETTINGS = ("shared_buffers=128MB", "max_connections=100")

_INTERRUPTED_S = 5.0
# How long the connections of a process that has just ended may outlive it.
_LINGERING_S = 0.5


class EmbeddedPostgres:
    """A running PostgreSQL that this process owns, or has joined."""

    def __init__(
        self, home: Path, socket_dir: str, *, notice: str | None = None, hold: _Hold | None = None
    ) -> None:
        # What connects by this address, here and in child processes, is told from others by it.
        self._name = f"sitebrook-{os.getpid()}-{secrets.token_hex(4)}"
        # with the port, since PGPORT would otherwise choose another socket
        part = {"host": socket_dir, "port": PORT, "user": ROLE, "application_name": self._name}
        query = urlencode(part, safe="/")
        self.url = f"postgresql+psycopg:///{DATABASE}?{query}"
        self.home = home
        self.socket_dir = Path(socket_dir)
        self.owned = hold is not None
        self.notice = notice
        self._hold = hold

    def stop(self, timeout_s: float = 20) -> None:
        """Ends the server if this process owns it; does nothing the second time.

        Clients are disconnected at once; after ``timeout_s`` the server is torn down and recovers
        at its next start.
        """
        hold, self._hold = self._hold, None
        if hold is not None and hold.lock.is_held:
            try:
                if not hold.server.stop(timeout_s):
                    _log.warning("PostgreSQL in %s does not end", self.home)
            finally:
                hold.lock.release()

    def leave(self, data_dir: Path) -> None:
        """Ends the server unless other processes are connected to it: the last to leave ends it.

        A process that only joined takes over first, if the owner has left before it.
        """
        if not self.owned:
            again = start(data_dir) if find_running(data_dir) else self
            if again.owned:
                again.leave(data_dir)
            return
        if self._hold is not None and self._hold.lock.is_held and self._is_shared():
            self._hold.server.leave_running()
            self._hold.lock.release()
        self.stop()

    def leave_unwaited(self) -> None:
        """Tells the server to end unless others use it; for a process that has no more time.

        Connections of this process do not matter, and nothing of it may go on afterwards.
        """
        hold = self._hold
        if hold is not None and hold.lock.is_held and not has_others(self.socket_dir, self._name):
            hold.server.tell_to_stop()

    def _is_shared(self) -> bool:
        deadline = time.monotonic() + _LINGERING_S
        while has_others(self.socket_dir, self._name):
            if time.monotonic() > deadline:
                return True
            time.sleep(POLL_S)
        return False


class _FolderLock:
    """An exclusive lock on a file for as long as this process lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        # A forked child shares the lock and would keep it after a kill -9 of the owner.
        release = weakref.WeakMethod(self.release)
        os.register_at_fork(after_in_child=lambda: (call := release()) and call())

    @classmethod
    def acquire(cls, path: Path) -> _FolderLock | None:
        """The lock, or None while another process has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        """Lets go; in a forked child this leaves the parent's lock in place."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _Hold:
    """What an owner has in its hands."""

    def __init__(self, lock: _FolderLock, server: Server) -> None:
        self.lock = lock
        self.server = server


def start(data_dir: Path, *, fsync: bool = True, startup_timeout_s: float = 60) -> EmbeddedPostgres:
    """The data folder's PostgreSQL: created on first use, started, or joined where it runs.

    Blocks until it accepts connections. ``fsync=False`` is for tests: faster, and a power failure
    loses the data. Raises ``StartError`` with one line for the operator.
    """
    deadline = time.monotonic() + startup_timeout_s
    data_dir = data_dir.resolve()
    try:
        _make_folder(data_dir)
        _make_folder(data_dir / "postgres")
        while (lock := _FolderLock.acquire(data_dir / "postgres" / "lock")) is None:
            joined = find_running(data_dir)
            if joined is not None:
                return joined
            if time.monotonic() > deadline:
                raise StartError(
                    f"Another process is starting PostgreSQL in {data_dir} and is not ready yet: "
                    "start again later"
                )
            time.sleep(POLL_S)
        return _start_owned(data_dir, lock, fsync=fsync, deadline=deadline)
    except OSError as error:
        raise StartError(
            f"PostgreSQL's files in {data_dir} cannot be used: {error.strerror} "
            f"({error.filename}): make the folder writable or name another data folder"
        ) from error


def is_made(data_dir: Path) -> bool:
    """Whether the data folder has a PostgreSQL cluster, running or not. Raises StartError."""
    try:
        (home_folder(data_dir.resolve()) / "cluster").stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise _of_another_user(data_dir, error) from error
    return True


def find_running(data_dir: Path) -> EmbeddedPostgres | None:
    """The data folder's PostgreSQL if it accepts connections now; never starts or owns it."""
    try:
        folder = home_folder(data_dir.resolve())
        found = read_postmaster(folder / "cluster")
    except NotADirectoryError:
        return None
    except PermissionError as error:
        raise _of_another_user(data_dir, error) from error
    if found is None or not found.is_ready or connection_failure(found.socket_dir) is not None:
        return None
    return EmbeddedPostgres(folder, found.socket_dir)


def _of_another_user(data_dir: Path, error: PermissionError) -> StartError:
    return StartError(
        f"The database of {data_dir} belongs to another user ({error.filename} "
        "cannot be read): run as that user"
    )


def _start_owned(
    data_dir: Path, lock: _FolderLock, *, fsync: bool, deadline: float
) -> EmbeddedPostgres:
    with ExitStack() as undo:
        undo.callback(lock.release)
        home = settle_home(data_dir)
        if home.cluster.exists():
            _check_cluster(home.cluster)
        else:
            _create_cluster(home, fsync=fsync)
        server = bring_up(home, fsync=fsync, deadline=deadline)
        undo.pop_all()
    hold = _Hold(lock, server)
    return EmbeddedPostgres(
        home.folder, server.postmaster.socket_dir, notice=home.notice, hold=hold
    )


def _make_folder(folder: Path) -> None:
    """The folder exists; a new one of root's can be entered, not listed, by PostgreSQL's user."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _check_cluster(cluster: Path) -> None:
    """Raises unless the folder looks like a cluster of the bundled major version."""
    try:
        version = (cluster / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        raise broken_cluster(cluster, "PG_VERSION is missing") from None
    if not version.isdigit():
        raise broken_cluster(cluster, "PG_VERSION is unreadable")
    if int(version) != MAJOR:
        raise StartError(
            f"The database in {cluster} is of PostgreSQL {version}, this release brings {MAJOR}: "
            f"export it with pg_dump of version {version}, or use the release that made it"
        )
    if not (cluster / "global" / "pg_control").exists():
        raise broken_cluster(cluster, "global/pg_control is missing")


def _create_cluster(home: Home, *, fsync: bool) -> None:
    """A new cluster with the database in it, complete at the moment when its folder appears."""
    for left in home.folder.glob("initdb-*"):
        _remove_interrupted(left)
    with tempfile.TemporaryDirectory(prefix="initdb-", dir=home.folder) as staging:
        home.account.own(Path(staging))
        staged = Path(staging) / "cluster"
        command = [
            home.program("initdb"), "-D", staged, "--username", ROLE, "--auth", "peer",
            "--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin",
            "--builtin-locale", "C.UTF-8", "--data-checksums",
            *(part for setting in _NEW_CLUSTER_SETTINGS for part in ("-c", setting)),
            *(() if fsync else ("--no-sync",)),
        ]  # fmt: skip
        _run_step(home, command)
        single = [home.program("postgres"), "--single", "-D", staged, "-c", "log_checkpoints=off"]
        if not fsync:
            single += ["-F"]
        _run_step(home, [*single, "postgres"], f"CREATE DATABASE {DATABASE};\n")
        staged.rename(home.cluster)
    _sync_folder(home.folder)


def _remove_interrupted(staging: Path) -> None:
    """Removes what a killed start left, under the hands of an initdb that outlives it briefly."""
    deadline = time.monotonic() + _INTERRUPTED_S
    while staging.exists() and time.monotonic() < deadline:
        shutil.rmtree(staging, ignore_errors=True)
        time.sleep(POLL_S)
    if staging.exists():
        shutil.rmtree(staging)


def _run_step(home: Home, command: list[str | Path], stdin: str = "") -> None:
    """Runs a part of a cluster's creation; the single-user server exits with 0 after an error."""
    code, output = home.account.run(command, stdin)
    if "No space left on device" in output:
        raise StartError(f"The disk of {home.folder} is full, no database can be made: free space")
    lines = [line for line in output.splitlines() if "error" in line.lower() or "FATAL" in line]
    if code != 0 or lines:
        said = (lines or output.strip().splitlines()[-1:] or [f"exit code {code}"])[-1]
        raise StartError(f"No database can be made in {home.folder}: {said}")


def _sync_folder(folder: Path) -> None:
    """The renamed entry survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
