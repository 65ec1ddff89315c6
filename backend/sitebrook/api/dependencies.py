"""What handlers ask for by name."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency

from sitebrook.access.gate import Caller
from sitebrook.api.http import RequestHead, head_of
from sitebrook.api.latency import timings_of
from sitebrook.errors import NotPermitted
from sitebrook.parts import Parts


async def provide_parts(state: State) -> Parts:
    """The objects of this process."""
    return state.parts


async def provide_head(
    request: Request[Any, Any, Any], parts: NamedDependency[Parts]
) -> RequestHead:
    """The request's headers and the address it was sent to."""
    return head_of(request.scope, parts.settings.server.public_url)


async def provide_caller(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    head: NamedDependency[RequestHead],
) -> Caller:
    """Who sent the request."""
    caller = await parts.gate.find_caller(head.to_credentials())
    timings_of(request.scope).site_id = caller.site.id
    return caller


async def provide_server(caller: NamedDependency[Caller]) -> Caller:
    """A caller with a secret key. Raises NotPermitted for any other."""
    if not caller.has_secret_key:
        raise NotPermitted("This needs a secret key (sk-…).", code="secret_key_required")
    return caller
