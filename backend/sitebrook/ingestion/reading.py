"""Documents read in child processes: from what came to chunks, with a reason for each refusal."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Work
from sitebrook.errors import WorkFailed
from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.ingestion.decoding import refused, to_storable
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.parsing import ReadDocument, ReadRequest
from sitebrook.settings import Settings

_LOG: Final = logging.getLogger(__name__)
# Errors that say something about this installation, not about a document.
_OURS: Final = frozenset(
    {"ImportError", "ModuleNotFoundError", "OSError", "PermissionError", "NameError", "SyntaxError"}
)
_READ: Final = Work("sitebrook.ingestion.parsing:read", ReadRequest, ReadDocument)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads documents in the children of a pool."""

    pool: ComputePool
    settings: Settings

    async def read(self, raw: RawDocument, language: str) -> ReadDocument:
        """The document, read and cut; one too short to tell is in ``language``.

        Raises InvalidRequest (BodyTooLarge, UnsupportedBody) for what cannot be taken in, also
        when reading it takes too long or too much; Unavailable when there is no child to do it.
        """
        retrieval = self.settings.retrieval
        content = raw.content
        request = ReadRequest(
            source=to_storable(raw.source),
            content=to_storable(content).encode() if isinstance(content, str) else content,
            is_text=isinstance(content, str),
            media_type=to_storable(raw.media_type) if raw.media_type else None,
            title=to_storable(raw.title) if raw.title else None,
            url=to_storable(raw.url) if raw.url else None,
            language=language,
            max_characters=self.settings.limits.document_characters,
            sizes=raw.sizes
            or SizesInCharacters(retrieval.chunk_characters, retrieval.overlap_characters),
        )
        try:
            return await self.pool.run(_READ, request)
        except WorkFailed as error:
            reason = self._reason(error)
            _LOG.warning("reading %s failed: %s %s", raw.source, error, error.detail)
            if reason is None:
                raise
            raise refused(reason) from error

    def _reason(self, error: WorkFailed) -> str | None:
        """What is wrong with the document; None when it is not the document."""
        compute = self.settings.compute
        kind = error.detail.partition(":")[0]
        return {
            "time": f"reading it takes longer than {compute.time_s:g} s",
            "memory": f"reading it needs more than {compute.memory_bytes // 1024**2} MB of memory",
            "crash": "it is damaged in a way that ends the program that reads it",
            "answer": "what was read from it is too large or no text",
            "error": None if kind in _OURS else f"it is damaged ({kind})",
        }.get(error.cause)
