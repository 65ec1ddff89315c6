"""The wire of tickets."""

from __future__ import annotations

from datetime import datetime

import msgspec


class TicketRequest(msgspec.Struct, frozen=True):
    """``path`` is the stream that the ticket will open.

    It is ``/api/chat/stream`` or ``/api/answers/{id}/stream``.
    """

    path: str = "/api/chat/stream"


class TicketResponse(msgspec.Struct, frozen=True):
    """A ticket, to be sent once as the query parameter ``ticket``, until ``expires_at``."""

    ticket: str
    expires_at: datetime
