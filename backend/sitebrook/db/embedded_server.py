"""The server process of the embedded PostgreSQL: found, launched, waited for, stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sitebrook.db.embedded_account import Account, Home
from sitebrook.errors import StartError

DATABASE = "sitebrook"
ROLE = "sitebrook"
PORT = 5432
_LOOKING = "sitebrook-look"
POLL_S = 0.02
_RELAUNCH_S = 0.2
_IMMEDIATE_S = 10.0
_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_SOCKET_NAME = f"/.s.PGSQL.{PORT}"
# sun_path holds 107 bytes on Linux, 103 on macOS
_SOCKET_PATH_LIMIT_BYTES = 103
_TMP = Path("/tmp")  # noqa: S108 - only ever a 0700 folder in it, whose owner is verified

# What the operator may not change: access, and a log without the words of visitors (DETAIL and
# STATEMENT quote rows). The rest is in the cluster's postgresql.conf.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] ",
    "log_min_error_statement": "panic",
}
_UNSAFE_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_LOCK_FILE_EXISTS = re.compile(r'lock file "([^"\n]+)" already exists')
_LOCK_FILES = ("postmaster.pid", f".s.PGSQL.{PORT}.lock")
_STILL_IN_USE = "is still in use"  # pre-existing shared memory: backends outlive their postmaster
_LOG_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] ")
_BROKEN = re.compile(
    r"control file|checkpoint record|checksum|find the database system|PG_VERSION|pg_wal"
    r'|could not (open|read|stat) \w+ "(base|global|pg_)|database files are incompatible'
)


@dataclass(frozen=True)
class Postmaster:
    """What a cluster's pid file says; the process itself may be long gone."""

    pid: int
    socket_dir: str
    is_ready: bool


def read_postmaster(cluster: Path) -> Postmaster | None:
    """The cluster's pid file, or None when there is none or it is being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].isdigit():
        return None
    return Postmaster(int(lines[0]), lines[4], "".join(lines[7:8]).strip() == "ready")


def is_serving(pid: int, cluster: Path) -> bool:
    """Whether the process exists and is the cluster's server, not one that reuses its id."""
    try:
        if Path("/proc/self/cmdline").exists():
            # readable for everyone, unlike /proc/<pid>/cwd; empty for a zombie
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        else:
            listing = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
            command = subprocess.run(listing, capture_output=True, check=False).stdout  # noqa: S603
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b" -D " + os.fsencode(cluster) + b" " in command


def connection_failure(socket_dir: str) -> str | None:
    """Why the database cannot be opened, or None when it can."""
    try:
        _look(socket_dir).close()
    except psycopg.OperationalError as error:
        return str(error).partition("\n")[0]
    return None


def has_others(socket_dir: Path, ours: str) -> bool:
    """Whether anybody is connected under another application name than ``ours``.

    PostgreSQL ends a connection some time after its client has. A server that cannot tell counts
    as used.
    """
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND application_name <> ALL (%s)"
    )
    try:
        with _look(str(socket_dir)) as connection:
            row = connection.execute(query, ([ours, _LOOKING],)).fetchone()
    except psycopg.OperationalError:
        return True
    return row is not None and row[0] > 0


def _look(socket_dir: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(
        host=socket_dir,
        port=PORT,
        dbname=DATABASE,
        user=ROLE,
        connect_timeout=2,
        application_name=_LOOKING,
    )


# Servers that were left to others: their Popen objects must not be dropped, which would warn.
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []


@dataclass
class Server:
    """A running server; ``child`` when this process launched it."""

    home_cluster: Path
    postmaster: Postmaster
    child: subprocess.Popen[bytes] | None

    def stop(self, timeout_s: float) -> bool:
        """Whether it ended: clients are disconnected first, then it is torn down."""
        for sign, wait_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, _IMMEDIATE_S)):
            if not self._is_alive():
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.postmaster.pid, sign)
            deadline = time.monotonic() + wait_s
            while self._is_alive() and time.monotonic() < deadline:
                time.sleep(POLL_S)
        if self._is_alive():
            return False
        if Path(self.postmaster.socket_dir).parent == _TMP:
            with contextlib.suppress(OSError):  # not ours, or not empty after a crash
                Path(self.postmaster.socket_dir).rmdir()
        return True

    def tell_to_stop(self) -> None:
        """Begins the stop: clients are disconnected, then it ends by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.postmaster.pid, signal.SIGINT)

    def leave_running(self) -> None:
        """Lets the server outlive its owner, for the others that are connected."""
        if self.child is not None:
            _LEFT_RUNNING.append(self.child)

    def _is_alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return is_serving(self.postmaster.pid, self.home_cluster)


def bring_up(home: Home, *, fsync: bool, deadline: float) -> Server:
    """The cluster's server, ready for connections: one that still runs, or a new one.

    The caller holds the data folder's lock. At the deadline the server is left to itself: a long
    recovery must not begin again with each try, and the next start joins it.
    """
    attempt = _Attempt(home, fsync=fsync)
    try:
        while (server := attempt.advance()) is None:
            if time.monotonic() > deadline:
                raise StartError(
                    "PostgreSQL is not ready yet and goes on by itself, start again later: "
                    + attempt.last_word()
                )
            time.sleep(POLL_S)
    except (KeyboardInterrupt, SystemExit):
        attempt.give_up()
        raise
    return server


class _Attempt:
    """The way of a server from its pid file or its launch to the first connection."""

    def __init__(self, home: Home, *, fsync: bool) -> None:
        self._home = home
        self._fsync = fsync
        self._child: subprocess.Popen[bytes] | None = None
        self._log_offset = home.log.stat().st_size if home.log.exists() else 0
        self._refusal: str | None = None

    def advance(self) -> Server | None:
        """The server if it accepts connections now; launches it where none runs."""
        home, child = self._home, self._child
        found = read_postmaster(home.cluster)
        if found is not None and found.is_ready:
            self._refusal = connection_failure(found.socket_dir)
            if self._refusal is None:
                is_child = child is not None and child.pid == found.pid
                return Server(home.cluster, found, child if is_child else None)
        if child is not None and child.poll() is not None:
            _check_worth_retrying(home, self._log_offset)
            self._child = None
            time.sleep(_RELAUNCH_S)
        elif child is None and not (found and is_serving(found.pid, home.cluster)):
            self._log_offset, self._child = _launch(home, fsync=self._fsync)
        return None

    def last_word(self) -> str:
        """Why it is not ready, as far as it is known."""
        return self._refusal or _last_useful_line(self._home, self._log_offset)

    def give_up(self) -> None:
        """Ends what this attempt launched."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGQUIT)
            self._child.wait(_IMMEDIATE_S)


