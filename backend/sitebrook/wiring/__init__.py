"""Builds the concrete objects of a process from its settings; nothing else constructs them."""

from __future__ import annotations

from sitebrook.access.gate import Gate
from sitebrook.access.limits import ProcessLimiter
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.chat.service import ChatParts, ChatService
from sitebrook.chat.turns import TurnStore
from sitebrook.chat.writer import TurnWriter
from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.errors import StartError
from sitebrook.ingestion.ingest import Ingester
from sitebrook.parts import Parts
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.registry import Providers
from sitebrook.providers.router import Router
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.keywords import RankBm25Index
from sitebrook.retrieval.knowledge import SiteEmbedders
from sitebrook.retrieval.search import Searcher
from sitebrook.settings import Settings
from sitebrook.telemetry.latency import LatencyRecorder


def build_parts(settings: Settings) -> Parts:
    """The objects of this process; call it inside the event loop that will use them.

    Raises StartError without a database address.
    """
    if not settings.database.url:
        raise StartError("No database: set DATABASE_URL, or start with `sitebrook serve`.")
    database = Database(settings.database.url, pool_size=settings.database.pool_size)
    embedders = _build_embedders(settings, database)
    retrieval = settings.retrieval
    index = RankBm25Index(database, k1=retrieval.bm25_k1, b=retrieval.bm25_b)
    searcher = Searcher(database, embedders.all, index, retrieval)
    providers = Providers(settings.providers, settings.models, HttpClient())
    router = Router(providers, settings.upstream)
    gate = Gate(database)
    conversations = Conversations(database)
    writer = TurnWriter(TurnStore(DirectConnection(settings.database.url)))
    chat = ChatService(
        ChatParts(searcher, router, conversations, writer, gate.sign_source, settings.limits)
    )
    return Parts(
        settings=settings,
        database=database,
        gate=gate,
        limiter=ProcessLimiter(),
        embedders=embedders.all,
        searcher=searcher,
        ingester=Ingester(database, embedders.find, settings),
        router=router,
        conversations=conversations,
        writer=writer,
        chat=chat,
        open_answers=OpenAnswers(),
        latency=LatencyRecorder(settings.telemetry.latency_window),
    )


def _build_embedders(settings: Settings, database: Database) -> SiteEmbedders:
    """Every embedder that can be had; the first is the one of new sites."""
    keyless = HashingEmbedder()
    if settings.embedding.model is None:
        return SiteEmbedders(database, keyless)
    # Imported only here: the openai SDK takes a third of the start of a process without it.
    from sitebrook.providers.embeddings import OpenAICompatibleEmbedder

    return SiteEmbedders(database, OpenAICompatibleEmbedder(settings.embedding), keyless)
