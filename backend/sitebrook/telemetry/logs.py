"""Logs: one JSON object a line on standard error, with the request's id, never visitors' text."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import msgspec

from sitebrook.telemetry.latency import Timings

request_id: ContextVar[str] = ContextVar("request_id", default="")

_ANSWERS: Final = logging.getLogger("sitebrook.answers")
_ENCODE: Final = msgspec.json.Encoder(enc_hook=str).encode
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MAX_WAITING_LINES: Final = 10_000
_MAX_LINES_AT_ONCE: Final = 500
_GATHER_S: Final = 0.05
_CLOSE_S: Final = 1.0


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; ``extra`` fields stand beside the fixed ones."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            fields["request_id"] = request_id.get()
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        fields.update(extra)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        try:
            return _ENCODE(fields).decode()
        except UnicodeEncodeError:  # half a surrogate pair, in the words of a failure
            return json.dumps(fields, default=str)


class LineWriter(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own, so that a log call never waits.

    A reader of standard error that stops reading fills the pipe; lines over ``max_waiting`` are
    then dropped and counted. Lines are made by the caller, whose context has the request's id,
    but those of answers by the thread: their records have all they need.
    The descriptor is written to directly: the lock of ``sys.stderr`` would stop the process's end.
    Lines are gathered for a moment: a thread that wakes for each takes the interpreter from the
    event loop as often.
    """

    def __init__(self, descriptor: int, *, max_waiting: int = _MAX_WAITING_LINES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._waiting: queue.SimpleQueue[logging.LogRecord | bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes the record's line."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
            self._thread.start()
        if self._waiting.qsize() >= self._max_waiting:
            self.dropped += 1
        else:
            self._waiting.put(record if isinstance(record, _AnswerRecord) else self._line(record))

    def close(self) -> None:
        """Writes what waits, for a second at most."""
        thread, self._thread = self._thread, None
        self._closing.set()
        if thread is not None and thread.is_alive():
            self._waiting.put(None)
            thread.join(_CLOSE_S)
        super().close()

    def _write_all(self) -> None:
        is_last = False
        while not is_last:
            taken = [self._waiting.get()]
            self._closing.wait(_GATHER_S)
            with contextlib.suppress(queue.Empty):
                while len(taken) < _MAX_LINES_AT_ONCE:
                    taken.append(self._waiting.get_nowait())
            is_last = None in taken or (self._closing.is_set() and self._waiting.empty())
            self._write([self._line(one) for one in taken if one is not None])

    def _line(self, record: logging.LogRecord | bytes) -> bytes:
        if isinstance(record, bytes):
            return record
        try:
            return self.format(record).encode("utf-8", "replace") + b"\n"
        except (TypeError, ValueError):  # arguments that do not fit their message
            return b'{"level": "error", "message": "a log record could not be written"}\n'

    def _write(self, lines: list[bytes]) -> None:
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self.dropped += len(lines)  # nobody reads any more


def configure_logs(level: str) -> None:
    """Sends every logger's records to standard error as JSON, from ``level`` up."""
    handler = LineWriter(sys.stderr.fileno())
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers:
        old.close()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # These report every start-up step, statement and connection at INFO or DEBUG.
    for name in ("alembic", "httpx", "uvicorn.error", "urllib3"):
        logging.getLogger(name).setLevel("WARNING")


def count_dropped_lines() -> int:
    """The log lines of this process that were thrown away."""
    handlers = logging.getLogger().handlers
    return sum(one.dropped for one in handlers if isinstance(one, LineWriter))


def log_answer(timings: Timings) -> None:
    """Writes the one line of a finished chat request; others have none."""
    if not timings.model and not timings.answer_id:
        return
    if _ANSWERS.isEnabledFor(logging.INFO):
        _ANSWERS.handle(_AnswerRecord(timings))


class _AnswerRecord(logging.LogRecord):
    """A finished answer, without what logging finds out for each record: caller, thread, process.

    That and formatting in the request's own time took a tenth of a plain answer's.
    """

    def __init__(self, timings: Timings) -> None:
        vars(self).update(_ANSWER_FIELDS)
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.request_id = timings.request_id
        self.route = timings.route
        self.status = timings.status
        self.outcome = timings.outcome
        self.error = timings.error_code or None
        self.answer_id = timings.answer_id or None
        self.site_id = timings.site_id
        self.model = timings.model
        self.provider = timings.provider or None
        self.searched_by = timings.searched_by or None
        self.attempts = len(timings.attempts)
        self.ms = _rounded(timings.total_ms)
        self.first_delta_ms = _rounded(timings.first_delta_ms)
        self.deltas = timings.deltas
        self.prompt_tokens = timings.prompt_tokens
        self.completion_tokens = timings.completion_tokens
        self.cost = timings.cost


_ANSWER_FIELDS: Final = vars(
    logging.LogRecord(_ANSWERS.name, logging.INFO, __file__, 0, "answer finished", (), None)
)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
