"""How long-lived processes of one database know of each other: by an advisory lock of PostgreSQL.

Who has a Redis to share with others holds it as one of many, who has none alone.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from sitebrook.db.connect import CONNECT_ARGS, not_answering, to_libpq
from sitebrook.errors import StartError

_LOG: Final = logging.getLogger(__name__)
LOCK: Final = 0x51_7E_B0_03
_TAKE_S: Final = 2.0
_TAKE_AGAIN_S: Final = 0.05
_LOOK_S: Final = 5.0
_JOIN_S: Final = 1.0
# PostgreSQL notices within half a minute that a machine with a holder is gone.
_OPTIONS: Final = (
    f"{CONNECT_ARGS['options']} -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=10 "
    "-c tcp_keepalives_count=2"
)
_HOLDERS: Final = """
    SELECT a.application_name, a.backend_start
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = 0
        AND l.objid = %s AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY a.backend_start LIMIT 1
"""


class ProcessLock:
    """Held for as long as a block runs; StartError at its beginning when others are in the way.

    A lock that was lost with its connection is taken again; where another process has taken it
    meanwhile, the log says so, and this one goes on. ``look_s`` is how often it is looked after,
    ``take_s`` how long a process that has just ended may still hold it.
    """

    def __init__(
        self, url: str, *, shares: bool, look_s: float = _LOOK_S, take_s: float = _TAKE_S
    ) -> None:
        self._url = url
        self._shares = shares
        self._look_s = look_s
        self._take_s = take_s
        self._connection: psycopg.Connection[Any] | None = None
        self._has_ended = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="process-lock", daemon=True)
        self._has_complained = False
        self.is_held = False

    def __enter__(self) -> Self:
        try:
            self._connection = self._connect()
            self._take_soon(self._connection)
        except psycopg.Error as error:
            self._close()
            raise not_answering(self._url, error) from None
        except BaseException:
            self._close()
            raise
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._has_ended.set()
        self._watch.join(_JOIN_S)

    def _take_soon(self, connection: psycopg.Connection[Any]) -> None:
        until = time.monotonic() + self._take_s
        while not self._take(connection):
            if time.monotonic() > until:
                raise StartError(self._refusal(connection))
            time.sleep(_TAKE_AGAIN_S)

    def _take(self, connection: psycopg.Connection[Any]) -> bool:
        call = "pg_try_advisory_lock_shared" if self._shares else "pg_try_advisory_lock"
        row = connection.execute(f"SELECT {call}(%s)", [LOCK]).fetchone()  # pyright: ignore[reportArgumentType]
        self.is_held = bool(row and row[0])
        return self.is_held

    def _refusal(self, connection: psycopg.Connection[Any]) -> str:
        found = connection.execute(_HOLDERS, [LOCK]).fetchone()
        who = f" ({found[0]}, since {found[1]:%Y-%m-%d %H:%M:%S %Z})" if found else ""
        if self._shares:
            return (
                f"Another process uses this database without a Redis{who}: stop it, then start it "
                "with the same REDIS_URL as this one."
            )
        return (
            f"Another process uses this database{who}. Several share limits and streams through "
            "Redis: set the same REDIS_URL for each of them, or stop the other one first."
        )

    def _keep(self) -> None:
        """Looks after the lock until the block has ended."""
        while not self._has_ended.wait(self._look_s):
            try:
                self._look()
            except psycopg.Error as error:
                if self.is_held:
                    _LOG.warning(
                        "the connection that holds this process's lock is lost, it is taken again",
                        extra={"error": type(error).__name__},
                    )
                self.is_held = False
                self._close()
        self._close()

    def _look(self) -> None:
        if self._connection is None:
            self._connection = self._connect()
        if self.is_held:
            self._connection.execute("SELECT 1")
        elif self._take(self._connection):
            _LOG.info("this process's lock is held again")
            self._has_complained = False
        elif not self._has_complained:
            _LOG.error(self._refusal(self._connection))
            self._has_complained = True

    def _connect(self) -> psycopg.Connection[Any]:
        arguments: dict[str, Any] = {
            **CONNECT_ARGS,
            "options": _OPTIONS,
            "fallback_application_name": f"process {os.getpid()} on {socket.gethostname()}",
            "autocommit": True,
        }
        return psycopg.connect(to_libpq(self._url), **arguments)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
