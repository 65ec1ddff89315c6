"""The sections of the settings that describe one process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sitebrook.settings.fields import setting


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
    pool_size: int = setting(
        10,
        "SITEBROOK_DATABASE_POOL_SIZE",
        "connections per process; up to four are kept for searches, one for look-ups of keys",
        least=2,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one request may cost."""

    body_bytes: int = setting(
        10_000_000, "SITEBROOK_MAX_BODY_BYTES", "largest request body", least=1
    )
    document_characters: int = setting(
        5_000_000, "SITEBROOK_MAX_DOCUMENT_CHARACTERS", "longest text of a document", least=1
    )
    document_bytes: int = setting(
        50_000_000,
        "SITEBROOK_MAX_DOCUMENT_BYTES",
        "largest file of a document; by HTTP it must fit into a request body too",
        least=1,
    )
    history_tokens: int = setting(
        3000, "SITEBROOK_HISTORY_TOKENS", "earlier turns given to the model, in tokens", least=0
    )
    visitor_answer_tokens: int = setting(
        1024, "SITEBROOK_VISITOR_ANSWER_TOKENS", "longest answer to a visitor, in tokens", least=1
    )
    key_requests_per_minute: int = setting(
        0,
        "SITEBROOK_KEY_REQUESTS_PER_MINUTE",
        "questions, searches and embeddings with one key; 0: no limit",
        least=0,
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
