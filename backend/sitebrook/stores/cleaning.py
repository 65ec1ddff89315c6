"""Documents of stores that no file stands behind any more, removed with all that is made of them.

Rows say what is in a store, and searches go by them; documents follow. So whatever breaks off in
between, nothing is found that should not be, and the next cleaning removes what was left over.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from sqlalchemy import and_, exists, func, or_, select

from sitebrook.db.engine import Database
from sitebrook.retrieval.documents import delete_documents
from sitebrook.retrieval.tables import document
from sitebrook.stores.tables import store, store_file

_AT_ONCE: Final = 200
SOURCE_SEPARATOR: Final = "/"


def to_source(file_id: str, name: str) -> str:
    """The source of the document that is made of a file; its name tells what it is."""
    return f"{file_id}{SOURCE_SEPARATOR}{name}"


async def remove_stale(
    database: Database, moment: datetime, store_id: str | None = None, source: str | None = None
) -> int:
    """How many documents had no file, or one that failed or was cancelled, or an expired store.

    Of one store, or of all; with ``source`` only the document of that file is looked at.
    """
    age = func.make_interval(0, 0, 0, store.c.expires_after_days)
    has_expired = store.c.last_active_at + age <= moment
    has_file = exists().where(
        store_file.c.store_id == store.c.id,
        store_file.c.file_id == func.split_part(document.c.source, SOURCE_SEPARATOR, 1),
        store_file.c.status.in_(("in_progress", "completed")),
    )
    stale = (
        select(document.c.site_id, document.c.id)
        .join(store, store.c.id == document.c.site_id)
        .where(or_(and_(store.c.expires_after_days.is_not(None), has_expired), ~has_file))
        .limit(_AT_ONCE)
    )
    if store_id is not None:
        stale = stale.where(store.c.id == store_id)
    if source is not None:
        stale = stale.where(document.c.source == source)
    removed = 0
    while True:
        async with database.begin() as connection:
            rows = (await connection.execute(stale)).all()
        if not rows:
            return removed
        by_store: defaultdict[str, list[str]] = defaultdict(list)
        for holder_id, document_id in rows:
            by_store[holder_id].append(document_id)
        for holder_id, document_ids in by_store.items():
            removed += await delete_documents(database, holder_id, document_ids)
