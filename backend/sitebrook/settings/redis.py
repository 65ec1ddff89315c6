"""Redis, for what several processes share."""

from __future__ import annotations

import dataclasses
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sitebrook.errors import StartError
from sitebrook.settings.fields import setting

_HOW: Final = (
    "write it like redis://:password@host:6379/0, rediss://… for TLS, or "
    "unix:///run/redis/redis.sock?db=0."
)


@dataclasses.dataclass(frozen=True, slots=True)
class RedisSettings:
    """Redis; a single process does without it."""

    url: str | None = setting(
        None,
        "REDIS_URL",
        "Redis 6.2+ for what several processes share; unset: none",
        is_secret=True,
    )
    timeout_s: float = setting(
        0.5,
        "SITEBROOK_REDIS_TIMEOUT_S",
        "longest wait for Redis; after it all go on without, until it answers again",
        least=0.001,
    )
    probe_s: float = setting(
        1.0,
        "SITEBROOK_REDIS_PROBE_S",
        "how often it is asked whether Redis is there",
        least=0.001,
    )
    lease_s: float = setting(
        15.0,
        "SITEBROOK_REDIS_LEASE_S",
        "open answers of a process that was killed count for this long",
        least=0.1,
    )
    kept_questions: int = setting(
        10_000,
        "SITEBROOK_REDIS_KEPT_QUESTIONS",
        "questions whose vectors all processes keep, for each embedder",
        least=1,
    )
    kept_questions_s: float = setting(
        86_400.0,
        "SITEBROOK_REDIS_KEPT_QUESTIONS_S",
        "how long they are kept",
        least=1,
    )
    key_prefix: str = setting(
        "sb:", "SITEBROOK_REDIS_KEY_PREFIX", "what every key and channel in Redis begins with"
    )


def check_redis(settings: RedisSettings) -> None:
    """Raises StartError for an address or a prefix that cannot be meant; never repeats a password.

    Braces in the prefix would take the place of the hash tags that keep keys together in a cluster.
    """
    if settings.url is not None and not _is_address(settings.url):
        raise StartError(f"REDIS_URL is not the address of a Redis server; {_HOW}")
    if {"{", "}", "*"} & set(settings.key_prefix):
        raise StartError(
            f"SITEBROOK_REDIS_KEY_PREFIX is '{settings.key_prefix}'; leave out {{, }} and *."
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_server = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    if parts.scheme == "unix":
        return len(parts.path) > 1
    return parts.scheme in {"redis", "rediss"} and is_server and _names_a_number(parts)


def _names_a_number(parts: SplitResult) -> bool:
    """Databases of Redis have numbers; the library would take a name for number 0."""
    name = parts.path.strip("/")
    return not name or name.isdecimal()
