"""Documents taken into a site's knowledge: read, cut, embedded, stored."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import stat
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np

from sitebrook.db.engine import Database
from sitebrook.errors import (
    BodyTooLarge,
    EmbedderSwitched,
    InvalidRequest,
    ProviderError,
    RequestError,
    UnsupportedBody,
)
from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.ingestion.decoding import clean
from sitebrook.ingestion.folders import find_files
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.documents import find_sources, prune
from sitebrook.retrieval.embedder import Embedder, Vectors
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.knowledge import (
    Guard,
    NewChunk,
    NewDocument,
    dimension_changed,
    replace_document,
    to_indexed_text,
)
from sitebrook.retrieval.vector_rows import load_vectors
from sitebrook.settings import Settings

_LOG: Final = logging.getLogger(__name__)

Status = Literal["added", "replaced", "unchanged"]
Stage = Literal["parse", "split", "embed", "index"]
_REFUSALS: Final[dict[str, type[InvalidRequest]]] = {
    str(one.code): one for one in (BodyTooLarge, UnsupportedBody)
}


class OnStage(Protocol):
    """Hears what is being done with a document."""

    def __call__(self, stage: Stage, chunks: int | None = None, /) -> object:
        """With the stage ``split`` comes how many chunks it was cut into."""
        ...


def _ignore(_stage: Stage, _chunks: int | None = None) -> None:
    pass


# Part of every document's hash: a change of how documents are cut reads them all again.
_FORMAT: Final = "2"
_TRIES: Final = 2  # again, when the holder's embedder was switched meanwhile
_MAX_SOURCE_CHARACTERS: Final = 1000  # an index entry of PostgreSQL holds 2,700 bytes


@dataclass(frozen=True, slots=True)
class IngestedDocument:
    """What became of one document; ``chunks`` is how many it has now."""

    document_id: str
    source: str
    status: Status
    chunks: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that is not taken in, and why."""

    source: str
    reason: str
    code: str | None = None
    param: str | None = None

    @classmethod
    def of(cls, source: str, error: InvalidRequest) -> Refusal:
        """What an error says of a document."""
        return cls(source, error.message, error.code, error.param)

    def to_error(self) -> InvalidRequest:
        """The error again."""
        kind = _REFUSALS.get(self.code or "", InvalidRequest)
        return kind(self.reason, param=self.param, code=self.code)


Outcome = IngestedDocument | Refusal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: ``path`` is the file just done, the ``done``-th of ``total``."""

    done: int
    total: int
    path: str
    outcome: Status | Literal["refused"]


@dataclass(slots=True)
class IngestReport:
    """What a run did.

    ``chunks`` counts those written, ``skipped`` the files of other types in folders, ``refused``
    has each path that was not taken in with the reason.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    chunks: int = 0
    seconds: float = 0.0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def documents(self) -> int:
        """How many documents were taken in or found unchanged."""
        return self.added + self.replaced + self.unchanged

    def count(self, outcome: Outcome) -> None:
        """Adds what became of one document."""
        if isinstance(outcome, Refusal):
            self.refused.append((outcome.source, outcome.reason))
            return
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        if outcome.status != "unchanged":
            self.chunks += outcome.chunks


class Holder(Protocol):
    """Whose documents they are: a site, or a store of one."""

    @property
    def id(self) -> str:
        """The id that the documents are kept under."""
        ...

    @property
    def language(self) -> str:
        """The language of texts that are too short to tell (ISO 639-1)."""
        ...


