"""Statements sent together over one connection, ahead of the answers to earlier ones."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult

TEXT: Final = pq.Format.TEXT
BINARY: Final = pq.Format.BINARY
_FAILED: Final = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE})
_NOT_RUN: Final = pq.ExecStatus.PIPELINE_ABORTED
_DEALLOCATE: Final = b"DEALLOCATE "
_MAX_PREPARED: Final = 100
_NOTHING: Final = ""
# What an array's text takes as it is: ids. NULL would be none.
_PLAIN: Final = re.compile(r"(?!null$)[a-z0-9_-]+", re.ASCII | re.IGNORECASE).fullmatch
_SPECIAL: Final = re.compile(r'["\\]')


class StatementRefused(Exception):
    """PostgreSQL refused a statement; only the kind is told, its text may quote what was sent."""


class Statement(NamedTuple):
    """SQL and its parameters, ``$1`` and on, as PostgreSQL reads them.

    ``formats`` has TEXT or BINARY for each; without it all are text.
    """

    sql: str
    values: Sequence[bytes] = ()
    formats: Sequence[int] | None = None


@dataclass(slots=True)
class _Batch:
    """Statements sent together.

    ``prepares`` has for each result to come the SQL that it prepares, and None where it is wanted.
    """

    answered: asyncio.Future[list[PGresult]]
    prepares: deque[str | None] = field(default_factory=deque["str | None"])
    results: list[PGresult] = field(default_factory=list["PGresult"])
    failure: psycopg.Error | None = None


class Pipeline:
    """A connection in libpq's pipeline mode, read by a callback of the event loop.

    psycopg's cursors ask the loop to watch the socket anew for each statement and take a coroutine
    and a generator for each step: four times the processor time of this, and an eighth of what a
    lone answer cost. Statements are prepared when they come first; those used longest ago are
    forgotten.
    """

    def __init__(self, pgconn: PGconn) -> None:
        self.is_lost = False
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._names: OrderedDict[str, bytes] = OrderedDict()
        self._made = 0
        self._batches: deque[_Batch] = deque()
        self._socket = -1
        self._is_writing = False

    @property
    def is_open(self) -> bool:
        """Whether the connection is in pipeline mode: nothing else may use it meanwhile."""
        return self._socket >= 0

    @property
    def is_answered(self) -> bool:
        """Whether the answers to everything that was sent have come."""
        return not self._batches

    def open(self) -> None:
        """Takes the connection."""
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Leaves the connection to others; it is lost unless all has been answered."""
        if not self.is_open:
            return
        if not self.is_lost:
            self._unwatch()
        self._socket = -1
        if self._batches:
            self.is_lost = True
        elif not self.is_lost:
            self._pgconn.exit_pipeline_mode()

    def send(self, statements: Sequence[Statement]) -> asyncio.Future[list[PGresult]]:
        """The results of the statements, to be awaited; outside a transaction they are one.

        The future raises psycopg.Error: of the first statement that failed, those behind it are
        not run; or of the connection, which is lost then.
        """
        batch = _Batch(self._loop.create_future())
        batch.answered.add_done_callback(_look_at)
        self._batches.append(batch)
        try:
            for statement in statements:
                name = self._names.get(statement.sql)
                if name is None:
                    name = self._prepare(statement.sql, batch)
                else:
                    self._names.move_to_end(statement.sql)
                self._pgconn.send_query_prepared(name, statement.values, statement.formats)
                batch.prepares.append(None)
            self._pgconn.pipeline_sync()
        except psycopg.Error as error:
            self._lose(error)
        else:
            self._flush()
        return batch.answered

    def _prepare(self, sql: str, batch: _Batch) -> bytes:
        name = self._names[sql] = b"statement_%d" % self._made
        self._made += 1
        self._pgconn.send_prepare(name, sql.encode())
        batch.prepares.append(sql)
        if len(self._names) > _MAX_PREPARED:
            _, oldest = self._names.popitem(last=False)
            self._pgconn.send_query_params(_DEALLOCATE + oldest, None)
            batch.prepares.append(_NOTHING)
        return name

    def _flush(self) -> None:
        try:
            is_writing = bool(self._pgconn.flush())
        except psycopg.Error as error:
            self._lose(error)
            return
        if is_writing and not self._is_writing:
            self._loop.add_writer(self._socket, self._flush)
        elif self._is_writing and not is_writing:
            self._loop.remove_writer(self._socket)
        self._is_writing = is_writing

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            self._take_results()
        except psycopg.Error as error:
            self._lose(error)

    def _take_results(self) -> None:
        """Gives out what has come, until more has to come."""
        pgconn = self._pgconn
        has_result = True
        while self._batches and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # ends the results of a statement; twice in a row: no more have come
                if not has_result:
                    return
                has_result = False
                continue
            has_result = True
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._finish(self._batches.popleft())
            else:
                self._take(self._batches[0], result)

    def _take(self, batch: _Batch, result: PGresult) -> None:
        # A connection that is lost may give more of them than were asked for.
        prepares = batch.prepares.popleft() if batch.prepares else _NOTHING
        if result.status in _FAILED or result.status == _NOT_RUN:
            if result.status in _FAILED:
                batch.failure = batch.failure or error_from_result(result)
            if prepares is not None:
                self._names.pop(prepares, None)
        elif prepares is None:
            batch.results.append(result)

    def _finish(self, batch: _Batch) -> None:
        if batch.answered.done():  # whoever waited was cancelled
            return
        if batch.failure is None:
            batch.answered.set_result(batch.results)
        else:
            batch.answered.set_exception(batch.failure)

    def _lose(self, error: psycopg.Error) -> None:
        self.is_lost = True
        self._unwatch()  # it would be ready for ever, and libpq may close it at any time
        while self._batches:
            batch = self._batches.popleft()
            batch.failure = batch.failure or error
            self._finish(batch)

    def _unwatch(self) -> None:
        # When libpq has closed the socket, the loop forgets it at the first of these, which raises
        # when both were asked for.
        for remove in (self._loop.remove_reader, self._loop.remove_writer):
            with contextlib.suppress(OSError):
                remove(self._socket)
        self._is_writing = False


def to_kind(error: BaseException) -> str:
    """What may be told of an error: its class and PostgreSQL's code for it, not its text."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__


def to_array(texts: Iterable[str]) -> bytes:
    """The texts as one parameter, an array."""
    return f"{{{','.join(map(_quoted, texts))}}}".encode()


def _quoted(text: str) -> str:
    return text if _PLAIN(text) else '"' + _SPECIAL.sub(r"\\\g<0>", text) + '"'


def _look_at(answered: asyncio.Future[list[PGresult]]) -> None:
    """Nobody may wait for it any more, as when an earlier one has failed."""
    if not answered.cancelled():
        answered.exception()
