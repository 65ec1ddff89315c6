"""Tickets that let ``EventSource``, which can send no header, open a stream."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Request, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import JSONBody

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowance_of_address
from sitebrook.api.bodies import check_json
from sitebrook.api.http import address_of
from sitebrook.api.schemas.tickets import TicketRequest, TicketResponse
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts

_STREAMS: Final = re.compile(r"/api/chat/stream|/api/answers/[a-z]+_[0-9A-Za-z]{22}/stream")


@post(
    "/api/tickets",
    guards=[check_json],
    summary="Get a ticket for one stream",
    tags=["chat"],
    response_headers=[ResponseHeader(name="cache-control", value="no-store")],
)
async def issue_ticket(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    request: Request[Any, Any, Any],
    data: JSONBody[TicketRequest | None] = None,
) -> TicketResponse:
    """A ticket with the rights of the key or visitor token that asks; it opens one stream once."""
    asked = data or TicketRequest()
    if not _STREAMS.fullmatch(asked.path):
        raise InvalidRequest(
            "path can be /api/chat/stream or /api/answers/{id}/stream.",
            param="path",
            code="invalid_value",
        )
    if not caller.has_secret_key:
        allowance = allowance_of_address(address_of(request.scope), parts.settings.limits)
        await parts.limiter.count([allowance])
    lifetime_s = parts.settings.server.ticket_lifetime_s
    ticket = await parts.gate.issue_ticket(caller, path=asked.path, lifetime_s=lifetime_s)
    return TicketResponse(ticket.value, ticket.expires_at)
