"""The sockets of the server's port, one for each worker."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from sitebrook.errors import StartError

# Thousands of callers who connect within a second wait here instead of being refused.
BACKLOG: Final = 8192


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """``count`` listening sockets of one port, over which Linux spreads the connections.

    Elsewhere they are one socket that several processes may share. Raises StartError when the
    port is taken.
    """
    listeners: list[socket.socket] = []
    try:
        listeners.append(_bind(host, port))
        if sys.platform == "linux" and count > 1:
            # Set only after the port was bound alone: it must not be shared with another server.
            listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listeners += [_bind(host, port, is_shared=True) for _ in range(count - 1)]
        else:
            listeners += [listeners[0].dup() for _ in range(count - 1)]
        for listener in listeners:
            listener.listen(BACKLOG)
    except OSError as error:
        for listener in listeners:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken; stop what listens there or set SITEBROOK_PORT."
            ) from None
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return listeners


def stop_listening(listener: socket.socket) -> None:
    """Takes the socket out of those that connections are spread over, in every process.

    Elsewhere than on Linux it is shared, and nothing happens.
    """
    if sys.platform == "linux":
        listener.shutdown(socket.SHUT_RD)


def _bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
