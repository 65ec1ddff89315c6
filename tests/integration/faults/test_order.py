"""Deltas in bursts, in pieces and to slow readers: each arrives once and in its place."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time

import pytest
from tests.fakes.openai_faults import ANSWER
from tests.fakes.openai_scripts import chunk_of, event
from tests.fakes.transport_faults import chunked
from tests.fakes.upstream import Exchange, Script
from tests.integration.api.client import CHAT, events_of, question, text_of
from tests.integration.faults.asking import Faulty

pytestmark = pytest.mark.asyncio(loop_scope="session")

_DELTAS = 300
_STREAMS = 12


def _words(count: int, size: int) -> list[str]:
    return [f"{number}{'.' * size} " for number in range(count)]


def _in_pieces(words: list[str], seed: int) -> Script:
    """A script that cuts HTTP chunks and writes wherever chance has it, with small pauses."""
    chance = random.Random(seed)
    # Before the question: making 7 MB takes long on a busy machine, and a clock waits for them.
    framed = _framed(words, chance)

    async def play(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        at = 0
        while at < len(framed):
            size = chance.choice((1, 3, 100, 1000, 9000, 60_000))
            await exchange.raw(framed[at : at + size])
            at += size
            if chance.random() < 0.5:
                await asyncio.sleep(chance.choice((0, 0, 0.001)))

    return play


def _framed(words: list[str], chance: random.Random) -> bytes:
    body = b"".join(event(chunk_of({"content": word})) for word in words)
    body = ANSWER.start + body + ANSWER.finish + ANSWER.last
    at, framed = 0, bytearray()
    while at < len(body):
        size = chance.choice((1, 7, 50, 190, 400, 3000, 20_000))
        framed += chunked(body[at : at + size])
        at += size
    return bytes(framed) + b"0\r\n\r\n"


def _read_slowly(port: int, request: bytes) -> bytes:
    """The body of a stream that is read with pauses."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        received, pause_at = bytearray(), 1
        while not received.endswith(b"0\r\n\r\n"):
            read = client.recv(65_536)
            assert read, received[-200:]
            received += read
            if len(received) >= pause_at:  # until the server's side is full, more than once
                pause_at += 1_500_000
                time.sleep(0.2)
    return bytes(received)


def _unchunked(response: bytes) -> bytes:
    _, _, rest = response.partition(b"\r\n\r\n")
    body = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        rest = rest[length + 2 :]
    return bytes(body)


async def test_bursts_and_pieces_arrive_in_order(faulty: Faulty) -> None:
    words = _words(_DELTAS, 1)

    async def ask(seed: int, *, streams: bool) -> str:
        faulty.upstream.scripts[f"pieces-{seed}"] = _in_pieces(words, seed)
        text = f"pieces {seed} {streams}?"
        seen = await faulty.ask(f"openai/pieces-{seed}", text, stream=streams)
        if not streams:
            return seen.reply.json["choices"][0]["message"]["content"]
        chunks = events_of(seen.reply.body)
        assert chunks[-1] == "[DONE]"
        return text_of(chunks)

    texts = await asyncio.gather(*(ask(seed, streams=seed % 3 != 0) for seed in range(_STREAMS)))
    assert set(texts) == {"".join(words)}


async def test_a_slow_reader_gets_each_delta_once(faulty: Faulty) -> None:
    words = _words(2500, 2500)
    faulty.upstream.scripts["long"] = _in_pieces(words, 7)
    asked = question("slowly?", model="openai/long", retrieval={"off": True}, stream=True)
    body = json.dumps(asked).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {faulty.api.site.secret_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    response = await asyncio.to_thread(_read_slowly, faulty.api.server.port, head.encode() + body)
    chunks = events_of(_unchunked(response))
    assert chunks[-1] == "[DONE]"
    assert text_of(chunks) == "".join(words)
