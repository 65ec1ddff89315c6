"""Signed tokens: a visitor's token, and the signature in the link to a source.

A token is ``vt-<payload>.<signature>``, both base64url without padding: the payload is JSON, the
signature HMAC-SHA256 with a secret from the database that the payload names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access import tables
from sitebrook.db.engine import Database
from sitebrook.db.pipeline import Statement
from sitebrook.db.tables import now
from sitebrook.errors import NotAuthenticated
from sitebrook.ids import new_id

TOKEN_PREFIX: Final = "vt-"  # noqa: S105 - a prefix, not a secret
TOKEN_LIFETIME: Final = timedelta(hours=24)
RENEWAL_LIFETIME: Final = timedelta(days=90)
_SECRET_ROTATION: Final = timedelta(days=30)
_MAX_TOKEN_CHARACTERS: Final = 2048
_ROTATION_LOCK: Final = 0x51_7E_B0_02
_SECRETS: Final = "SELECT id, value, created_at FROM signing_secret ORDER BY created_at DESC, id"


class VisitorToken(msgspec.Struct, frozen=True):
    """What a visitor's token says; ``expires`` is seconds since 1970."""

    visitor_id: str
    site_id: str
    key_id: str
    origin: str
    expires: int
    secret_id: str


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret that signs tokens; it rotates, and old ones still verify."""

    id: str
    value: bytes
    created_at: datetime

    def sign(self, message: bytes) -> bytes:
        """The HMAC-SHA256 of ``message``."""
        return hmac.digest(self.value, message, hashlib.sha256)


async def load_signing_secrets(database: Database) -> tuple[SigningSecret, ...]:
    """All secrets that still verify, newest first; makes a new one when the newest is too old."""
    async with database.look_up() as snapshot:
        (rows,) = await snapshot.send(Statement(_SECRETS), ends=True).rows()
    found = tuple(SigningSecret(*row) for row in rows)
    if _has_fresh(found):
        return found
    async with database.begin() as connection:
        lock = text("SELECT pg_advisory_xact_lock(:lock)")
        await connection.execute(lock, {"lock": _ROTATION_LOCK})
        found = await _read_secrets(connection)
        if not _has_fresh(found):
            values = {"id": new_id("sig"), "value": secrets.token_bytes(32)}
            await connection.execute(insert(tables.signing_secret).values(values))
            found = await _read_secrets(connection)
    return found


async def _read_secrets(connection: AsyncConnection) -> tuple[SigningSecret, ...]:
    return tuple(SigningSecret(*row) for row in await connection.execute(text(_SECRETS)))


def _has_fresh(found: Sequence[SigningSecret]) -> bool:
    return bool(found) and found[0].created_at > now() - _SECRET_ROTATION


def to_token(token: VisitorToken, secret: SigningSecret) -> str:
    """The signed text of a token."""
    payload = _to_base64(msgspec.json.encode(token))
    return f"{TOKEN_PREFIX}{payload}.{_sign(payload, secret).decode()}"


def from_token(
    value: str, signing_secrets: tuple[SigningSecret, ...], *, grace: timedelta = timedelta()
) -> VisitorToken:
    """What a signed token says.

    Raises NotAuthenticated when it is malformed, forged, or expired for longer than ``grace``.
    """
    refused = NotAuthenticated(
        "The visitor token is not valid; ask POST /api/visitors for a new one.",
        code="invalid_visitor_token",
    )
    payload, dot, signature = value.removeprefix(TOKEN_PREFIX).partition(".")
    if not dot or len(value) > _MAX_TOKEN_CHARACTERS:
        raise refused
    try:
        token = msgspec.json.decode(_from_base64(payload), type=VisitorToken)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise refused from None
    secret = next((one for one in signing_secrets if one.id == token.secret_id), None)
    # Compared as text: base64 has several spellings of the same bytes, a token has one.
    if secret is None or not hmac.compare_digest(_sign(payload, secret), signature.encode()):
        raise refused
    if now().timestamp() > token.expires + grace.total_seconds():
        raise NotAuthenticated(
            "The visitor token has expired; renew it with POST /api/visitors.",
            code="visitor_token_expired",
        )
    return token


def to_source_signature(document_id: str, secret: SigningSecret) -> str:
    """What a link to an uploaded document carries, so that ids alone open nothing."""
    return f"{secret.id}.{_to_base64(secret.sign(b'source:' + document_id.encode()))}"


def is_source_signature(
    signature: str, document_id: str, signing_secrets: tuple[SigningSecret, ...]
) -> bool:
    """Whether the link's signature was made here for this document."""
    return any(
        hmac.compare_digest(to_source_signature(document_id, secret).encode(), signature.encode())
        for secret in signing_secrets
    )


def _sign(payload: str, secret: SigningSecret) -> bytes:
    return _to_base64(secret.sign(payload.encode())).encode()


def _to_base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
