"""The wire of visitors and of their conversations."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sitebrook.chat.citations import Citation


class VisitorRequest(msgspec.Struct, frozen=True):
    """``token`` is an older token of the same visitor, to renew it."""

    token: str | None = None


class SiteTexts(msgspec.Struct, frozen=True):
    """What the widget shows of the site."""

    name: str
    language: str
    greeting: str
    starters: tuple[str, ...]


class VisitorResponse(msgspec.Struct, frozen=True):
    """A visitor's token, to be sent in the place of the key until ``expires_at``."""

    visitor_id: str
    token: str
    expires_at: datetime
    site: SiteTexts


class MessageResponse(msgspec.Struct, frozen=True):
    """One turn; ``status`` is interrupted for an answer that broke off."""

    id: str
    role: str
    content: str
    status: str
    citations: tuple[Citation, ...]
    created_at: datetime


class ConversationResponse(msgspec.Struct, frozen=True):
    """A conversation, oldest turn first."""

    id: str
    messages: tuple[MessageResponse, ...]
