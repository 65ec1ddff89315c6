"""Every error that sitebrook raises on purpose.

::

    SitebrookError
    ├── StartError                the process cannot start; one line for the operator
    └── RequestError              the request is refused; has a status-independent meaning
        ├── InvalidRequest        the caller must change the request (param names the field)
        │   ├── BodyTooLarge      the body is over the limit
        │   ├── UnsupportedBody   the content type is not one we read
        │   └── AddressRefused    a web address that is not a public one
        ├── RequestTooSlow        the request did not arrive in time
        ├── NotAuthenticated      no key, or one that does not exist or was revoked
        ├── NotPermitted          the key may not do this, or not from this origin
        ├── NotFound              no such thing for this caller
        │   └── ModelNotFound     no such model for this caller's site
        ├── Cancelled             what it was about was stopped by its caller
        ├── LimitReached          too many requests or streams; retry_after_s says when
        └── Unavailable           something we need does not answer; trying later may help
            ├── RedisAway         Redis does not answer, or takes no writes
            ├── WorkFailed            a child process gave no result; cause says why
            ├── PageFailed        a page of a website did not come
            ├── EmbedderSwitched  vectors were made by another embedder than the site's
            ├── Overtaken         who was to write a document is no longer the one to do it
            └── ProviderError     an upstream failed; see its fields
                └── ProviderNotAsked  it rests after failures, or has as much to do as it may

``sitebrook.api.errors`` is the only place that maps these to HTTP.
"""

from __future__ import annotations

from typing import Final, Literal

# HTTP statuses by which an upstream says that it does not take what was sent.
_OF_INPUT: Final = frozenset({400, 413, 422})

WorkEnd = Literal["start", "time", "memory", "crash", "answer", "error", "cancelled", "closed"]


class SitebrookError(Exception):
    """Root of all errors raised on purpose; ``str()`` is fit for the person who must act."""


class StartError(SitebrookError):
    """The process cannot start; the message is one line that says what to do."""


class RequestError(SitebrookError):
    """A request that is refused, with the machine-readable ``code`` and the field ``param``."""

    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code


class InvalidRequest(RequestError):
    """The caller must change the request; ``param`` names the field."""


class BodyTooLarge(InvalidRequest):
    """The request body is over the limit."""

    code = "body_too_large"


class UnsupportedBody(InvalidRequest):
    """The content type of the body is not one that this route reads."""

    code = "unsupported_media_type"


class AddressRefused(InvalidRequest):
    """A web address that may not be asked, because it is not a public one."""

    code = "address_refused"


class RequestTooSlow(RequestError):
    """The request did not arrive in time; the same one may on another connection."""

    code = "request_timeout"


class NotAuthenticated(RequestError):
    """No key, or a key that does not exist, was revoked or has expired."""

    code = "invalid_api_key"


class NotPermitted(RequestError):
    """The key is valid but may not do this, or not from this origin."""

    code = "not_permitted"


class NotFound(RequestError):
    """Nothing by that id for this caller; another site's id answers the same."""

    code = "not_found"


class ModelNotFound(NotFound):
    """No model by that name for this caller's site."""

    code = "model_not_found"


class Cancelled(RequestError):
    """What the request was about was stopped by its caller."""

    code = "cancelled"


class LimitReached(RequestError):
    """Too many requests or open streams; ``retry_after_s`` says when to try again."""

    code = "rate_limit_exceeded"


class Unavailable(RequestError):
    """Something that the answer needs does not respond; trying later may help."""

    code = "unavailable"


class RedisAway(Unavailable):
    """Redis does not answer, or takes no writes; ``reason`` tells the operator why."""

    code = "redis_unavailable"

    def __init__(
        self,
        message: str = "This is not available for a moment; try again in a few seconds.",
        *,
        reason: str = "",
    ) -> None:
        super().__init__(message, retry_after_s=3)
        self.reason = reason


class WorkFailed(Unavailable):
    """Work in a child process gave no result; ``cause`` says why.

    No child could be started; it ran into the bound of time or memory; crashed; gave an answer
    that is none; raised an error that nobody expected (``detail`` has its text); was cancelled by
    its caller; or was stopped with the process.
    """

    code = "work_failed"

    def __init__(
        self,
        message: str,
        *,
        cause: WorkEnd = "error",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.detail = detail


class PageFailed(Unavailable):
    """A page of a website did not come; the message completes "… because <message>"."""

    code = "page_failed"


class EmbedderSwitched(Unavailable):
    """The site's embedder is another one than the vectors were made by: make them anew."""

    code = "embedder_switched"


class Overtaken(Unavailable):
    """Another attempt goes on with the work, or it is no longer wanted; nothing was written."""

    code = "overtaken"


class ProviderError(Unavailable):
    """An upstream failed.

    ``upstream_status`` is its HTTP status or None; ``is_permanent`` says that the same request
    will fail again. The message never holds the upstream's own text.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        upstream_status: int | None = None,
        is_permanent: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.upstream_status = upstream_status
        self.is_permanent = is_permanent

    @property
    def refuses_input(self) -> bool:
        """Whether another input may be taken: not so for a key, a name or an account."""
        is_of_input = self.upstream_status in _OF_INPUT or self.code == "context_length_exceeded"
        return self.is_permanent and is_of_input and self.code != "insufficient_quota"


class ProviderNotAsked(ProviderError):
    """The upstream was left alone: it rests after failures, or has as much to do as it may."""

    code = "provider_resting"
