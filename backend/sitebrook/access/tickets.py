"""Tickets: proof of a caller for one stream, short-lived, for clients that can send no header.

``EventSource`` has only an address, so its ticket stands in the query, where logs and histories
may keep it: it opens one path once, within seconds. Only its hash is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access import tables
from sitebrook.access.keys import to_sha256
from sitebrook.ids import new_secret

_PREFIX: Final = "tk"
# Each new ticket removes up to this many expired ones, so that they never pile up.
_REMOVED_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket just made; ``value`` is shown this once."""

    value: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TicketHolder:
    """Whom a ticket proves."""

    key_id: str
    visitor_id: str | None
    origin: str | None


async def create_ticket(
    connection: AsyncConnection, holder: TicketHolder, *, path: str, lifetime_s: float
) -> Ticket:
    """A ticket for one stream at ``path``."""
    await _remove_expired(connection)
    value = new_secret(_PREFIX)
    # The database's clock at both ends: processes on other machines may differ.
    values = {
        "sha256": to_sha256(value),
        "key_id": holder.key_id,
        "visitor_id": holder.visitor_id,
        "origin": holder.origin,
        "path": path,
        "expires_at": func.now() + timedelta(seconds=lifetime_s),
    }
    statement = insert(tables.ticket).values(values).returning(tables.ticket.c.expires_at)
    return Ticket(value, (await connection.execute(statement)).scalar_one())


async def take_ticket(connection: AsyncConnection, value: str, path: str) -> TicketHolder | None:
    """The holder of a ticket, which is used up by this; None for one that is not valid here."""
    ticket = tables.ticket
    statement = (
        delete(ticket)
        .where(
            ticket.c.sha256 == to_sha256(value),
            ticket.c.path == path,
            ticket.c.expires_at > func.now(),
        )
        .returning(ticket.c.key_id, ticket.c.visitor_id, ticket.c.origin)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else TicketHolder(*row)


async def _remove_expired(connection: AsyncConnection) -> None:
    ticket = tables.ticket
    # Skipping what another process removes at this moment, neither waits for the other.
    expired = (
        select(ticket.c.sha256)
        .where(ticket.c.expires_at <= func.now())
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(ticket).where(ticket.c.sha256.in_(expired)))
