"""The objects of one process that serves, or runs a command."""

from __future__ import annotations

import dataclasses
import functools

from sitebrook import __version__
from sitebrook.access.gate import Gate
from sitebrook.access.limits import ProcessLimiter
from sitebrook.access.redis_limits import RedisLimiter
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.lost_answers import LostAnswers
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.chat.service import ChatParts, ChatService
from sitebrook.chat.standalone import FollowUps
from sitebrook.chat.turns import TurnStore
from sitebrook.chat.writer import TurnWriter
from sitebrook.compute.pool import ComputePool
from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.db.redis import RedisConnection
from sitebrook.errors import ModelNotFound, StartError
from sitebrook.events.log import EventLog
from sitebrook.events.redis_log import RedisLog
from sitebrook.events.ring_log import RingLog
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.reading import Reader
from sitebrook.ingestion.website.websites import Websites
from sitebrook.jobs.engine import JobEngine, JobWorker, WorkerOptions
from sitebrook.jobs.intake import Intake
from sitebrook.jobs.watch import JobWatch
from sitebrook.parts import Parts
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.prices import PriceTable
from sitebrook.providers.registry import Providers
from sitebrook.providers.router import Router
from sitebrook.retrieval.embedder import Embedder, HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.onnx.embedder import OnnxEmbedder
from sitebrook.retrieval.onnx.folder import read_folder
from sitebrook.retrieval.question_vectors import (
    ProcessQuestionVectors,
    QuestionVectors,
    RedisQuestionVectors,
)
from sitebrook.retrieval.reranking import Reranker
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import ComputeSettings, EmbeddingSettings, FollowUpSettings, Settings
from sitebrook.stores.attaching import Attaching
from sitebrook.stores.contents import Contents
from sitebrook.stores.files import Files
from sitebrook.stores.searching import StoreSearch
from sitebrook.stores.stores import Stores
from sitebrook.telemetry.latency import LatencyRecorder
from sitebrook.telemetry.logs import count_dropped_lines
from sitebrook.telemetry.metrics import JobFigures, Metrics, Sources
from sitebrook.telemetry.peers import METRICS_FOLDER, WorkerPeers
from sitebrook.telemetry.tracing import Tracing, open_tracing
from sitebrook.wiring.jobs import build_jobs


@dataclasses.dataclass(frozen=True, slots=True)
class _Watched:
    """What the metrics ask for its figures."""

    database: Database
    writer: TurnWriter
    redis: RedisConnection | None
    events: EventLog
    questions: QuestionVectors


def build_parts(settings: Settings, *, serves: bool = False) -> Parts:
    """The objects of this process; call it inside the event loop that will use them.

    One that ``serves`` also runs jobs, as the settings say. Raises StartError without a database
    address.
    """
    if not settings.database.url:
        raise StartError("No database: set DATABASE_URL, or start with `sitebrook serve`.")
    database = Database(settings.database.url, pool_size=settings.database.pool_size)
    compute = ComputePool(settings.compute)
    embedders = _build_embedders(settings, database, compute)
    writer = TurnWriter(TurnStore(DirectConnection(settings.database.url)))
    redis = RedisConnection(settings.redis) if settings.redis.url else None
    events = RedisLog(redis, settings.events) if redis else RingLog(settings.events)
    questions = _build_question_vectors(settings, redis)
    reranker = _build_reranker(settings)
    indexer = Indexer(compute)
    searcher = Searcher(database, embedders.all, settings.retrieval, reranker, questions, indexer)

    async def open_parts() -> Parts:
        return parts

    jobs = build_jobs(settings, events, open_parts)
    events.on_lost(LostAnswers(events, writer).settle)
    metrics = _build_metrics(settings, _Watched(database, writer, redis, events, questions))
    jobs.observer = metrics
    worker = _build_worker(settings, jobs) if serves else None
    watch = JobWatch(jobs) if serves else None
    if watch is not None and settings.worker <= 1:  # the figures of several processes are summed
        metrics.jobs = functools.partial(_to_figures, watch, worker)
    peers = None
    if settings.worker:
        peers = WorkerPeers(settings.server.data_dir / METRICS_FOLDER, settings.worker)
        metrics.peers = peers
    providers = Providers(settings.providers, settings.models, HttpClient(), observer=metrics)
    router = Router(providers, settings.upstream)
    prices = PriceTable(settings.models)
    follow_ups = FollowUps(router, prices, _check_model(settings.follow_up, router))
    gate = Gate(database)
    conversations = Conversations(database)
    chat = ChatService(
        ChatParts(
            searcher=searcher,
            follow_ups=follow_ups,
            router=router,
            conversations=conversations,
            writer=writer,
            sign_source=gate.sign_source,
            limits=settings.limits,
            prices=prices,
        )
    )
    ingester = Ingester(database, embedders.find, Reader(compute, settings), indexer, settings)
    attaching = Attaching(jobs)
    stores = Stores(database, attaching, searcher)
    parts = Parts(
        settings=settings,
        database=database,
        compute=compute,
        indexer=indexer,
        redis=redis,
        events=events,
        gate=gate,
        limiter=RedisLimiter(redis, lease_s=settings.redis.lease_s) if redis else ProcessLimiter(),
        embedders=embedders,
        searcher=searcher,
        follow_ups=follow_ups,
        ingester=ingester,
        intake=Intake(database, ingester, jobs),
        websites=Websites(database, ingester, compute),
        files=Files(database, max_bytes=settings.limits.document_bytes),
        stores=stores,
        contents=Contents(database, stores, attaching),
        store_search=StoreSearch(database, stores, searcher),
        router=router,
        conversations=conversations,
        writer=writer,
        chat=chat,
        jobs=jobs,
        worker=worker,
        job_watch=watch,
        open_answers=OpenAnswers(),
        latency=LatencyRecorder(settings.telemetry.latency_window),
        metrics=metrics,
        peers=peers,
    )
    return parts


