"""The files in a store: how each of them stands, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast

from sqlalchemy import ARRAY, Row, Text, any_, case, func, literal, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.jobs.job import OPEN, Status
from sitebrook.jobs.tables import job
from sitebrook.stores.filters import Scalar
from sitebrook.stores.tables import file, store_file

EntryStatus = Literal["in_progress", "completed", "failed", "cancelled"]
IN_PROGRESS: Final = "in_progress"
STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")
_GONE: Final = "The job that reads the file is no longer kept; add the file again."


@dataclass(frozen=True, slots=True)
class SizesInTokens:
    """How a file is cut: tokens in a chunk, and tokens that the next one repeats."""

    chunk_tokens: int
    overlap_tokens: int


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A file to be put into a store; without ``sizes`` it is cut as the settings say."""

    file_id: str
    attributes: Mapping[str, Scalar]
    sizes: SizesInTokens | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a store.

    ``error_code`` and ``error_message`` say why it failed; ``usage_bytes`` is what its chunks take.
    """

    store_id: str
    file_id: str
    name: str
    status: EntryStatus
    attributes: Mapping[str, Scalar]
    sizes: SizesInTokens | None
    document_id: str | None
    usage_bytes: int
    error_code: str | None
    error_message: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files of a store or a batch have each status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All files."""
        return self.in_progress + self.completed + self.failed + self.cancelled


# A job may end without a word about its files, by a fault or with its worker: they have failed
# then, so that nobody waits for them.
_is_waiting = store_file.c.status == IN_PROGRESS
status_column: Final = case(
    (~_is_waiting, store_file.c.status),
    (job.c.status == Status.CANCELLED, "cancelled"),
    (job.c.status.in_(sorted(OPEN)), IN_PROGRESS),
    else_="failed",
)
_COLUMNS: Final = (
    store_file.c.store_id,
    store_file.c.file_id,
    file.c.name,
    status_column.label("status"),
    store_file.c.attributes,
    store_file.c.chunk_tokens,
    store_file.c.overlap_tokens,
    store_file.c.document_id,
    store_file.c.usage_bytes,
    case((_is_waiting, null()), else_=store_file.c.error_code).label("error_code"),
    case(
        (_is_waiting, func.coalesce(job.c.error_message, _GONE)),
        else_=store_file.c.error_message,
    ).label("error_message"),
    store_file.c.created_at,
)


def select_entries() -> Any:
    """All files of all stores, for ``to_entry``."""
    return (
        select(*_COLUMNS)
        .join(file, file.c.id == store_file.c.file_id)
        .outerjoin(job, job.c.id == store_file.c.job_id)
    )


def to_entry(row: Row[Any]) -> Entry:
    """The row of ``select_entries``."""
    has_failed = row.status == "failed"
    sizes = (
        None if row.chunk_tokens is None else SizesInTokens(row.chunk_tokens, row.overlap_tokens)
    )
    return Entry(
        store_id=row.store_id,
        file_id=row.file_id,
        name=row.name,
        status=row.status,
        attributes=row.attributes,
        sizes=sizes,
        document_id=row.document_id,
        usage_bytes=row.usage_bytes,
        error_code=row.error_code if has_failed else None,
        error_message=row.error_message if has_failed else None,
        created_at=row.created_at,
    )


@dataclass(frozen=True, slots=True)
class Sum:
    """What files add up to."""

    counts: Counts
    usage_bytes: int


async def sum_up(
    connection: AsyncConnection, by: Literal["store_id", "batch_id"], ids: Sequence[str]
) -> dict[str, Sum]:
    """The sums of stores or of batches, by id; empty ones are there too."""
    of = store_file.c[by]
    query = (
        select(of, status_column.label("status"), func.count(), func.sum(store_file.c.usage_bytes))
        .outerjoin(job, job.c.id == store_file.c.job_id)
        .where(of == any_(literal(list(ids), ARRAY(Text))))
        .group_by(of, status_column)
    )
    counts: dict[str, Counter[str]] = {one: Counter() for one in ids}
    usage: Counter[str] = Counter()
    for id_, status, count, used in await connection.execute(query):
        counts[id_][status] += count
        usage[id_] += int(used)
    return {one: Sum(Counts(**cast("dict[str, int]", counts[one])), usage[one]) for one in ids}
