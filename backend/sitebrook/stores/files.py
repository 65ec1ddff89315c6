"""A site's files: kept as they came until they are deleted or expire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select

from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.errors import BodyTooLarge, InvalidRequest, NotFound
from sitebrook.ids import is_id, new_id
from sitebrook.ingestion.decoding import clean
from sitebrook.stores.cleaning import remove_stale, to_source
from sitebrook.stores.paging import Age, Page, Window, load_page
from sitebrook.stores.tables import file, store_file

Clock = Callable[[], datetime]

# Others mean work that this server does not do: batches, fine-tuning, evaluations, pictures.
PURPOSES: Final = ("assistants", "user_data")
_MAX_NAME_CHARACTERS: Final = 255
_MAX_TYPE_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to keep; ``expires_after_s`` is counted from now on, None keeps it."""

    name: str
    content: bytes
    purpose: str
    media_type: str | None = None
    expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A kept file without its content."""

    id: str
    name: str
    purpose: str
    media_type: str | None
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class FileContent:
    """A kept file as it came."""

    name: str
    media_type: str | None
    content: bytes


_COLUMNS: Final = tuple(file.c[name] for name in File.__slots__)
_AGE: Final = Age(file.c.created_at, file.c.id)


class Files:
    """The files of sites; none sees another's."""

    def __init__(self, database: Database, *, max_bytes: int, clock: Clock = now) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._clock = clock

    async def add(self, site_id: str, new: NewFile) -> File:
        """The file, kept. Raises InvalidRequest (BodyTooLarge) for what cannot be."""
        name = _to_name(new.name)
        _check(new, self._max_bytes)
        created_at = self._clock()
        lifetime_s = new.expires_after_s
        values = {
            "id": new_id("file"),
            "site_id": site_id,
            "name": name,
            "purpose": new.purpose,
            "media_type": clean(new.media_type or "")[:_MAX_TYPE_CHARACTERS] or None,
            "size_bytes": len(new.content),
            "content": new.content,
            "created_at": created_at,
            "expires_at": created_at + timedelta(seconds=lifetime_s) if lifetime_s else None,
        }
        async with self._database.begin() as connection:
            row = await connection.execute(insert(file).values(values).returning(*_COLUMNS))
            return _to_file(row.one())

    async def list(self, site_id: str, window: Window, purpose: str | None = None) -> Page[File]:
        """The site's files in the window, of one purpose where one is given."""
        query = select(*_COLUMNS).where(file.c.site_id == site_id, is_kept(self._clock()))
        if purpose is not None:
            query = query.where(file.c.purpose == purpose.replace("\0", "\ufffd"))
        async with self._database.begin() as connection:
            page = await load_page(connection, query, _AGE, window)
        return Page(tuple(map(_to_file, page.entries)), page.has_more)

    async def find(self, site_id: str, file_id: str) -> File:
        """The file. Raises NotFound."""
        return _to_file(await self._load(site_id, file_id, *_COLUMNS))

    async def read(self, site_id: str, file_id: str) -> FileContent:
        """The file with its content. Raises NotFound."""
        columns = (file.c.name, file.c.media_type, file.c.content)
        return FileContent(*await self._load(site_id, file_id, *columns))

    async def delete(self, site_id: str, file_id: str) -> None:
        """Removes the file, also from stores, with all that was made of it. Raises NotFound."""
        found = await self.find(site_id, file_id)
        of_file = select(store_file.c.store_id).where(store_file.c.file_id == file_id)
        async with self._database.begin() as connection:
            store_ids = list((await connection.execute(of_file)).scalars())
            await connection.execute(delete(file).where(self._is(site_id, file_id)))
        for store_id in store_ids:
            source = to_source(file_id, found.name)
            await remove_stale(self._database, self._clock(), store_id, source)

    async def remove_expired(self) -> int:
        """How many files had expired; they are gone."""
        gone = delete(file).where(file.c.expires_at <= self._clock())
        async with self._database.begin() as connection:
            return (await connection.execute(gone)).rowcount

    async def _load(self, site_id: str, file_id: str, *columns: Any) -> Any:
        row: Any = None
        if is_id(file_id):
            query = select(*columns).where(self._is(site_id, file_id))
            async with self._database.begin() as connection:
                row = (await connection.execute(query)).first()
        if row is None:
            raise no_file()
        return row

    def _is(self, site_id: str, file_id: str) -> ColumnElement[bool]:
        return and_(file.c.id == file_id, file.c.site_id == site_id, is_kept(self._clock()))


def is_kept(moment: datetime) -> ColumnElement[bool]:
    """Whether a file has not expired by then, for a statement."""
    return or_(file.c.expires_at.is_(None), file.c.expires_at > moment)


def no_file(param: str = "file_id") -> NotFound:
    """The refusal of a file that the site does not have."""
    return NotFound("There is no such file.", param=param, code="file_not_found")


def _to_name(name: str) -> str:
    """The last part of a path without what no name holds; the end of a long one, with its type."""
    last = PurePosixPath(clean(name).replace("\\", "/")).name
    plain = " ".join(last.split())
    return plain[-_MAX_NAME_CHARACTERS:].strip() or "file"


def _check(new: NewFile, max_bytes: int) -> None:
    if new.purpose not in PURPOSES:
        known = " or ".join(f"'{one}'" for one in PURPOSES)
        raise InvalidRequest(
            f"Files are kept for vector stores: send the purpose {known}.", param="purpose"
        )
    if not new.content:
        raise InvalidRequest("The file is empty.", param="file")
    if len(new.content) > max_bytes:
        raise BodyTooLarge(
            f"The file has {len(new.content):,} bytes; the limit is {max_bytes:,} "
            "(SITEBROOK_MAX_DOCUMENT_BYTES).",
            param="file",
        )


def _to_file(row: Row[Any]) -> File:
    return File(*row)
