"""The stream of a job: its attempts, their progress and its end, for those who watch it.

The table has the truth; what a stream loses is found there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sitebrook.events.log import EventLog, to_stream
from sitebrook.jobs.job import ENDED, Status

# In the place of a site in the name of a stream; no site's id is like it.
_NO_SITE: Final = "system"


class JobStream:
    """What one attempt of a job tells. Nothing waits for it."""

    def __init__(self, log: EventLog, site_id: str | None, job_id: str, attempt: int) -> None:
        self._writer = log.writer(stream_of(site_id, job_id), attempt)
        self._progress: Mapping[str, object] = {}
        self._writer.snapshot(lambda: {"status": Status.RUNNING, "progress": self._progress})

    def begin(self) -> None:
        """The attempt has started."""
        self._writer.emit(Status.RUNNING.value)

    def progress(self, fields: Mapping[str, object]) -> None:
        """How far it is now."""
        self._progress = fields
        self._writer.emit("progress", fields)

    def finish(self, status: Status, error: Mapping[str, object] | None = None) -> None:
        """The attempt is over; unless the job has ended, another one follows in this stream."""
        told = {"status": status, "error": error}
        if status in ENDED:
            self._writer.close(told)
        else:
            self._writer.emit(status.value, told)
            self._writer.abandon()

    def abandon(self) -> None:
        """The attempt is another worker's to tell of."""
        self._writer.abandon()


def stream_of(site_id: str | None, job_id: str) -> str:
    """The name of a job's stream."""
    return to_stream(site_id or _NO_SITE, "job", job_id)
