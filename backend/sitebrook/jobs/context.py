"""What a handler is given beside its arguments, and where its progress goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from sitebrook.jobs.job import to_json


class JobEvents(Protocol):
    """Where events of jobs are told, for those who watch one; ``wiring`` brings it.

    Nothing waits for it, and what it cannot keep is lost: the table has the truth.
    """

    def tell(self, job_id: str, attempt: int, name: str, fields: Mapping[str, object], /) -> None:
        """Tells one event: ``progress``, or the name of the job's new status."""
        ...


class NoEvents:
    """Tells nobody."""

    def tell(self, job_id: str, attempt: int, name: str, fields: Mapping[str, object], /) -> None:
        """Does nothing."""


class JobContext:
    """One attempt of a job, as its handler sees it."""

    def __init__(
        self,
        job_id: str,
        attempt: int,
        site_id: str | None,
        tell: Callable[[str, Mapping[str, object]], object],
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.site_id = site_id
        self.is_stopping = False
        self._tell = tell
        self._unsaved: dict[str, object] | None = None

    def progress(self, **fields: object) -> None:
        """Shows how far the job is, in the place of what was shown before.

        Watchers hear of each; the table has the last one within a second. Values must be able to
        become JSON.
        """
        self._unsaved = fields
        self._tell("progress", fields)

    def check_cancelled(self) -> None:
        """Raises CancelledError when the attempt is to end; for handlers that rarely await."""
        if self.is_stopping:
            raise asyncio.CancelledError

    def take_progress(self) -> bytes | None:
        """The progress that the table does not have yet, as JSON; the worker stores it."""
        fields, self._unsaved = self._unsaved, None
        return None if fields is None else to_json(fields)
