"""The order in which writers lock the rows of a site or store: its own row before all else.

Every row of its knowledge refers to it. Who inserts one locks it too, behind rows that whoever
removes it has yet to remove: each would wait for the other, and PostgreSQL would end one of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.tables import holder, knowledge


async def keep_holder(connection: AsyncConnection, site_id: str) -> None:
    """Lets nobody remove the site or store until the transaction ends; first of all its locks."""
    kept = select(holder.c.id).where(holder.c.id == site_id)
    await connection.execute(kept.with_for_update(read=True, key_share=True))


async def lock_knowledge(connection: AsyncConnection, site_id: str) -> Row[Any] | None:
    """Its row of ``knowledge``, None before its first document.

    Its other writers wait until the transaction ends.
    """
    await keep_holder(connection, site_id)
    locked = select(knowledge).where(knowledge.c.site_id == site_id).with_for_update()
    return (await connection.execute(locked)).first()
