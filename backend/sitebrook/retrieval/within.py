"""Where to search, when it is not all that a site knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ARRAY, Text, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.postings import Numbers
from sitebrook.retrieval.tables import chunk

SelectHeld = Callable[[Sequence[str]], Awaitable[Collection[str]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where to search: the documents of a site or a store, by its id, or only some of them.

    ``select_held`` gives those of the found documents that are still in it, where documents may
    be there that nothing stands behind.
    """

    holder_id: str
    document_ids: tuple[str, ...] | None = None
    select_held: SelectHeld | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """Documents and the numbers of their chunks."""

    document_ids: tuple[str, ...]
    numbers: Numbers


async def load_within(
    connection: AsyncConnection, site_id: str, document_ids: Sequence[str]
) -> Within:
    """Those of the documents that the site has."""
    wanted = chunk.c.document_id == any_(literal(list(document_ids), ARRAY(Text)))
    query = select(chunk.c.number).where(chunk.c.site_id == site_id, wanted)
    numbers = (await connection.execute(query)).scalars()
    return Within(tuple(document_ids), np.fromiter(numbers, np.uint32))