class Ingester:
    """Takes documents into the knowledge of sites and stores.

    ``embedders_for_site`` gives the embedder of a site's documents, and behind it the one that the
    site is being switched to. A document is stored in one transaction: whatever is killed, it is
    there wholly or not at all.
    """

    def __init__(
        self,
        database: Database,
        embedders_for_site: Callable[[str], Awaitable[Sequence[Embedder]]],
        reader: Reader,
        indexer: Indexer,
        settings: Settings,
    ) -> None:
        self._database = database
        self._embedders_for_site = embedders_for_site
        self._reader = reader
        self._indexer = indexer
        self._settings = settings

    async def ingest_document(
        self,
        holder: Holder,
        raw: RawDocument,
        on_stage: OnStage = _ignore,
        guard: Guard | None = None,
    ) -> IngestedDocument:
        """The document as stored in place of the one of the same source.

        The same content with the same title and address is not read again. A text too short to
        tell is in the holder's language. Raises InvalidRequest (BodyTooLarge, UnsupportedBody) for
        a document that cannot be taken in, also for one that the embedder refuses, and what
        ``guard`` raises in the transaction that would store it.
        """
        sha256 = await self._digest(holder, raw)
        unchanged = await self._find(holder, raw.source, sha256)
        if unchanged is not None:
            return unchanged
        on_stage("parse")
        new = await self._read(raw, sha256, holder.language)
        new = replace(new, guard=guard)
        on_stage("split", len(new.chunks))
        for _ in range(_TRIES):
            with contextlib.suppress(EmbedderSwitched):
                return await self._store(holder.id, new, on_stage)
        return await self._store(holder.id, new, on_stage)

    async def take_in(
        self,
        holder: Holder,
        raw: RawDocument,
        on_stage: OnStage = _ignore,
        guard: Guard | None = None,
    ) -> Outcome:
        """As ``ingest_document``, with the refusal of what cannot be taken in."""
        try:
            return await self.ingest_document(holder, raw, on_stage, guard)
        except InvalidRequest as error:
            return Refusal.of(raw.source, error)

    async def find_outcome(self, holder: Holder, raw: RawDocument) -> Outcome | None:
        """What would become of a document that need not be read for it; else None."""
        try:
            return await self._find(holder, raw.source, await self._digest(holder, raw))
        except InvalidRequest as error:
            return Refusal.of(raw.source, error)

    async def read_file(self, file: Path) -> RawDocument | Refusal:
        """The file as a document, or why it cannot be one."""
        try:
            return RawDocument(str(file), await asyncio.to_thread(self._read_bytes, file))
        except InvalidRequest as error:
            return Refusal.of(str(file), error)
        except OSError as error:
            return Refusal(str(file), error.strerror or "it cannot be read")

    async def ingest_paths(
        self,
        holder: Holder,
        paths: Sequence[str | Path],
        *,
        prune_gone: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IngestReport:
        """What became of the files and folders.

        A file's source is its absolute path, so that it replaces itself from wherever the command
        is run. With ``prune_gone``, documents of files that are no longer in the named folders are
        removed. A refused file stops no other.
        """
        started = time.monotonic()
        found = await asyncio.to_thread(find_files, paths)
        report = IngestReport(skipped=found.skipped, refused=list(found.refusals))
        for done, file in enumerate(found.files, start=1):
            read = await self.read_file(file)
            outcome = read if isinstance(read, Refusal) else await self.take_in(holder, read)
            report.count(outcome)
            if on_progress is not None:
                on_progress(Progress(done, len(found.files), str(file), status_of(outcome)))
        if prune_gone:
            keep = [str(file) for file in found.files]
            report.removed = await prune(
                self._database, holder.id, keep, under=found.prefixes, not_under=found.unknown
            )
        report.seconds = time.monotonic() - started
        return report

    async def _digest(self, holder: Holder, raw: RawDocument) -> bytes:
        _check_source(raw.source)
        return await asyncio.to_thread(self._hash, raw, holder.language)

    async def _find(self, holder: Holder, source: str, sha256: bytes) -> IngestedDocument | None:
        """The document of the source, if it is the same."""
        known = (await find_sources(self._database, holder.id, [source])).get(source)
        if known is None or known.sha256 != sha256:
            return None
        return IngestedDocument(known.id, source, "unchanged", known.chunks)

    async def _store(self, site_id: str, new: NewDocument, on_stage: OnStage) -> IngestedDocument:
        """Raises EmbedderSwitched when that happened while the vectors were made."""
        on_stage("embed")
        current, *following = await self._embedders_for_site(site_id)
        vectors = {current.name: await self._embed(current, site_id, new)}
        for embedder in following:
            try:
                vectors[embedder.name] = await self._embed(embedder, site_id, new)
            except RequestError as error:  # the switch itself fills in what is missing
                _LOG.warning("stored without vectors of %s: %s", embedder.name, error.message)
        on_stage("index")
        stored = await replace_document(self._database, self._indexer, site_id, new, vectors)
        return IngestedDocument(stored.document_id, new.source, stored.status, stored.chunks)

    async def _embed(self, embedder: Embedder, site_id: str, new: NewDocument) -> Vectors:
        """A row for each chunk; those that the document has already are not made again."""
        known = await load_vectors(self._database, site_id, new.source, embedder.name)
        pieces = {(new.title, piece.headings, piece.text): piece for piece in new.chunks}
        missing = [key for key in pieces if key not in known]
        try:
            made = await embedder.embed([to_indexed_text(*key) for key in missing])
        except ProviderError as error:
            if not error.refuses_input:
                raise
            raise InvalidRequest(
                f"The embedder does not take the text of this document. {error.message}",
                code="embedding_refused",
            ) from error
        if known and missing and made.shape[1] != len(next(iter(known.values()))):
            raise dimension_changed(made.shape[1], len(next(iter(known.values()))))
        rows = {**known, **dict(zip(missing, made, strict=True))}
        return np.array([rows[new.title, piece.headings, piece.text] for piece in new.chunks])

    def _read_bytes(self, file: Path) -> bytes:
        limit = self._settings.limits.document_bytes
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequest("It is no regular file: a pipe or a device has no end.")
        if found.st_size > limit:
            raise BodyTooLarge(
                f"The file has {found.st_size:,} bytes; the limit is {limit:,} "
                "(SITEBROOK_MAX_DOCUMENT_BYTES)."
            )
        return file.read_bytes()

    async def _read(self, raw: RawDocument, sha256: bytes, language: str) -> NewDocument:
        found = await self._reader.read(raw, language)
        return NewDocument(
            source=raw.source,
            title=found.title,
            url=found.url,
            language=found.language,
            text=found.text,
            sha256=sha256,
            chunks=tuple(
                NewChunk(piece.headings, piece.text, piece.language) for piece in found.chunks
            ),
        )

    def _hash(self, raw: RawDocument, language: str) -> bytes:
        retrieval = self._settings.retrieval
        sizes = raw.sizes or SizesInCharacters(
            retrieval.chunk_characters, retrieval.overlap_characters
        )
        facts = (
            _FORMAT,
            language,
            sizes.characters,
            sizes.overlap_characters,
            raw.media_type,
            raw.title,
            raw.url,
        )
        content = raw.content
        raw_bytes = content.encode("utf-8", "replace") if isinstance(content, str) else content
        return hashlib.sha256(repr(facts).encode("utf-8", "replace") + b"\0" + raw_bytes).digest()


def status_of(outcome: Outcome) -> Status | Literal["refused"]:
    """The word for what became of a document."""
    return "refused" if isinstance(outcome, Refusal) else outcome.status


def _check_source(source: str) -> None:
    if not source.strip() or clean(source) != source or len(source) > _MAX_SOURCE_CHARACTERS:
        raise InvalidRequest(
            f"A document's source is its name of 1 to {_MAX_SOURCE_CHARACTERS} visible characters.",
            param="source",
        )
