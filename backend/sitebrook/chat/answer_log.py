"""Answers in the event log, for readers that come back to them or come later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.events.log import DELTA, SNAPSHOT, Event, EventLog, to_stream
from sitebrook.providers.protocol import Delta, Finish, Usage

_LOG: Final = logging.getLogger(__name__)
KIND: Final = "answer"
"""What an answer's stream is called by in the names of streams."""
BEGUN: Final = "begun"
ERROR: Final = "error"
_CITED: Final = "cited"
_FINISH: Final = "finish"
_USAGE: Final = "usage"
_NOTHING: Final = b"null"  # the summary of a stream whose writer told none


class AnswerHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an answer's stream before the answer: its format, and whose it is."""

    format: str
    includes_usage: bool = False
    visitor_id: str | None = None


class Begun(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The first event: what is known of the answer when its first delta has arrived."""

    id: str
    conversation_id: str | None = None
    model: str
    provider: str
    upstream_model: str = ""
    created: int

    def to_origin(self) -> AnswerOrigin:
        """The same as the answer has it."""
        return AnswerOrigin(**msgspec.structs.asdict(self))


class LoggedError(msgspec.Struct, frozen=True):
    """The error body with which the answer broke off, as JSON."""

    body: bytes


LoggedEvent = Begun | AnswerEvent | LoggedError
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    BEGUN: msgspec.json.Decoder(Begun),
    DELTA: msgspec.json.Decoder(Delta | str),
    _CITED: msgspec.json.Decoder(Cited),
    _FINISH: msgspec.json.Decoder(Finish),
    _USAGE: msgspec.json.Decoder(Usage),
}
_KINDS: Final[dict[type, str]] = {Cited: _CITED, Finish: _FINISH, Usage: _USAGE}
_Summary = list[tuple[str, msgspec.Raw]]
_SUMMARY: Final[msgspec.json.Decoder[_Summary]] = msgspec.json.Decoder(_Summary)


class AnswerLog:
    """Writes the events of one answer; the sink beside the client's stream.

    ``begin`` comes before every ``add``. Nothing here waits, and nothing that happens to the log
    ends the answer: what is too large for it, or comes after it was given up, ends the log alone.
    """

    def __init__(self, log: EventLog, site_id: str, answer_id: str, head: AnswerHead) -> None:
        self._writer = log.writer(stream_of(site_id, answer_id), 1, head)
        self._writer.snapshot(self._sum_up)
        self._begun: Begun | None = None
        self._is_given_up = False
        self._texts: dict[int, list[str]] = {}
        self._others: list[tuple[str, object]] = []

    def on_cancel(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` when someone asks for the end of the answer."""
        self._writer.on_cancel(listener)

    def begin(self, origin: AnswerOrigin) -> None:
        """Tells what the answer is."""
        self._begun = Begun(
            id=origin.id,
            conversation_id=origin.conversation_id,
            model=origin.model,
            provider=origin.provider,
            upstream_model=origin.upstream_model,
            created=origin.created,
        )
        self._emit(BEGUN, self._begun)

    def add(self, event: AnswerEvent) -> str:
        """The position behind the event, which was added; empty once the log was given up."""
        if isinstance(event, Delta):
            content = event.content
            if content and event.index == 0 and is_plain(event):
                self._texts.setdefault(0, []).append(content)
                return self._emit(DELTA, content)
            return self._add_delta(event)
        kind = _KINDS[type(event)]
        self._others.append((kind, event))
        return self._emit(kind, event)

    def fail(self, body: bytes) -> None:
        """The answer broke off with this error body; then it is closed."""
        self._emit(ERROR, msgspec.Raw(body))
        self.close()

    def close(self) -> None:
        """The answer is over."""
        self._writer.close()

    def abandon(self) -> None:
        """The answer is given up, unless it is over."""
        self._writer.abandon()

    def _add_delta(self, delta: Delta) -> str:
        if delta.content:
            self._texts.setdefault(delta.index, []).append(delta.content)
        if not is_plain(delta):
            self._others.append((DELTA, msgspec.structs.replace(delta, content="")))
        return self._emit(DELTA, delta)

    def _emit(self, kind: str, payload: object) -> str:
        if self._is_given_up:
            return ""
        try:
            return self._writer.emit(kind, payload).position
        except ValueError as error:
            _LOG.warning("an answer cannot be resumed any more: %s", error)
            self._is_given_up = True
            self._writer.abandon()
            return ""

    def _sum_up(self) -> list[tuple[str, object]]:
        """All events so far as few: each choice's text in one piece, before what came beside it."""
        if self._begun is None:
            return []
        texts = [
            (DELTA, Delta(index=index, content="".join(pieces)))
            for index, pieces in self._texts.items()
        ]
        return [(BEGUN, self._begun), *texts, *self._others]


def is_plain(delta: Delta) -> bool:
    """Whether the delta is text and nothing beside it."""
    return not (
        delta.tool_calls or delta.refusal or delta.reasoning_content or delta.logprobs is not None
    )


def stream_of(site_id: str, answer_id: str) -> str:
    """The name of an answer's stream."""
    return to_stream(site_id, KIND, answer_id)


def to_head(head: object) -> AnswerHead:
    """The head as a reader of the log gets it."""
    return msgspec.convert(head, AnswerHead)


def from_log(event: Event) -> list[LoggedEvent]:
    """What an event of the log tells; a snapshot tells all that was before it."""
    if event.kind != SNAPSHOT:
        return _decode(event.kind, event.data)
    summary = [] if event.data == _NOTHING else _SUMMARY.decode(event.data)
    return [found for kind, data in summary for found in _decode(kind, bytes(data))]


def _decode(kind: str, data: bytes) -> list[LoggedEvent]:
    if kind == ERROR:
        return [LoggedError(data)]
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return []
    found = decoder.decode(data)
    return [Delta(content=found) if isinstance(found, str) else found]
