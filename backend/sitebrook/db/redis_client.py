"""Redis through its library: one connection, one bound on every wait, errors in our words.

Imported only where a Redis is configured: the library takes a quarter of a second and 8 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sitebrook.db.redis_commands import (
    Command,
    CommandRefused,
    RedisFacts,
    Script,
    ScriptCall,
    Value,
)
from sitebrook.db.redis_wire import RedisWire
from sitebrook.errors import RedisAway, StartError
from sitebrook.settings import RedisSettings

_RUN_ID: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_FACT: Final = re.compile(r"^(\w+):(.*?)\r?$", re.MULTILINE)
_REFUSED: Final = "refuses the user or the password in REDIS_URL"
# Answers after which Redis is as good as away for everyone, and what to do about them.
_AWAY: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.AuthenticationError, _REFUSED),
    (exceptions.AuthorizationError, _REFUSED),
    (exceptions.NoPermissionError, "forbids a command to the user in REDIS_URL: widen its ACL"),
    (exceptions.BusyLoadingError, "is loading its data"),
    (exceptions.OutOfMemoryError, "has no memory left: raise its maxmemory"),
    (exceptions.ReadOnlyError, "is a replica: name the primary in REDIS_URL"),
    (exceptions.MovedError, "is one node of a cluster: name a Redis that has every key"),
    (exceptions.ClusterDownError, "is a cluster that is down"),
)
# The same, for answers that the library has no class for.
_AWAY_BY_WORD: Final = {
    "MISCONF": "cannot save to its disk and takes no writes",
    "NOREPLICAS": "has too few replicas and takes no writes",
    "BUSY": "is busy with a script",
}


class RedisClient:
    """One connection, opened when it is needed and again when it was lost.

    Everything raises RedisAway or CommandRefused, and waits in bounds.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._timeout_s = settings.timeout_s
        self._kind, self._options = _to_options(settings)
        self._wire: RedisWire | None = None
        self._opening = asyncio.Lock()

    async def execute(self, command: Command) -> Any:
        """The answer to one command."""
        (answer,) = await self._send([command])
        return _value(answer)

    async def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that Redis runs as one, all of them or none."""
        answers = await self._send([("MULTI",), *commands, ("EXEC",)])
        for answer in answers:  # the first says why the last one is no list
            _value(answer)
        return [_value(answer) for answer in answers[-1]]

    async def run_script(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """What each call of the script returns; all are sent at once."""
        commands = [("EVALSHA", script.sha, len(keys), *keys, *rest) for keys, rest in calls]
        answers = await self._send(commands)
        if any(isinstance(answer, exceptions.NoScriptError) for answer in answers):
            texts = [("EVAL", script.text, len(keys), *keys, *rest) for keys, rest in calls]
            unknown = [isinstance(answer, exceptions.NoScriptError) for answer in answers]
            again = iter(await self._send(list(itertools.compress(texts, unknown))))
            answers = [
                next(again) if is_unknown else answer
                for answer, is_unknown in zip(answers, unknown, strict=True)
            ]
        return [_value(answer) for answer in answers]

    async def probe(self, key: str, value: str) -> tuple[bytes, bytes | None]:
        """The value of ``key``, set to ``value`` where it has none, and the run id of the server.

        Beside reading this tries a write, which a full Redis and a replica refuse.
        """
        written, found, about = await self._send(
            [("SET", key, value, "NX"), ("GET", key), ("INFO", "server")]
        )
        _value(written)
        # A managed Redis may forbid INFO; then only the key tells what has happened to it.
        run_id = None if isinstance(about, Exception) else _RUN_ID.search(about)
        return _value(found), run_id and run_id[1]

    async def read_facts(self, now: Callable[[], datetime]) -> RedisFacts:
        """What the server says about itself. Raises CommandRefused where it may not be asked."""
        began_at, before = time.perf_counter(), now()
        answers = await self._send([("TIME",), ("INFO", "server"), ("INFO", "memory")])
        for answer in answers:
            if isinstance(answer, Exception):
                raise CommandRefused(str(answer))
        (seconds, micros), *sections = answers
        took_s = time.perf_counter() - began_at
        facts = dict(_FACT.findall(b"".join(sections).decode("utf-8", "replace")))
        return RedisFacts(
            version=facts.get("redis_version", ""),
            policy=facts.get("maxmemory_policy", ""),
            used_bytes=int(facts.get("used_memory", 0)),
            max_bytes=int(facts.get("maxmemory", 0)),
            told_at=datetime.fromtimestamp(int(seconds) + int(micros) / 1e6, UTC),
            asked_at=before + (now() - before) / 2,
            answer_ms=took_s * 1000,
        )

    async def open_subscription(self) -> Subscription:
        """A connection of its own for messages."""
        async with _translated(self._timeout_s):
            return Subscription(await self._connect(), self._timeout_s)

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        """An answer to each command, sent together; a refusal is the library's exception."""
        try:
            wire = self._wire
            if wire is None or wire.is_lost:
                wire = await self._open()
            return await wire.send(commands)
        except (exceptions.RedisError, OSError) as error:
            raise _to_failure(error, self._timeout_s) from None

    async def _open(self) -> RedisWire:
        async with self._opening:
            if self._wire is None or self._wire.is_lost:
                self._wire = RedisWire(await self._connect(), self._timeout_s)
            return self._wire

    async def _connect(self) -> AbstractConnection:
        connection = self._kind(**self._options)
        async with asyncio.timeout(self._timeout_s):
            await connection.connect()
        return connection


