"""The wire of tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

StreamPath = Literal["/api/chat/stream"]


class TicketRequest(msgspec.Struct, frozen=True):
    """``path`` is the stream that the ticket will open."""

    path: StreamPath = "/api/chat/stream"


class TicketResponse(msgspec.Struct, frozen=True):
    """A ticket, to be sent once as the query parameter ``ticket``, until ``expires_at``."""

    ticket: str
    expires_at: datetime
