"""What a handler is given beside its arguments, and where its progress goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sitebrook.errors import Overtaken
from sitebrook.jobs.job import to_json
from sitebrook.jobs.streams import JobStream

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

_MOST_PROGRESS_BYTES: Final = 16_000
_CURRENT: Final = """
    SELECT 1 FROM job WHERE id = %(job_id)s AND attempt = %(attempt)s AND status = 'running'
"""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What the table does not have yet of an attempt: progress as JSON, and whether it settled."""

    progress: bytes | None = None
    has_settled: bool = False


class JobContext:
    """One attempt of a job, as its handler sees it."""

    def __init__(self, job_id: str, attempt: int, site_id: str | None, stream: JobStream) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.site_id = site_id
        self.is_stopping = False
        self.stream = stream
        self._unsaved = Unsaved()

    def progress(self, **fields: object) -> None:
        """Shows how far the job is, in the place of what was shown before.

        Watchers hear of each; the table has the last one within a second. Raises TypeError or
        ValueError for what cannot be JSON or is over 16 KB of it.
        """
        encoded = to_json(fields)
        if len(encoded) > _MOST_PROGRESS_BYTES:
            raise ValueError(f"progress is over {_MOST_PROGRESS_BYTES:,} bytes")
        self._unsaved = Unsaved(encoded, self._unsaved.has_settled)
        self.stream.progress(fields)

    def settled(self) -> None:
        """Notes that something is done which no later attempt does again.

        Workers that were lost before count no more; a job that loses them without that fails.
        """
        self._unsaved = Unsaved(self._unsaved.progress, has_settled=True)

    def check_cancelled(self) -> None:
        """Raises CancelledError when the attempt is to end; for handlers that rarely await."""
        if self.is_stopping:
            raise asyncio.CancelledError

    async def check_current(self, connection: AsyncConnection) -> None:
        """Raises Overtaken when the job has ended, or another attempt goes on with it.

        For what an attempt writes elsewhere, in the transaction that writes it: a worker that was
        stopped for long does not know that it was given up.
        """
        named = {"job_id": self.job_id, "attempt": self.attempt}
        if (await connection.exec_driver_sql(_CURRENT, named)).first() is None:
            raise Overtaken("Another attempt goes on with this job, or it has ended.")

    def take_unsaved(self) -> Unsaved:
        """What the table does not have yet; the worker stores it."""
        taken, self._unsaved = self._unsaved, Unsaved()
        return taken