def _check_model(settings: FollowUpSettings, router: Router) -> FollowUpSettings:
    """The settings, whose model there is if they name one. Raises StartError."""
    try:
        if settings.model:
            router.find_model(settings.model)
    except ModelNotFound as error:
        raise StartError(f"SITEBROOK_FOLLOW_UP_MODEL: {error.message}") from None
    return settings


def _build_worker(settings: Settings, jobs: JobEngine) -> JobWorker | None:
    """The worker of a server; of several processes the first one has it."""
    if not settings.jobs.in_server or settings.worker > 1:
        return None
    options = WorkerOptions(
        concurrency=settings.jobs.concurrency,
        drain_s=settings.server.drain_s,
        queues=settings.jobs.queues or None,
    )
    return jobs.worker(options)


def _to_figures(watch: JobWatch, worker: JobWorker | None) -> JobFigures:
    stuck = 0 if worker is None else worker.stuck
    return dataclasses.replace(watch.figures or JobFigures(), stuck=stuck)


def build_tracing(settings: Settings) -> Tracing | None:
    """What sends spans, when an endpoint is set. Raises StartError without its packages."""
    endpoint = settings.telemetry.otlp_endpoint
    return None if endpoint is None else open_tracing(endpoint, __version__)


def _build_metrics(settings: Settings, watched: _Watched) -> Metrics:
    redis = watched.redis
    sources = Sources(
        turns_waiting=lambda: watched.writer.waiting,
        connections=lambda: {
            name: (pool.in_use, pool.size) for name, pool in watched.database.pools.items()
        },
        log_lines_dropped=count_dropped_lines,
        redis_faults=lambda: redis.faults if redis else 0,
        redis_is_up=lambda: redis is not None and redis.is_up,
        question_vectors=lambda: watched.questions.found,
        events=watched.events.figures,
    )
    return Metrics(
        [model.id for model in settings.models],
        [provider.name for provider in settings.providers],
        version=__version__,
        sources=sources,
    )


def _build_question_vectors(settings: Settings, redis: RedisConnection | None) -> QuestionVectors:
    local = ProcessQuestionVectors(settings.retrieval.kept_questions)
    if redis is None:
        return local
    shared = settings.redis
    return RedisQuestionVectors(
        redis, local, limit=shared.kept_questions, keep_s=shared.kept_questions_s
    )


def _build_embedders(settings: Settings, database: Database, compute: ComputePool) -> SiteEmbedders:
    """Every embedder that can be had; the first is the one of new sites."""
    rows = [settings.embedding, *settings.embedders]
    found = [_build_embedder(row, settings.compute) for row in rows if not row.is_keyless]
    keyless = HashingEmbedder(compute)
    if settings.embedding.is_keyless:
        return SiteEmbedders(database, keyless, *found)
    return SiteEmbedders(database, *found, keyless)


def _build_embedder(settings: EmbeddingSettings, compute: ComputeSettings) -> Embedder:
    if settings.folder is not None:
        return OnnxEmbedder(
            read_folder(settings.folder),
            min_similarity=settings.min_similarity,
            languages=frozenset(settings.languages) or None,
            threads=settings.threads,
            compute=compute,
        )
    # Imported only here: the openai SDK takes a third of the start of a process without it.
    from sitebrook.providers.embeddings import OpenAICompatibleEmbedder

    return OpenAICompatibleEmbedder(settings)


def _build_reranker(settings: Settings) -> Reranker | None:
    if settings.rerank.model is None:
        return None
    # For the SDK again.
    from sitebrook.providers.reranking import RerankEndpoint

    return RerankEndpoint(settings.rerank)
