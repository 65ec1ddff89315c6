"""From a request's credentials to the caller, and which origins may ask at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.dialects.postgresql.base import PGDialect

from sitebrook.access import tables
from sitebrook.access.keys import (
    KEY_COLUMNS,
    PUBLISHABLE_PREFIX,
    SECRET_PREFIX,
    Key,
    to_sha256,
)
from sitebrook.access.sites import Site, to_site
from sitebrook.access.tickets import Ticket, TicketHolder, create_ticket, take_ticket
from sitebrook.access.tokens import (
    RENEWAL_LIFETIME,
    TOKEN_LIFETIME,
    TOKEN_PREFIX,
    SigningSecret,
    VisitorToken,
    from_token,
    is_source_signature,
    load_signing_secrets,
    to_source_signature,
    to_token,
)
from sitebrook.db.engine import Database
from sitebrook.db.pipeline import BINARY, Statement
from sitebrook.db.tables import now
from sitebrook.errors import NotAuthenticated, NotPermitted
from sitebrook.ids import new_id

T = TypeVar("T")

# A change of keys, sites or origins is seen by every process within this time.
_CACHE_S: Final = 1.0
_CACHE_ENTRIES: Final = 1024


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request: a site's server (secret key) or a visitor of its pages."""

    site: Site
    key_id: str
    role: Literal["visitor", "publishable", "site", "admin"]
    origin: str | None
    visitor_id: str | None = None

    @property
    def has_secret_key(self) -> bool:
        """Whether the caller is a server of the site, not a page."""
        return self.role in {"site", "admin"}


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """What a request says of itself; ``own_origin`` is the server's, as the request named it."""

    bearer: str | None
    origin: str | None
    own_origin: str


@dataclass(frozen=True, slots=True)
class MintedVisitor:
    """A visitor and the token that proves it."""

    visitor_id: str
    token: str
    expires_at: datetime
    site: Site


class _KnownKey(NamedTuple):
    key: Key
    site: Site


def _to_sql(column: ColumnElement[Any]) -> str:
    """A key with its site as one statement in one flight: a lone visitor waits for them."""
    query = select(*KEY_COLUMNS, *tables.site.c).join(tables.site).where(column == bindparam("it"))
    return str(query.compile(dialect=PGDialect(paramstyle="numeric_dollar")))


_BY_VALUE: Final = _to_sql(tables.key.c.sha256)
_BY_ID: Final = _to_sql(tables.key.c.id)