def _launch(home: Home, *, fsync: bool) -> tuple[int, subprocess.Popen[bytes]]:
    """The log's size before, and the new server process.

    Its life is not tied to ours (PR_SET_PDEATHSIG is cleared when root becomes another user, and
    follows the thread that forked, not the process): after a kill -9 the next start takes it over.
    """
    settings = {
        **_SETTINGS,
        **({} if fsync else _UNSAFE_SETTINGS),
        "unix_socket_directories": str(_socket_folder(home)),
        "hba_file": str(_write(home.folder / "pg_hba.conf", "local all all peer map=sitebrook\n")),
        "ident_file": str(_write(home.folder / "pg_ident.conf", _ident(home.account))),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [home.program("postgres"), "-D", home.cluster, *options]
    log = os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        home.account.own(home.log)
        if os.fstat(log).st_size > _LOG_LIMIT_BYTES:
            os.ftruncate(log, 0)
        return os.fstat(log).st_size, home.account.spawn(command, output=log)
    finally:
        os.close(log)


def _ident(account: Account) -> str:
    """The OS users that are the role: the one that runs the server, and root."""
    return "".join(f'sitebrook "{name}" {ROLE}\n' for name in dict.fromkeys((account.name, "root")))


def _write(path: Path, text: str) -> Path:
    """The path, holding the text, readable for the server's user."""
    staged = path.with_suffix(".new")
    staged.unlink(missing_ok=True)
    with staged.open("x") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    return staged.replace(path)


def _socket_folder(home: Home) -> Path:
    """A 0700 folder of the server's user whose name fits into a socket address.

    Whoever joins later reads it from the cluster's pid file.
    """
    near = home.folder / "socket"
    length = len(os.fsencode(near)) + len(_SOCKET_NAME)
    # libpq and PostgreSQL split at commas, quotes and blanks mean something to the latter
    if length > _SOCKET_PATH_LIMIT_BYTES or re.search(r"[,'\"\s]", str(near)):
        digest = hashlib.sha256(os.fsencode(home.cluster)).hexdigest()[:12]
        near = _TMP / f"sitebrook-{home.account.uid}-{digest}"
    try:
        near.mkdir(mode=0o700)
    except FileExistsError:
        found = near.lstat()
        if found.st_mode == stat.S_IFDIR | 0o700 and found.st_uid == home.account.uid:
            return near
        near = Path(tempfile.mkdtemp(prefix="sitebrook-", dir=_TMP))
    home.account.own(near)
    return near


def _check_worth_retrying(home: Home, log_offset: int) -> None:
    """Raises unless the launch failed because of what a crash left behind.

    PostgreSQL takes any process of the same user for its old server when that reuses the id, as
    happens after each restart of a container; the caller has seen that it is not.
    """
    log = _log_since(home, log_offset)
    stale = _LOCK_FILE_EXISTS.search(log)
    if stale is not None and Path(stale[1]).name in _LOCK_FILES:
        (home.cluster / stale[1]).unlink(missing_ok=True)  # a bare name, or an absolute path
    elif _STILL_IN_USE not in log:
        raise _launch_failure(home, _last_useful_line(home, log_offset))


def _launch_failure(home: Home, line: str) -> StartError:
    if "No space left on device" in line:
        return StartError(f"The disk of {home.folder} is full, PostgreSQL cannot start: free space")
    if _BROKEN.search(line):
        return broken_cluster(home.cluster, line)
    return StartError(f"PostgreSQL did not start ({line}), see {home.log}")


def broken_cluster(cluster: Path, reason: str) -> StartError:
    """The error for a damaged data directory."""
    return StartError(
        f"The database in {cluster} is broken ({reason}): "
        "restore the folder from a backup, or remove it to begin anew"
    )


def _log_since(home: Home, offset: int) -> str:
    with home.log.open("rb") as log:
        log.seek(offset)
        return log.read(_LOG_LIMIT_BYTES).decode(errors="replace")


def _last_useful_line(home: Home, offset: int) -> str:
    """The last line that names a failure, else the last one, without time and process."""
    lines = [_LOG_PREFIX.sub("", line) for line in _log_since(home, offset).splitlines()]
    failures = [line for line in lines if re.match(r"FATAL|PANIC|ERROR", line)]
    return (failures or lines or ["the log is empty"])[-1].strip()
