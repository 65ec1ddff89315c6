"""A server without file descriptors: it refuses what it cannot take, and recovers."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path

from tests.commands import wait_until
from tests.servers import RunningServer, running_server

ASK = b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def status_of(server: RunningServer) -> bytes:
    """The status line of an answer, empty when the connection is closed without one."""
    try:
        with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            connection.sendall(ASK)
            return connection.recv(12)
    except OSError:
        return b""


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_server_out_of_descriptors_rests_and_answers_again(database_url: str) -> None:
    with running_server(database_url) as server, contextlib.ExitStack() as held:
        pid = server.process.pid
        limit = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 40
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        connections = [
            held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(120)
        ]
        wait_until(lambda: status_of(server) == b"")
        used_s, began_at = cpu_s(pid), time.monotonic()
        time.sleep(1)
        assert cpu_s(pid) - used_s < 0.5 * (time.monotonic() - began_at)
        for connection in connections:
            connection.close()
        wait_until(lambda: status_of(server) == b"HTTP/1.1 200")
        assert server.process.poll() is None
