"""Faults that the mock plays on demand, chosen by the upstream model's name.

======================  ==========================================================
``mock``                none
``mock-fail-<status>``  refuses with that HTTP status: ``mock-fail-429``
``mock-quota``          refuses as an account that is used up
``mock-stall``          never sends a first delta
``mock-stall-<n>``      falls silent after n deltas
``mock-truncate-<n>``   breaks off after n deltas
======================  ==========================================================

To reach one, give it a model (``route = ["mock/mock-stall-3"]``) or set ``passthrough = true`` on
the mock. Every other name behaves as ``mock``.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sitebrook.errors import ProviderError
from sitebrook.providers import faults

_NAME: Final = re.compile(r"mock-(fail|quota|stall|truncate)(?:-(\d{1,6}))?")


class MockFault(msgspec.Struct, frozen=True):
    """What goes wrong, and after how many deltas."""

    refusal: ProviderError | None = None
    stalls_after: int | None = None
    breaks_after: int | None = None


def fault_of(provider: str, model: str) -> MockFault:
    """The fault that a model's name asks for."""
    found = _NAME.fullmatch(model)
    if found is None:
        return MockFault()
    kind, number = found[1], int(found[2] or 0)
    if kind == "stall":
        return MockFault(stalls_after=number)
    if kind == "truncate":
        return MockFault(breaks_after=max(number, 1))
    status = 429 if kind == "quota" else number or 500
    body = b'{"error":{"code":"insufficient_quota"}}' if kind == "quota" else b""
    return MockFault(refusal=faults.from_status(provider, model, status, {}, body))