class Gate:
    """Turns credentials into callers; answers repeat look-ups from memory for one second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: _Cache[_KnownKey | None] = _Cache()
        self._secrets: _Cache[tuple[SigningSecret, ...]] = _Cache()
        self._origins: _Cache[frozenset[str]] = _Cache()

    async def find_caller(self, credentials: Credentials) -> Caller:
        """The caller that the credentials prove.

        Raises NotAuthenticated without a valid key or token, NotPermitted from a foreign origin.
        """
        bearer = credentials.bearer or ""
        if bearer.startswith(TOKEN_PREFIX):
            return await self._find_visitor(bearer, credentials)
        if not bearer:
            raise NotAuthenticated(
                "Send a key: `Authorization: Bearer sk-…`.", code="missing_api_key"
            )
        if not bearer.startswith((SECRET_PREFIX, PUBLISHABLE_PREFIX)):
            raise NotAuthenticated("Keys of this server begin with sk- or pk-.")
        known = self._keys.get(bearer)
        if known is None:
            sent = Statement(_BY_VALUE, (to_sha256(bearer),), (BINARY,))
            known = await self._keys.load(bearer, lambda: self._read_key(sent))
        if known is None or known.key.revoked_at is not None:
            raise NotAuthenticated("This key does not exist or was revoked.")
        key, site = known.key, known.site
        _check_origin(site, credentials, is_required=key.role == "publishable")
        return Caller(site, key.id, key.role, credentials.origin)

    async def mint_visitor(self, credentials: Credentials, old_token: str | None) -> MintedVisitor:
        """A token for a new visitor, or for the same one when an old token of it is shown.

        Raises like ``find_caller``; the caller must hold a publishable key.
        """
        caller = await self.find_caller(credentials)
        if caller.role != "publishable" or caller.origin is None:
            raise NotPermitted("Visitor tokens are made with a publishable key (pk-…).")
        secrets = await self._load_secrets()
        visitor_id = self._known_visitor(caller, old_token, secrets) or new_id("vis")
        expires_at = now() + TOKEN_LIFETIME
        token = VisitorToken(
            visitor_id=visitor_id,
            site_id=caller.site.id,
            key_id=caller.key_id,
            origin=caller.origin,
            expires=int(expires_at.timestamp()),
            secret_id=secrets[0].id,
        )
        return MintedVisitor(visitor_id, to_token(token, secrets[0]), expires_at, caller.site)

    async def issue_ticket(self, caller: Caller, *, path: str, lifetime_s: float) -> Ticket:
        """A ticket that lets the caller open one stream at ``path``."""
        holder = TicketHolder(caller.key_id, caller.visitor_id, caller.origin)
        async with self._database.begin() as connection:
            return await create_ticket(connection, holder, path=path, lifetime_s=lifetime_s)

    async def find_ticket_holder(self, ticket: str, path: str, credentials: Credentials) -> Caller:
        """The caller whose ticket for ``path`` this is; the ticket is used up.

        Raises NotAuthenticated for a ticket that is not valid here, NotPermitted from an origin
        other than the one it was issued to.
        """
        async with self._database.begin() as connection:
            holder = await take_ticket(connection, ticket, path)
        if holder is None:
            raise NotAuthenticated(
                "The ticket is unknown, used or expired; ask POST /api/tickets for a new one.",
                code="invalid_ticket",
            )
        key, site = await self._find_key_by_id(holder.key_id)
        origin = credentials.origin
        if holder.origin is not None and origin not in {None, holder.origin}:
            raise _foreign_origin(str(origin))
        _check_origin(site, credentials, is_required=False)
        role = key.role if holder.visitor_id is None else "visitor"
        return Caller(site, key.id, role, origin or holder.origin, holder.visitor_id)

    async def find_reader(self, credentials: Credentials, path: str, ticket: str | None) -> Caller:
        """The caller of a GET that opens the stream at ``path``: by ticket, else by header.

        Raises as ``find_caller`` and ``find_ticket_holder``.
        """
        if ticket is not None:
            return await self.find_ticket_holder(ticket, path, credentials)
        caller = await self.find_caller(credentials)
        if caller.role == "publishable":
            # Any page can make a browser GET this address, and same-origin GETs carry no Origin.
            raise NotPermitted(
                "A GET with a publishable key needs a visitor token, or a ticket of POST "
                "/api/tickets.",
                code="ticket_required",
            )
        return caller

    async def is_known_origin(self, origin: str) -> bool:
        """Whether any site allows the origin, which is all that a preflight can be asked."""
        return origin in await self._origins.load("", self._read_origins)

    async def sign_source(self, document_id: str) -> str:
        """The signature that a link to this document needs."""
        return to_source_signature(document_id, (await self._load_secrets())[0])

    async def is_signed_source(self, document_id: str, signature: str) -> bool:
        """Whether the signature opens this document."""
        return is_source_signature(signature, document_id, await self._load_secrets())

    async def _find_visitor(self, bearer: str, credentials: Credentials) -> Caller:
        token = from_token(bearer, await self._load_secrets())
        key, site = await self._find_key_by_id(token.key_id)
        if credentials.origin is not None and credentials.origin != token.origin:
            raise _foreign_origin(credentials.origin)
        _check_origin(site, credentials, is_required=False)
        return Caller(site, key.id, "visitor", token.origin, token.visitor_id)

    async def _find_key_by_id(self, key_id: str) -> tuple[Key, Site]:
        """The key that a token or ticket was made with, and its site."""
        sent = Statement(_BY_ID, (key_id.encode(),))
        known = await self._keys.load(key_id, lambda: self._read_key(sent))
        if known is None or known.key.revoked_at is not None:
            raise NotAuthenticated("The key that this was made with was revoked.")
        return known.key, known.site

    @staticmethod
    def _known_visitor(
        caller: Caller, old_token: str | None, secrets: tuple[SigningSecret, ...]
    ) -> str | None:
        if not old_token:
            return None
        try:
            token = from_token(old_token, secrets, grace=RENEWAL_LIFETIME)
        except NotAuthenticated:
            return None  # too old or foreign: the page simply gets a new visitor
        is_same = token.site_id == caller.site.id and token.origin == caller.origin
        return token.visitor_id if is_same else None

    async def _load_secrets(self) -> tuple[SigningSecret, ...]:
        return await self._secrets.load("", lambda: load_signing_secrets(self._database))

    async def _read_key(self, statement: Statement) -> _KnownKey | None:
        async with self._database.look_up() as snapshot:
            (rows,) = await snapshot.send(statement, ends=True).rows()
        if not rows:
            return None
        count = len(KEY_COLUMNS)
        return _KnownKey(Key(*rows[0][:count]), to_site(rows[0][count:]))

    async def _read_origins(self) -> frozenset[str]:
        async with self._database.begin() as connection:
            rows = await connection.execute(select(tables.site.c.allowed_origins))
            return frozenset(origin for row in rows for origin in row[0])


def _check_origin(site: Site, credentials: Credentials, *, is_required: bool) -> None:
    origin = credentials.origin
    if origin is None:
        if is_required:
            raise NotPermitted(
                "A publishable key works only in a page: the request has no Origin header. "
                "Use a secret key from a server.",
                code="origin_required",
            )
        return
    if origin != credentials.own_origin and origin not in site.allowed_origins:
        raise _foreign_origin(origin)


def _foreign_origin(origin: str) -> NotPermitted:
    return NotPermitted(
        f"This key may not be used from {origin[:200]}; add it to the site's allowed origins.",
        code="origin_not_allowed",
    )


class _Cache(Generic[T]):
    """Values by name, each kept for a second; bounded, oldest dropped first.

    Who asks while a value is being read waits for the same reading.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}
        self._readings: dict[str, asyncio.Task[T]] = {}

    def get(self, name: str) -> T | None:
        """The value from memory, None where there is none."""
        known = self._values.get(name)
        if known is None or time.monotonic() - known[0] >= _CACHE_S:
            return None
        return known[1]

    async def load(self, name: str, read: Callable[[], Coroutine[None, None, T]]) -> T:
        """The value, from memory or by ``read``."""
        known = self._values.get(name)
        if known is not None and time.monotonic() - known[0] < _CACHE_S:
            return known[1]
        reading = self._readings.get(name)
        if reading is None:
            reading = self._readings[name] = asyncio.create_task(self._read(name, read))
            reading.add_done_callback(lambda _: self._readings.pop(name, None))
        # One that leaves must not take the reading of the others with it.
        return await asyncio.shield(reading)

    async def _read(self, name: str, read: Callable[[], Coroutine[None, None, T]]) -> T:
        started = time.monotonic()
        value = await read()
        self._values.pop(name, None)
        if len(self._values) >= _CACHE_ENTRIES:
            del self._values[next(iter(self._values))]
        self._values[name] = (started, value)
        return value
