"""Keys: secret ones are stored as hash and prefix, publishable ones in clear."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access import tables
from sitebrook.db.tables import now
from sitebrook.errors import NotFound
from sitebrook.ids import new_id, new_secret

Role = Literal["publishable", "site", "admin"]

SECRET_PREFIX: Final = "sk-"  # noqa: S105 - a prefix, not a secret
PUBLISHABLE_PREFIX: Final = "pk-"
_SHOWN_CHARACTERS: Final = 8


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it may be shown: ``prefix`` is how it begins, ``value`` only of publishable ones."""

    id: str
    site_id: str
    role: Role
    name: str
    prefix: str
    value: str | None
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; ``value`` is shown this once when the key is secret."""

    key: Key
    value: str


async def create_key(
    connection: AsyncConnection, site_id: str, role: Role, *, name: str = ""
) -> NewKey:
    """A new key of the site."""
    value = new_secret("pk" if role == "publishable" else "sk")
    values = {
        "id": new_id("key"),
        "site_id": site_id,
        "role": role,
        "name": name,
        "prefix": value[:_SHOWN_CHARACTERS],
        "sha256": to_sha256(value),
        "publishable_value": value if role == "publishable" else None,
    }
    statement = insert(tables.key).values(values).returning(*KEY_COLUMNS)
    return NewKey(Key(*(await connection.execute(statement)).one()), value)


async def list_keys(connection: AsyncConnection, site_id: str) -> list[Key]:
    """The site's keys, oldest first, revoked ones too."""
    statement = (
        select(*KEY_COLUMNS)
        .where(tables.key.c.site_id == site_id)
        .order_by(tables.key.c.created_at, tables.key.c.id)
    )
    return [Key(*row) for row in await connection.execute(statement)]


async def find_key(connection: AsyncConnection, value: str) -> Key | None:
    """The key with this value, revoked or not, or None."""
    statement = select(*KEY_COLUMNS).where(tables.key.c.sha256 == to_sha256(value))
    row = (await connection.execute(statement)).first()
    return None if row is None else Key(*row)


async def revoke_key(connection: AsyncConnection, key_id_or_prefix: str) -> Key:
    """The key, which no request may use from now on; revoking twice changes nothing.

    Raises NotFound when none or more than one key is meant.
    """
    key = tables.key
    found = select(key.c.id).where(
        (key.c.id == key_id_or_prefix) | (key.c.prefix == key_id_or_prefix)
    )
    ids = list((await connection.execute(found)).scalars())
    if len(ids) != 1:
        raise NotFound(
            f"'{key_id_or_prefix}' names {len(ids)} keys; `sitebrook key list` shows ids."
        )
    statement = update(key).where(key.c.id == ids[0], key.c.revoked_at.is_(None))
    await connection.execute(statement.values(revoked_at=now()))
    row = await connection.execute(select(*KEY_COLUMNS).where(key.c.id == ids[0]))
    return Key(*row.one())


def to_sha256(value: str) -> bytes:
    """The form in which a key is stored; its 256 random bits need no slow hash."""
    return hashlib.sha256(value.encode()).digest()


KEY_COLUMNS: Final = (
    tables.key.c.id,
    tables.key.c.site_id,
    tables.key.c.role,
    tables.key.c.name,
    tables.key.c.prefix,
    tables.key.c.publishable_value,
    tables.key.c.created_at,
    tables.key.c.revoked_at,
)
