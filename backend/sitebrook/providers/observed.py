"""A provider whose attempts are told to an observer and logged."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import Final

from sitebrook.errors import ProviderError
from sitebrook.providers.faults import outcome_of
from sitebrook.providers.observer import AttemptOutcome, ProviderObserver
from sitebrook.providers.protocol import Provider, ProviderRequest, ProviderStream, StreamEnd
from sitebrook.providers.wrapper import ProviderWrapper

_LOG: Final = logging.getLogger(__name__)


class ObservedProvider(ProviderWrapper):
    """Tells of each attempt once, when it is over; only failures are logged as warnings."""

    def __init__(self, provider: Provider, observer: ProviderObserver) -> None:
        super().__init__(provider)
        self._observer = observer

    async def open(self, request: ProviderRequest) -> ProviderStream:
        """A stream of the provider; see ``Provider.open``."""
        model, began = request.model, time.monotonic()
        try:
            stream = await self._provider.open(request)
        except ProviderError as failure:
            self._note(model, began, failure)
            raise
        except asyncio.CancelledError:
            self._note(model, began, None)
            raise
        stream.on_end(functools.partial(self._note_end, model, began))
        return stream

    def _note_end(self, model: str, began: float, end: StreamEnd) -> None:
        self._note(model, began, end.failure, is_whole=end.is_whole)

    def _note(
        self, model: str, began: float, failure: ProviderError | None, *, is_whole: bool = False
    ) -> None:
        seconds = time.monotonic() - began
        if failure is not None:
            outcome = outcome_of(failure)
        else:
            outcome = AttemptOutcome.ANSWERED if is_whole else AttemptOutcome.LEFT
        self._observer.note_attempt(self.name, model, outcome, seconds)
        level = logging.DEBUG if failure is None else logging.WARNING
        if _LOG.isEnabledFor(level):
            fields = {
                "provider": self.name,
                "upstream_model": model,
                "outcome": outcome.value,
                "status": None if failure is None else failure.upstream_status,
                "seconds": round(seconds, 3),
            }
            _LOG.log(level, "an attempt at a provider ended", extra=fields)
