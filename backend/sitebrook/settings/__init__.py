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
from sitebrook.settings.compute import ComputeSettings
from sitebrook.settings.embedding import EmbeddingSettings, check_embedding, load_embedders
from sitebrook.settings.events import EventSettings
from sitebrook.settings.fields import LoadedSetting, load_section
from sitebrook.settings.jobs import JobSettings
from sitebrook.settings.redis import RedisSettings, check_redis
from sitebrook.settings.retrieval import (
    FollowUpSettings,
    RerankSettings,
    RetrievalSettings,
    check_retrieval,
)
from sitebrook.settings.sections import (
    ClientSettings,
    DatabaseSettings,
    LimitSettings,
    ServerSettings,
    TelemetrySettings,
)
from sitebrook.settings.upstream import UpstreamSettings

__all__ = [
    "MOCK_MODEL",
    "ClientSettings",
    "ComputeSettings",
    "DatabaseSettings",
    "EmbeddingSettings",
    "EventSettings",
    "FollowUpSettings",
    "JobSettings",
    "LimitSettings",
    "LoadedSetting",
    "ModelSettings",
    "ProviderSettings",
    "RedisSettings",
    "RerankSettings",
    "RetrievalSettings",
    "ServerSettings",
    "Settings",
    "TelemetrySettings",
    "UpstreamSettings",
]

CONFIG_ENV: Final = "SITEBROOK_CONFIG"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of one process, read once."""

    server: ServerSettings = dataclasses.field(default_factory=ServerSettings)
    database: DatabaseSettings = dataclasses.field(default_factory=DatabaseSettings)
    redis: RedisSettings = dataclasses.field(default_factory=RedisSettings)
    events: EventSettings = dataclasses.field(default_factory=EventSettings)
    embedding: EmbeddingSettings = dataclasses.field(default_factory=EmbeddingSettings)
    retrieval: RetrievalSettings = dataclasses.field(default_factory=RetrievalSettings)
    rerank: RerankSettings = dataclasses.field(default_factory=RerankSettings)
    follow_up: FollowUpSettings = dataclasses.field(default_factory=FollowUpSettings)
    compute: ComputeSettings = dataclasses.field(default_factory=ComputeSettings)
    limits: LimitSettings = dataclasses.field(default_factory=LimitSettings)
    upstream: UpstreamSettings = dataclasses.field(default_factory=UpstreamSettings)
    jobs: JobSettings = dataclasses.field(default_factory=JobSettings)
    telemetry: TelemetrySettings = dataclasses.field(default_factory=TelemetrySettings)
    client: ClientSettings = dataclasses.field(default_factory=ClientSettings)
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    embedders: tuple[EmbeddingSettings, ...] = ()
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
        embedders = load_embedders(tables.pop("embedders", []), environ)
        sections: dict[str, Any] = {}
        loaded: list[LoadedSetting] = []
        for name, kind in _SECTIONS.items():
            table = _to_table(name, tables.pop(name, {}))
            sections[name], found = load_section(kind, name, environ, table)
            loaded += found
        if tables:
            known = ", ".join([*_SECTIONS, "embedders", "providers", "models"])
            raise StartError(f"The settings file has no section '{min(tables)}'. Known: {known}.")
        _check_names(environ, {origin.env for origin in loaded} | {CONFIG_ENV})
        upstream: UpstreamSettings = sections["upstream"]
        providers, models = load_catalogue(environ, *rows, defaults=upstream.per_provider())
        settings = cls(
            **sections,
            providers=providers,
            models=models,
            embedders=embedders,
            loaded=tuple(loaded),
        )
        _check_values(settings)
        return settings


_SECTIONS: Final[dict[str, type]] = {
    "server": ServerSettings,
    "database": DatabaseSettings,
    "redis": RedisSettings,
    "events": EventSettings,
    "embedding": EmbeddingSettings,
    "retrieval": RetrievalSettings,
    "rerank": RerankSettings,
    "follow_up": FollowUpSettings,
    "compute": ComputeSettings,
    "limits": LimitSettings,
    "upstream": UpstreamSettings,
    "jobs": JobSettings,
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
    check_redis(settings.redis)
    _check_shares(settings)
    level = settings.telemetry.log_level
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise StartError(f"SITEBROOK_LOG_LEVEL is {level!r}; use DEBUG, INFO, WARNING or ERROR.")
    check_retrieval(settings.retrieval, settings.rerank)
    check_embedding(settings.embedding)


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
