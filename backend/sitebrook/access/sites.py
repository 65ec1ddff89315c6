"""Sites: one website each, with its origins, instructions and texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access import tables
from sitebrook.errors import InvalidRequest
from sitebrook.ids import new_id

_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
_MAX_NAME_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Site:
    """One website."""

    id: str
    name: str
    allowed_origins: tuple[str, ...]
    instructions: str
    model: str
    language: str
    greeting: str
    starters: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewSite:
    """What a site is made from; only the name is needed."""

    name: str
    allowed_origins: tuple[str, ...] = ()
    instructions: str = ""
    model: str = "auto"
    language: str = "en"
    greeting: str = ""
    starters: tuple[str, ...] = ()


async def create_site(connection: AsyncConnection, new: NewSite) -> Site:
    """The new site; its name must be free.

    Raises InvalidRequest for an empty or taken name, a malformed origin or language.
    """
    name = new.name.strip()
    if not name or len(name) > _MAX_NAME_CHARACTERS:
        raise InvalidRequest(
            f"A site needs a name of 1 to {_MAX_NAME_CHARACTERS} characters.", param="name"
        )
    if not _LANGUAGE.fullmatch(new.language):
        raise InvalidRequest("The language is a two-letter code such as 'en'.", param="language")
    if await find_site(connection, name) is not None:
        raise InvalidRequest(f"There is a site named '{name}' already.", param="name")
    values = {
        "id": new_id("site"),
        "name": name,
        "allowed_origins": [to_origin(origin) for origin in new.allowed_origins],
        "instructions": new.instructions,
        "model": new.model,
        "language": new.language,
        "greeting": new.greeting,
        "starters": list(new.starters),
    }
    statement = insert(tables.site).values(values).returning(*tables.site.c)
    return to_site((await connection.execute(statement)).one())


async def find_site(connection: AsyncConnection, name_or_id: str) -> Site | None:
    """The site of that name or id, or None."""
    site = tables.site
    statement = select(site).where((site.c.name == name_or_id) | (site.c.id == name_or_id))
    row = (await connection.execute(statement)).first()
    return None if row is None else to_site(row)


async def list_sites(connection: AsyncConnection) -> list[Site]:
    """All sites, oldest first."""
    statement = select(tables.site).order_by(tables.site.c.created_at, tables.site.c.id)
    return [to_site(row) for row in await connection.execute(statement)]


def to_origin(text: str) -> str:
    """The origin in the form that browsers send: scheme, host, and port unless it is the default.

    Raises InvalidRequest when it is no http(s) origin.
    """
    origin = text.strip().lower().rstrip("/")
    origin = re.sub(r"^(http://[^/]+):80$|^(https://[^/]+):443$", r"\1\2", origin)
    if not _ORIGIN.fullmatch(origin):
        raise InvalidRequest(
            f"'{text}' is not an origin; write it like https://example.com (no path).",
            param="allowed_origins",
        )
    return origin


def to_site(row: Sequence[object]) -> Site:
    """The site of a row of its table."""
    values = dict(zip(tables.site.c.keys(), row, strict=True))
    values["allowed_origins"] = tuple(values["allowed_origins"])  # pyright: ignore[reportArgumentType]
    values["starters"] = tuple(values["starters"])  # pyright: ignore[reportArgumentType]
    return Site(**values)  # pyright: ignore[reportArgumentType]
