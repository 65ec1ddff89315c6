"""Which of the embedders of this process a site's documents and questions go through."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.retrieval.embedder import Embedder
from sitebrook.retrieval.knowledge import load_knowledge
from sitebrook.retrieval.tables import knowledge


@dataclass(frozen=True, slots=True)
class EmbedderUse:
    """An embedder with the ids of the sites that have it, and of those being switched to it."""

    name: str
    is_configured: bool
    is_default: bool
    languages: tuple[str, ...]
    sites: tuple[str, ...]
    next_sites: tuple[str, ...]


class SiteEmbedders:
    """The embedders of this process; each site keeps its first document's until it is switched."""

    def __init__(self, database: Database, default: Embedder, *others: Embedder) -> None:
        self._database = database
        self.default = default
        self.all = (default, *others)

    async def find(self, site_id: str) -> tuple[Embedder, ...]:
        """The site's embedder, and behind it the one that a switch is under way to.

        The second is left out when it is not configured now: the switch itself then makes its
        vectors. Raises Unavailable when the first is not configured.
        """
        async with self._database.begin() as connection:
            known = await load_knowledge(connection, site_id)
        if known is None:
            return (self.default,)
        by_name = {embedder.name: embedder for embedder in self.all}
        current = by_name.get(known.embedder)
        if current is None:
            raise Unavailable(
                f"The site's documents are embedded by {known.embedder}, which is not configured: "
                "set SITEBROOK_EMBEDDING_MODEL and its address as they were, or give the site "
                "another embedder with `sitebrook embedder switch`.",
                code="embedder_unavailable",
            )
        following = by_name.get(known.next_embedder or "")
        return (current,) if following is None else (current, following)

    def choose(self, name: str) -> Embedder:
        """The embedder whose name is or begins with ``name``, up to its ``@``.

        Raises InvalidRequest when there is none or more than one.
        """
        for matches in (
            [one for one in self.all if one.name == name],
            [one for one in self.all if one.name.startswith(name)],
        ):
            if len(matches) == 1:
                return matches[0]
        known = ", ".join(one.name for one in self.all)
        raise InvalidRequest(f"There is no embedder '{name}' configured. Known: {known}.")

    async def list_uses(self) -> list[EmbedderUse]:
        """Those of this process, the one of new sites first, then others that sites have."""
        columns = (knowledge.c.site_id, knowledge.c.embedder, knowledge.c.next_embedder)
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(*columns).order_by(knowledge.c.site_id))).all()
        configured = {embedder.name: embedder for embedder in self.all}
        names = [*configured, *(name for row in rows for name in row[1:] if name)]
        return [
            EmbedderUse(
                name=name,
                is_configured=name in configured,
                is_default=name == self.default.name,
                languages=tuple(sorted(configured[name].languages or ()))
                if name in configured
                else (),
                sites=tuple(row.site_id for row in rows if row.embedder == name),
                next_sites=tuple(row.site_id for row in rows if row.next_embedder == name),
            )
            for name in dict.fromkeys(names)
        ]
