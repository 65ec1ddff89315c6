"""The limits that processes share: counted in Redis, or by each process while that is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import Final

from sitebrook.access.limits import (
    WINDOW_S,
    Allowance,
    ProcessLimiter,
    too_many_answers,
    too_often,
)
from sitebrook.db.redis import RedisConnection, RedisNews
from sitebrook.db.redis_commands import CommandRefused, Script, ScriptCall
from sitebrook.errors import RedisAway

_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 500
# Answers that end soon after each other are told together; each by itself would cost a round trip.
_PAUSE_S: Final = 0.02
# Time in microseconds of Redis's clock, from an epoch so late that doubles keep fractions of it.
# A process notes how many answers to a subject it has open, in a hash with a field of its own:
# the number, when that lapses, and which note it is, since connections may overtake each other.
_COMMON: Final = """
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local function note(process, count, number, lease)
  local held = redis.call('HGET', KEYS[1], process)
  if held and tonumber(string.match(held, '%d+$')) > tonumber(number) then return end
  redis.call('HSET', KEYS[1], process, string.format('%d %.0f %d', count, now + lease, number))
  redis.call('PEXPIRE', KEYS[1], math.ceil(lease / 500))
end
"""
_NOTE: Final = Script(_COMMON + "note(unpack(ARGV))")
# KEYS: open answers, due time. Returns 0, or 1 for too many answers, or 2 for too many requests
# and the microseconds to wait.
_ADMIT: Final = Script(
    _COMMON
    + """
local process, count, number, lease, most, step, window = unpack(ARGV)
if tonumber(most) > 0 then
  local open = tonumber(count)
  local held = redis.call('HGETALL', KEYS[1])
  for i = 1, #held, 2 do
    if held[i] ~= process then
      local others, lapses = string.match(held[i + 1], '^(%d+) (%d+)')
      if tonumber(lapses) > now then
        open = open + others
      else
        redis.call('HDEL', KEYS[1], held[i])
      end
    end
  end
  if open > tonumber(most) then return {1, 0} end
end
if tonumber(step) > 0 then
  local due = math.max(now, tonumber(redis.call('GET', KEYS[2]) or 0)) + step
  local wait = due - now - window
  if wait > 100 then return {2, math.ceil(wait)} end
  redis.call('SET', KEYS[2], string.format('%.3f', due), 'PX', math.ceil((due - now) / 1000))
end
if tonumber(most) > 0 then note(process, count, number, lease) end
return {0, 0}
"""
)
# KEYS: due time. Takes back one request that another subject's limit has refused.
_TAKE_BACK: Final = Script(
    _COMMON
    + """
