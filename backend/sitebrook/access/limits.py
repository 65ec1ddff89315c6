"""How often, and how much at once, a key, a visitor and an address may ask."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from sitebrook.access.gate import Caller
from sitebrook.errors import LimitReached
from sitebrook.settings import LimitSettings

WINDOW_S: Final = 60.0
# How soon a caller may look again whether one of its answers has ended.
_STREAM_RETRY_S: Final = 5.0
_PURGE_ENTRIES: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What one subject may do; 0 is without bound."""

    scope: Literal["key", "visitor", "address"]
    id: str
    requests_per_minute: int
    open_answers: int


class Limiter(Protocol):
    """Counts requests and open answers of subjects, for one process or for all that share it."""

    async def open(self, allowances: Sequence[Allowance]) -> None:
        """Counts one request and one open answer for every subject, or for none.

        Raises LimitReached with the seconds after which it is worth trying again.
        """
        ...

    async def close(self, allowances: Sequence[Allowance]) -> None:
        """Counts the open answer off again."""
        ...

    async def count(self, allowances: Sequence[Allowance]) -> None:
        """Counts one request without an answer. Raises LimitReached."""
        ...

    async def run(self) -> None:
        """Does what is due beside requests until it is cancelled; then counts all answers off."""
        ...


class ProcessLimiter:
    """Limits of this process alone.

    Requests are counted by the generic cell rate algorithm (ITU-T I.371): one number for each
    subject, a minute's worth at once, then one each ``60 / limit`` seconds. ``clock`` tells
    seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at: dict[tuple[str, str], float] = {}
        self._open: dict[tuple[str, str], int] = {}
        self._purge_at = _PURGE_ENTRIES

    async def open(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.open``."""
        for one in allowances:
            if one.open_answers and self._open.get(_name(one), 0) >= one.open_answers:
                raise too_many_answers(one)
        self._count(allowances)
        self.hold(allowances)

    async def close(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.close``."""
        self.release(allowances)

    async def count(self, allowances: Sequence[Allowance]) -> None:
        """See ``Limiter.count``."""
        self._count(allowances)

    async def run(self) -> None:
        """See ``Limiter.run``; nothing is due."""

    def hold(self, allowances: Sequence[Allowance]) -> None:
        """Counts one open answer, whatever the limit is."""
        for one in allowances:
            self._open[_name(one)] = self._open.get(_name(one), 0) + 1

    def release(self, allowances: Sequence[Allowance]) -> None:
        """Counts it off."""
        for one in allowances:
            left = self._open.pop(_name(one)) - 1
            if left:
                self._open[_name(one)] = left

    def count_open(self, allowance: Allowance) -> int:
        """How many open answers it has."""
        return self._open.get(_name(allowance), 0)

    def _count(self, allowances: Sequence[Allowance]) -> None:
        now = self._clock()
        due: dict[tuple[str, str], float] = {}
        for one in allowances:
            if not one.requests_per_minute:
                continue
            name = _name(one)
            at = max(now, self._due_at.get(name, 0.0)) + WINDOW_S / one.requests_per_minute
            # The rounding of many steps must not cost the last request of a full minute.
            if at - now > WINDOW_S + 1e-6:
                raise too_often(one, at - now - WINDOW_S)
            due[name] = at
        self._due_at.update(due)
        if len(self._due_at) >= self._purge_at:
            self._due_at = {name: at for name, at in self._due_at.items() if at > now}
            self._purge_at = max(_PURGE_ENTRIES, 2 * len(self._due_at))


def allowances_of(caller: Caller, address: str, limits: LimitSettings) -> tuple[Allowance, ...]:
    """The limits that a question of this caller counts against, those without bound left out.

    A secret key is a server's, behind whose address all its users are: only the key counts.
    """
    found = _allowances_of(caller, address, limits)
    return tuple([one for one in found if one.requests_per_minute or one.open_answers])


def _allowances_of(caller: Caller, address: str, limits: LimitSettings) -> list[Allowance]:
    found = [*allowances_of_key(caller, limits)]
    if caller.has_secret_key:
        return found
    found.append(allowance_of_address(address, limits))
    if caller.visitor_id is not None:
        found.append(
            Allowance(
                "visitor",
                caller.visitor_id,
                limits.visitor_requests_per_minute,
                limits.visitor_open_answers,
            )
        )
    return found


def allowances_of_key(caller: Caller, limits: LimitSettings) -> tuple[Allowance, ...]:
    """The limits of the caller's key alone, for what a site's server asks without an answer."""
    return (
        Allowance("key", caller.key_id, limits.key_requests_per_minute, limits.key_open_answers),
    )


def allowance_of_address(address: str, limits: LimitSettings) -> Allowance:
    """The limits of a visitor's address; of IPv6 the network, which one household or host has."""
    return Allowance(
        "address",
        _to_network(address),
        limits.address_requests_per_minute,
        limits.address_open_answers,
    )


def _to_network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))


def _name(allowance: Allowance) -> tuple[str, str]:
    return allowance.scope, allowance.id


def too_often(allowance: Allowance, wait_s: float) -> LimitReached:
    """The refusal of a subject that may ask again after ``wait_s``."""
    seconds = max(1, math.ceil(wait_s))
    what = {
        "key": "This site gets too many questions at the moment",
        "visitor": "You are asking very quickly",
        "address": "Too many questions come from your network",
    }[allowance.scope]
    return LimitReached(
        f"{what}. Please try again in {seconds} s.",
        code=f"{allowance.scope}_rate_limit",
        retry_after_s=wait_s,
    )


def too_many_answers(allowance: Allowance) -> LimitReached:
    """The refusal of a subject that has as many open answers as it may."""
    what = {
        "key": "This site is giving as many answers at once as it may",
        "visitor": "Your earlier question is still being answered",
        "address": "Too many questions from your network are being answered",
    }[allowance.scope]
    return LimitReached(
        f"{what}. Please try again when one has ended.",
        code=f"{allowance.scope}_open_answers_limit",
        retry_after_s=_STREAM_RETRY_S,
    )
