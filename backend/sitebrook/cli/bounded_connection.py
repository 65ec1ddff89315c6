"""A connection whose requests have bounds: the size of the head, the time to arrive."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sitebrook.api.connection import ClientConnection
from sitebrook.api.errors import to_reply
from sitebrook.errors import InvalidRequest, RequestError, RequestTooSlow

_HEAD_BYTES: Final = 65_536
# Below this a body does not arrive but holds the connection; the slowest mobile links send twice.
_LEAST_BYTES_PER_S: Final = 4_000
_REASONS: Final = {400: "Bad Request", 408: "Request Timeout"}


class BoundedConnection(ClientConnection):
    """A connection with bounds on requests, which httptools and uvicorn do not have."""

    _is_in_head = False
    _head_bytes = 0
    _body_bytes = 0
    _waited_s = 0.0

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the connection; a head over the bound is answered with 400."""
        was_in_head = self._is_in_head
        super().data_received(data)
        # Of the read in which a head begins it is not known how much is head: it counts as none.
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are over 64 KB.")

    def on_message_begin(self) -> None:
        """Begins to count."""
        self._is_in_head, self._head_bytes = True, 0
        self._body_bytes, self._waited_s = 0, 0.0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Ends counting."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def wait_for_request(self, elapsed_s: float, request_s: float) -> None:
        """Notes that time went by; closes the connection when its request is overdue.

        A request has ``request_s`` to arrive, and longer as long as its body keeps to the least
        rate. Time in which the server does not want to read counts for nothing.
        """
        if not self._is_awaited():
            self._waited_s = 0.0
            return
        if self.flow.read_paused or self.transport.is_closing():
            return
        self._waited_s += elapsed_s
        if self._waited_s > request_s + self._body_bytes / _LEAST_BYTES_PER_S:
            self._drop()

    def _is_awaited(self) -> bool:
        """Whether a request has begun, or a first one is to come, and is not whole yet."""
        cycle = self._cycle()
        if cycle is None:
            return True
        if cycle.response_complete:  # then uvicorn's timer runs until a byte comes
            return self.timeout_keep_alive_task is None
        return cycle.more_body and not cycle.waiting_for_100_continue

    def _drop(self) -> None:
        cycle = self._cycle()
        is_in_body = cycle is not None and not cycle.response_complete
        if cycle is not None and is_in_body and cycle.response_started:
            self.transport.abort()
        elif is_in_body or self._is_in_head:
            self._refuse(RequestTooSlow("The request did not arrive in time; send it again."))
        else:
            self.transport.close()

    def _cycle(self) -> RequestResponseCycle | None:
        """The request whose head came last; uvicorn does not say that there may be none."""
        return self.cycle

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP in the one error shape, and closes the connection."""
        self._refuse(InvalidRequest(msg, code="bad_request"))

    def _refuse(self, error: RequestError) -> None:
        reply = to_reply(error)
        body = reply.encode()
        head = (
            f"HTTP/1.1 {reply.status} {_REASONS[reply.status]}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
