"""All settings: environment first, then an optional TOML file, then defaults."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from sitebrook.errors import StartError
from sitebrook.settings.catalogue import (
    MOCK_MODEL,
    WELL_KNOWN,
    ModelSettings,
    ProviderSettings,
    load_catalogue,
)
from sitebrook.settings.fields import LoadedSetting, load_section, setting
from sitebrook.settings.upstream import UpstreamSettings

__all__ = [
    "MOCK_MODEL",
    "ClientSettings",
    "DatabaseSettings",
    "EmbeddingSettings",
    "LimitSettings",
    "LoadedSetting",
    "ModelSettings",
    "ProviderSettings",
    "RetrievalSettings",
    "ServerSettings",
    "Settings",
    "TelemetrySettings",
    "UpstreamSettings",
]

CONFIG_ENV: Final = "SITEBROOK_CONFIG"


@dataclasses.dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and keeps its data."""

    host: str = setting("127.0.0.1", "SITEBROOK_HOST", "address to listen on")
    port: int = setting(8000, "SITEBROOK_PORT", "port to listen on")
    data_dir: Path = setting(
        Path(".sitebrook"), "SITEBROOK_DATA_DIR", "folder for the embedded database and demo.env"
    )
    public_url: str | None = setting(
        None,
        "SITEBROOK_PUBLIC_URL",
        "address that visitors use, when it differs from host and port",
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1",),
        "SITEBROOK_TRUSTED_PROXIES",
        "proxies whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )
    early_start_s: float = setting(
        5.0,
        "SITEBROOK_EARLY_START_S",
        "a stream opens after this wait for its first delta; a failure before is an HTTP error",
        least=0.001,
    )
    keep_alive_s: float = setting(
        10.0,
        "SITEBROOK_KEEP_ALIVE_S",
        "a sign of life after this much silence in a stream",
        least=0.001,
    )
    slow_reader_s: float = setting(
        60.0,
        "SITEBROOK_SLOW_READER_S",
        "a stream whose client took nothing for this long is ended",
        least=0.001,
    )
    request_s: float = setting(
        30.0,
        "SITEBROOK_REQUEST_S",
        "a request arrives whole within this time, or at 4 KB/s from then on",
        least=0.1,
    )
    ticket_lifetime_s: float = setting(
        60.0,
        "SITEBROOK_TICKET_LIFETIME_S",
        "a ticket opens its stream within this time",
        least=0.001,
    )
    drain_s: float = setting(
        25.0,
        "SITEBROOK_DRAIN_S",
        "a stopping server lets answers go on for this long, then ends each with an error",
        least=0,
    )
    workers: int = setting(1, "SITEBROOK_WORKERS", "processes that serve the port", least=1)

    @property
    def tick_s(self) -> float:
        """How often open streams look at the clock."""
        return min(1.0, self.keep_alive_s / 10, self.slow_reader_s / 10)

    @property
    def url(self) -> str:
        """The address at which this server is reached, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


@dataclasses.dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """PostgreSQL."""

    url: str | None = setting(
        None,
        "DATABASE_URL",
        "PostgreSQL 15+ with pgvector 0.8+; unset: the embedded one",
        is_secret=True,
    )
    pool_size: int = setting(10, "SITEBROOK_DATABASE_POOL_SIZE", "connections per process", least=1)


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """The embedder of new sites; a site keeps the one it was made with."""

    model: str | None = setting(
        None, "SITEBROOK_EMBEDDING_MODEL", "model at the embedding endpoint; unset: keyless hashing"
    )
    base_url: str | None = setting(
        None, "SITEBROOK_EMBEDDING_BASE_URL", "OpenAI-compatible base URL, ending in /v1"
    )
    api_key: str | None = setting(
        None, "SITEBROOK_EMBEDDING_API_KEY", "key for the embedding endpoint", is_secret=True
    )
    min_similarity: float = setting(
        0.3,
        "SITEBROOK_EMBEDDING_MIN_SIMILARITY",
        "cosine from which a passage counts as relevant; models differ",
    )
    batch_size: int = setting(
        64, "SITEBROOK_EMBEDDING_BATCH_SIZE", "texts per embedding request", least=1
    )


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Chunking and search."""

    chunk_characters: int = setting(
        800, "SITEBROOK_CHUNK_CHARACTERS", "target size of a chunk", least=50
    )
    overlap_characters: int = setting(
        160, "SITEBROOK_OVERLAP_CHARACTERS", "overlap of chunks inside one section"
    )
    max_passages: int = setting(6, "SITEBROOK_MAX_PASSAGES", "passages given to the model", least=1)
    min_score: float = setting(
        0.0, "SITEBROOK_MIN_SCORE", "passages with a fused score below this are left out (0 to 1)"
    )
    bm25_k1: float = setting(1.2, "SITEBROOK_BM25_K1", "BM25 term frequency saturation", least=0)
    bm25_b: float = setting(0.75, "SITEBROOK_BM25_B", "BM25 length normalisation (0 to 1)", least=0)


@dataclasses.dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one request may cost."""

    body_bytes: int = setting(
        10_000_000, "SITEBROOK_MAX_BODY_BYTES", "largest request body", least=1
    )
    document_characters: int = setting(
        5_000_000, "SITEBROOK_MAX_DOCUMENT_CHARACTERS", "largest document", least=1
    )
    history_tokens: int = setting(
        3000, "SITEBROOK_HISTORY_TOKENS", "earlier turns given to the model, in tokens", least=0
    )
    visitor_answer_tokens: int = setting(
        1024, "SITEBROOK_VISITOR_ANSWER_TOKENS", "longest answer to a visitor, in tokens", least=1
    )
    key_requests_per_minute: int = setting(
        0, "SITEBROOK_KEY_REQUESTS_PER_MINUTE", "questions with one key; 0: no limit", least=0
    )
    key_open_answers: int = setting(
        0, "SITEBROOK_KEY_OPEN_ANSWERS", "answers at once with one key; 0: no limit", least=0
    )
    visitor_requests_per_minute: int = setting(
        20,
        "SITEBROOK_VISITOR_REQUESTS_PER_MINUTE",
        "questions of one visitor; 0: no limit",
        least=0,
    )
    visitor_open_answers: int = setting(
        4, "SITEBROOK_VISITOR_OPEN_ANSWERS", "answers at once to one visitor; 0: no limit", least=0
    )
    address_requests_per_minute: int = setting(
        120,
        "SITEBROOK_ADDRESS_REQUESTS_PER_MINUTE",
        "questions and new visitor tokens of one address; 0: no limit",
        least=0,
    )
    address_open_answers: int = setting(
        32,
        "SITEBROOK_ADDRESS_OPEN_ANSWERS",
        "answers at once to visitors of one address; 0: no limit",
        least=0,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Logs and figures."""

    latency_metrics: bool = setting(True, "SITEBROOK_LATENCY_METRICS", "measure each request")
    latency_window: int = setting(
        1000, "SITEBROOK_LATENCY_WINDOW", "requests kept per route, site and model", least=1
    )
    log_level: str = setting("INFO", "SITEBROOK_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str | None = setting(
        None,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OpenTelemetry collector for spans, by OTLP over HTTP; unset: no spans",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class ClientSettings:
    """What demo.env holds, for shells and for the command line."""

    url: str | None = setting(None, "SITEBROOK_URL", "address of the server, for your own scripts")
    model: str | None = setting(None, "SITEBROOK_MODEL", "model that `sitebrook ask` uses")
    secret_key: str | None = setting(
        None, "SITEBROOK_SECRET_KEY", "selects the site for commands", is_secret=True
    )
    publishable_key: str | None = setting(
        None, "SITEBROOK_PUBLISHABLE_KEY", "key for the widget, for your own scripts"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of one process, read once."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = dataclasses.field(default_factory=UpstreamSettings)
    telemetry: TelemetrySettings = TelemetrySettings()
    client: ClientSettings = ClientSettings()
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    loaded: tuple[LoadedSetting, ...] = ()
    # Which of several workers this process is, from 1; 0 when it serves alone.
    worker: int = 0

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """The settings that ``environ`` and its ``SITEBROOK_CONFIG`` file describe.

        Raises StartError for an unknown ``SITEBROOK_*`` name, an unreadable file or a bad value.
        """
        tables = _read_file(environ.get(CONFIG_ENV, "").strip())
        rows = tables.pop("providers", []), tables.pop("models", [])
        sections: dict[str, Any] = {}
        loaded: list[LoadedSetting] = []
        for name, kind in _SECTIONS.items():
            table = _to_table(name, tables.pop(name, {}))
            sections[name], found = load_section(kind, name, environ, table)
            loaded += found
        if tables:
            known = ", ".join([*_SECTIONS, "providers", "models"])
            raise StartError(f"The settings file has no section '{min(tables)}'. Known: {known}.")
        _check_names(environ, {origin.env for origin in loaded} | {CONFIG_ENV})
        upstream: UpstreamSettings = sections["upstream"]
        providers, models = load_catalogue(environ, *rows, defaults=upstream.per_provider())
        settings = cls(**sections, providers=providers, models=models, loaded=tuple(loaded))
        _check_values(settings)
        return settings


_SECTIONS: Final[dict[str, type]] = {
    "server": ServerSettings,
    "database": DatabaseSettings,
    "embedding": EmbeddingSettings,
    "retrieval": RetrievalSettings,
    "limits": LimitSettings,
    "upstream": UpstreamSettings,
    "telemetry": TelemetrySettings,
    "client": ClientSettings,
}


def _read_file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).expanduser().read_text("utf-8"))
    except OSError as error:
        raise StartError(f"{CONFIG_ENV} names {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path} is not valid TOML: {error}.") from None


def _to_table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StartError(f"'{name}' in the settings file must be a section [{name}].")
    return cast("dict[str, Any]", value)


def _check_names(environ: Mapping[str, str], known: set[str]) -> None:
    for name in sorted(environ):
        if name.startswith("SITEBROOK_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            raise StartError(f"Unknown setting {name}. Did you mean {near[0]}?")


def _check_values(settings: Settings) -> None:
    if not 0 < settings.server.port < 65536:
        raise StartError(f"SITEBROOK_PORT is {settings.server.port}; it must be 1 to 65535.")
    if settings.server.public_url and not _is_origin(settings.server.public_url):
        raise StartError(
            "SITEBROOK_PUBLIC_URL must be like https://chat.example.com, without a path."
        )
    _check_addresses(settings)
    _check_shares(settings)
    level = settings.telemetry.log_level
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise StartError(f"SITEBROOK_LOG_LEVEL is {level!r}; use DEBUG, INFO, WARNING or ERROR.")
    retrieval = settings.retrieval
    if not 0 <= retrieval.overlap_characters < retrieval.chunk_characters:
        raise StartError("SITEBROOK_OVERLAP_CHARACTERS must be below SITEBROOK_CHUNK_CHARACTERS.")
    if settings.embedding.model and not settings.embedding.base_url:
        raise StartError("SITEBROOK_EMBEDDING_MODEL needs SITEBROOK_EMBEDDING_BASE_URL too.")


def _check_addresses(settings: Settings) -> None:
    for proxy in settings.server.trusted_proxies:
        if proxy != "*" and not _is_network(proxy):
            raise StartError(
                f"SITEBROOK_TRUSTED_PROXIES names '{proxy}'; write addresses such as 10.0.0.2 or "
                "networks such as 10.0.0.0/8."
            )
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise StartError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is '{endpoint}'; it must start with http:// or https://."
        )


def _check_shares(settings: Settings) -> None:
    retrieval = settings.retrieval
    for name, share in (
        ("SITEBROOK_MIN_SCORE", retrieval.min_score),
        ("SITEBROOK_BM25_B", retrieval.bm25_b),
        ("SITEBROOK_UPSTREAM_BREAKER_SHARE", settings.upstream.breaker_share),
    ):
        if not 0 <= share <= 1:
            raise StartError(f"{name} is {share:g}; it must be 0 to 1.")


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and is_bare


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def well_known_names() -> tuple[str, ...]:
    """Environment names outside ``SITEBROOK_`` that configure a provider."""
    return tuple(name for known in WELL_KNOWN for name in (known.key_env, known.base_url_env))
