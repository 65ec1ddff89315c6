"""Files put into a store, and the job that reads them enqueued in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, any_, literal, select
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.tables import now
from sitebrook.errors import NotFound
from sitebrook.ids import is_id
from sitebrook.jobs.engine import JobEngine
from sitebrook.jobs.job import NewJob, Priority
from sitebrook.stores.entries import IN_PROGRESS, NewEntry
from sitebrook.stores.files import Clock, is_kept
from sitebrook.stores.filling import FILL, FillArguments
from sitebrook.stores.tables import file, store_file

# Of few files: somebody polls for them.
_FEW: Final = 5


class Attaching:
    """Puts files of a site into its stores."""

    def __init__(self, jobs: JobEngine, clock: Clock = now) -> None:
        self._jobs = jobs
        self._clock = clock

    async def attach(
        self,
        connection: AsyncConnection,
        site_id: str,
        store_id: str,
        entries: Sequence[NewEntry],
        batch_id: str | None = None,
    ) -> None:
        """Puts the files into the store; one that is there already is read again.

        What is found of it stays found until then. Raises NotFound for a file that the site does
        not have.
        """
        by_id = {entry.file_id: entry for entry in entries}
        await self._check(connection, site_id, list(by_id))
        priority = Priority.HIGH if len(by_id) <= _FEW else None
        new = NewJob(
            kind=FILL, arguments=FillArguments(store_id), site_id=site_id, priority=priority
        )
        job_id = await self._jobs.enqueue(connection, new)
        moment = self._clock()
        rows = [
            _to_row(store_id, entry, batch_id=batch_id, job_id=job_id, moment=moment)
            # In one order, so that two requests for the same files do not wait for each other.
            for entry in sorted(by_id.values(), key=lambda one: one.file_id)
        ]
        insertion = insert_or(store_file)
        kept = {"store_id", "file_id", "created_at"}
        renewed = {name: insertion.excluded[name] for name in rows[0] if name not in kept}
        key = (store_file.c.store_id, store_file.c.file_id)
        await connection.execute(
            insertion.on_conflict_do_update(index_elements=key, set_=renewed), rows
        )

    async def _check(
        self, connection: AsyncConnection, site_id: str, file_ids: Sequence[str]
    ) -> None:
        wanted = [one for one in file_ids if is_id(one)]
        query = select(file.c.id).where(
            file.c.site_id == site_id,
            file.c.id == any_(literal(wanted, ARRAY(Text))),
            is_kept(self._clock()),
        )
        known = set((await connection.execute(query)).scalars())
        missing = next((one for one in file_ids if one not in known), None)
        if missing is not None:
            raise NotFound(
                f"There is no file '{missing[:100]}'.",
                param="file_id" if len(file_ids) == 1 else "file_ids",
                code="file_not_found",
            )


def _to_row(
    store_id: str, entry: NewEntry, *, batch_id: str | None, job_id: str, moment: datetime
) -> dict[str, Any]:
    sizes = entry.sizes
    return {
        "store_id": store_id,
        "file_id": entry.file_id,
        "batch_id": batch_id,
        "job_id": job_id,
        "status": IN_PROGRESS,
        "attributes": dict(entry.attributes),
        "chunk_tokens": sizes and sizes.chunk_tokens,
        "overlap_tokens": sizes and sizes.overlap_tokens,
        "error_code": None,
        "error_message": None,
        "created_at": moment,
    }