local due = tonumber(redis.call('GET', KEYS[1]) or 0) - ARGV[1]
if due <= now then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], string.format('%.3f', due), 'PX', math.ceil((due - now) / 1000))
"""
)
_MICROSECONDS: Final = 1_000_000


class RedisLimiter:
    """Limits of all processes that share a Redis.

    Requests are counted as ``ProcessLimiter`` does. Open answers are a lease of the process: it
    tells how many it has when that changes and every third of ``lease_s``; those of a process that
    was killed lapse. One round trip for a question; the keys of each subject have a hash tag of
    their own. While Redis is away this process counts by itself.
    """

    def __init__(self, redis: RedisConnection, *, lease_s: float) -> None:
        self._redis = redis
        self._lease_s = lease_s
        self._local = ProcessLimiter()
        self._process = secrets.token_hex(8)
        self._number = 0
        # Subjects with open answers, and when Redis was told of them; those that it must be told.
        self._told_at: dict[Allowance, float] = {}
        self._changed: set[Allowance] = set()
        self._has_changed = asyncio.Event()
        redis.on_news(self._hear)

    async def open(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.open``."""
        if self._redis.is_up:
            self._local.hold(allowances)
            is_held = False
            try:
                is_held = await self._is_admitted(allowances, holds=True)
            finally:  # also when the caller left meanwhile
                if not is_held:
                    self._release(allowances)
            if is_held:
                return
        await self._local.open(allowances)
        self._told_at.update({one: 0.0 for one in allowances if one.open_answers})

    async def close(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.close``; Redis learns of it a moment later."""
        self._release(allowances)

    async def count(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.count``."""
        if not (self._redis.is_up and await self._is_admitted(allowances, holds=False)):
            await self._local.count(allowances)

    async def run(self) -> None:
        """See ``Limiter.run``."""
        loop = asyncio.get_running_loop()
        period_s = self._lease_s / 3
        renew_at = loop.time() + period_s
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(renew_at):
                        await self._has_changed.wait()
                now = loop.time()
                if now >= renew_at:
                    renew_at = now + period_s
                    told = self._told_at.items()
                    self._changed.update(one for one, at in told if at <= now - period_s)
                await self._tell(self._take_changed())
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._local = ProcessLimiter()
            await self._tell({*self._take_changed(), *self._told_at})

    async def _is_admitted(self, allowances: Sequence[Allowance], *, holds: bool) -> bool:
        """Whether Redis has counted this; False without Redis. Raises LimitReached."""
        calls = [self._to_call(one, holds=holds) for one in allowances]
        try:
            answers = await self._redis.run_script(_ADMIT, calls)
        except (RedisAway, CommandRefused) as error:
            _log_refused(error)
            return False
        pairs: list[tuple[Allowance, int, int]] = [
            (one, code, wait) for one, (code, wait) in zip(allowances, answers, strict=True)
        ]
        refused = [pair for pair in pairs if pair[1]]
        if refused:
            await self._take_back([one for one, code, _ in pairs if not code])
            # As in ProcessLimiter, the number of open answers comes before the rate.
            one, code, wait = min(refused, key=lambda pair: pair[1])
            raise too_many_answers(one) if code == 1 else too_often(one, wait / _MICROSECONDS)
        if holds:
            now = asyncio.get_running_loop().time()
            self._told_at.update({one: now for one in allowances if one.open_answers})
        return True

    def _to_call(self, one: Allowance, *, holds: bool) -> ScriptCall:
        self._number += 1
        count = self._local.count_open(one)
        most = one.open_answers if holds else 0
        step = WINDOW_S * _MICROSECONDS / one.requests_per_minute if one.requests_per_minute else 0
        lease, window = int(self._lease_s * _MICROSECONDS), int(WINDOW_S * _MICROSECONDS)
        keys = (self._key("open", one), self._key("due", one))
        return keys, (self._process, count, self._number, lease, most, step, window)

    async def _take_back(self, admitted: Iterable[Allowance]) -> None:
        calls: list[ScriptCall] = [
            ((self._key("due", one),), (WINDOW_S * _MICROSECONDS / one.requests_per_minute,))
            for one in admitted
            if one.requests_per_minute
        ]
        if calls:
            with contextlib.suppress(RedisAway, CommandRefused):
                await self._redis.run_script(_TAKE_BACK, calls)

    def _release(self, allowances: Sequence[Allowance]) -> None:
        self._local.release(allowances)
        for one in allowances:
            if not self._local.count_open(one):
                self._told_at.pop(one, None)
            if one.open_answers:
                self._changed.add(one)
                self._has_changed.set()

    def _hear(self, news: RedisNews) -> None:
        """What Redis has lost it is told again."""
        if news is not RedisNews.AWAY:
            self._changed.update(self._told_at)
            self._has_changed.set()

    def _take_changed(self) -> set[Allowance]:
        changed, self._changed = self._changed, set()
        self._has_changed.clear()
        return changed

    async def _tell(self, subjects: set[Allowance]) -> None:
        """Tells Redis how many open answers there are; what it does not hear lapses."""
        waiting = list(subjects)
        lease = int(self._lease_s * _MICROSECONDS)
        while waiting and self._redis.is_up:
            chunk, waiting = waiting[:_CHUNK], waiting[_CHUNK:]
            calls: list[ScriptCall] = []
            now = asyncio.get_running_loop().time()
            for one in chunk:
                self._number += 1
                count = self._local.count_open(one)
                calls.append(
                    ((self._key("open", one),), (self._process, count, self._number, lease))
                )
                if count:
                    self._told_at[one] = now
            try:
                await self._redis.run_script(_NOTE, calls)
            except (RedisAway, CommandRefused) as error:
                _log_refused(error)
                return

    def _key(self, kind: str, one: Allowance) -> str:
        return self._redis.key(kind, f"{one.scope}:{one.id}")


def _log_refused(error: RedisAway | CommandRefused) -> None:
    """Redis being away is told once by its connection; anything else is a fault of ours."""
    if isinstance(error, CommandRefused):
        _LOG.error("Redis refuses to count the limits", extra={"why": str(error)})