class Subscription:
    """A connection that takes messages of channels; once it has failed, it is of no more use."""

    def __init__(self, connection: AbstractConnection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    async def send(self, *command: Value) -> None:
        """Sends SUBSCRIBE, UNSUBSCRIBE or PING; what comes of it is read like messages."""
        async with _translated(self._timeout_s), asyncio.timeout(self._timeout_s):
            await self._connection.send_command(*command)

    async def read(self, timeout_s: float = math.inf) -> list[Any] | None:
        """What comes next, or None after a silence of ``timeout_s``.

        ``[b"message", channel, payload]``, ``[b"subscribe", channel, count]`` as soon as a channel
        is heard, ``[b"unsubscribe", …]``, ``[b"pong", b""]``.
        """
        async with _translated(self._timeout_s):
            return cast("Any", await self._connection.read_response(timeout=timeout_s))

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._connection.disconnect(nowait=True)


def _value(answer: Any) -> Any:
    """The answer unless it is a refusal, which is raised."""
    if isinstance(answer, Exception):
        raise _to_failure(answer, 0) from None
    return answer


@contextlib.asynccontextmanager
async def _translated(timeout_s: float) -> AsyncGenerator[None]:
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise _to_failure(error, timeout_s) from None


def _to_failure(error: Exception, timeout_s: float) -> RedisAway | CommandRefused:
    """The library's error in our words."""
    for kind, reason in _AWAY:
        # What goes wrong in opening a connection stands behind an error of its own.
        if isinstance(error, kind) or isinstance(error.__cause__, kind):
            return RedisAway(reason=reason)
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return RedisAway(reason=f"did not answer within {timeout_s:g} s")
    if isinstance(error, (OSError, exceptions.ConnectionError, exceptions.InvalidResponse)):
        return RedisAway(reason=f"cannot be reached: {str(error).rstrip('.')}")
    text = str(error)
    word = text.partition(" ")[0]
    if word in _AWAY_BY_WORD:
        return RedisAway(reason=_AWAY_BY_WORD[word])
    return CommandRefused(text)


def _to_options(settings: RedisSettings) -> tuple[type[AbstractConnection], dict[str, Any]]:
    """The kind of connection and its arguments. Raises StartError, which never repeats the address.

    Protocol 2 opens without a greeting, which older servers and proxies lack, and nothing here
    needs protocol 3.
    """
    kind: type[AbstractConnection] = Connection
    try:
        parsed = cast("dict[str, Any]", parse_url(settings.url or ""))
        kind = parsed.pop("connection_class", kind)
        options: dict[str, Any] = {
            **parsed,
            "protocol": 2,
            "driver_info": None,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,  # one bound on the whole call costs half as much
            "socket_connect_timeout": settings.timeout_s,
        }
        kind(**options)
    except (TypeError, ValueError, exceptions.RedisError) as error:
        raise StartError(
            f"REDIS_URL has a part that does not belong there ({type(error).__name__}): write it "
            "like redis://:password@host:6379/0, further parameters as redis-py has them."
        ) from None
    return kind, options
