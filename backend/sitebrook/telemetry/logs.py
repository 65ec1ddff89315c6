"""Logs: one JSON object a line on standard error, with the request's id, never visitors' text."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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
        return json.dumps(fields, ensure_ascii=False, default=str)


def configure_logs(level: str) -> None:
    """Sends every logger's records to standard error as JSON, from ``level`` up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Both report every start-up step and every statement at INFO.
    for name in ("alembic", "httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel("WARNING")
