"""Visitor tokens and the conversations they own."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowance_of_address
from sitebrook.api.bodies import check_json
from sitebrook.api.http import RequestHead, address_of
from sitebrook.api.schemas.visitors import (
    ConversationResponse,
    MessageResponse,
    SiteTexts,
    VisitorRequest,
    VisitorResponse,
)
from sitebrook.parts import Parts


@post(
    "/api/visitors",
    guards=[check_json],
    summary="Mint or renew a visitor token",
    tags=["visitors"],
)
async def mint_visitor(
    parts: NamedDependency[Parts],
    head: NamedDependency[RequestHead],
    request: Request[Any, Any, Any],
    data: JSONBody[VisitorRequest | None] = None,
) -> VisitorResponse:
    """A token for a page's visitor, made with the publishable key from an allowed origin."""
    # Else an address that has asked enough would go on as a new visitor.
    allowance = allowance_of_address(address_of(request.scope), parts.settings.limits)
    await parts.limiter.count([allowance])
    minted = await parts.gate.mint_visitor(head.to_credentials(), data.token if data else None)
    site = minted.site
    texts = SiteTexts(site.name, site.language, site.greeting, site.starters)
    return VisitorResponse(minted.visitor_id, minted.token, minted.expires_at, texts)


@get("/api/conversations/{conversation_id:str}", summary="Read a conversation", tags=["visitors"])
async def read_conversation(
    conversation_id: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
) -> ConversationResponse:
    """A conversation of this visitor, or any of the site for a secret key."""
    await parts.writer.settle(conversation_id)
    turns = await parts.conversations.load_messages(caller, conversation_id)
    return ConversationResponse(
        conversation_id,
        tuple(
            MessageResponse(
                turn.id, turn.role, turn.content, turn.status, turn.citations, turn.created_at
            )
            for turn in turns
        ),
    )
