"""Ingests the same documents over and over, each time with other words, until it is killed.

``python -m tests.integration.ingestion.rewriting SITE_ID FIRST_ROUND``; the database is that of
DATABASE_URL. It writes a line when all are stored once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from sitebrook.access.sites import find_site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import Settings

DOCUMENTS = 5


def make_text(document: int, number: int) -> str:
    """A text of which every chunk says which round it is of; rounds differ in length."""
    line = f"Round{number} of document{document} says little about walruses and much of itself."
    return "\n\n".join([f"{line} Line {at}." for at in range(20 + 10 * (number % 4))])


async def run(site_id: str, first: int) -> None:
    database = Database(os.environ["DATABASE_URL"])
    async with database.begin() as connection:
        site = await find_site(connection, site_id)
    assert site is not None

    settings = Settings()
    reader = Reader(ComputePool(settings.compute), settings)
    embedders = SiteEmbedders(database, HashingEmbedder())
    ingester = Ingester(database, embedders.find, reader, Indexer(reader.pool), settings)
    for number in itertools.count(first):
        if number == first + 1:
            print("storing", flush=True)
        for document in range(DOCUMENTS):
            raw = RawDocument(f"{document}.txt", make_text(document, number), "text/plain")
            await ingester.ingest_document(site, raw)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
