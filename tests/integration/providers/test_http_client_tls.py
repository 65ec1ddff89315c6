"""The HTTP client over TLS, with a certificate made for the run."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.providers.reading import request

from sitebrook.errors import ProviderError
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.openai_compatible import OpenAICompatibleProvider
from sitebrook.settings import ProviderSettings

# In CI a missing openssl fails the tests instead.
pytestmark = pytest.mark.skipif(
    not shutil.which("openssl") and os.environ.get("CI") != "true",
    reason="apt-get install openssl",
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    subprocess.run(
        [*command.split(), "subjectAltName=DNS:localhost", "-keyout", key, "-out", made],
        check=True,
        capture_output=True,
    )
    return made, key


@pytest.fixture
async def port(certificate) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()
    await asyncio.sleep(0.02)  # until the server has seen it


async def test_a_certificate_of_a_known_authority_is_taken(client, port, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    target = client.prepare(f"https://localhost:{port}/v1", {})
    response = await client.post(target, b"")
    assert await response.read() == b"hello"


async def test_a_certificate_for_another_name_is_refused(client, port, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.post(client.prepare(f"https://127.0.0.1:{port}/v1", {}), b"")


async def test_an_upstream_with_a_self_signed_certificate_cannot_be_reached(client, port):
    settings = ProviderSettings(name="fake", base_url=f"https://localhost:{port}/v1")
    with pytest.raises(ProviderError) as refused:
        await OpenAICompatibleProvider(settings, client).open(request("normal"))
    assert refused.value.code == "provider_unreachable"


async def test_leaving_in_the_middle_of_a_handshake_closes_the_connection(client):
    closed = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        closed.set()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        posting = asyncio.ensure_future(
            client.post(client.prepare(f"https://localhost:{port}/v1", {}), b"")
        )
        await asyncio.sleep(0.05)
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting
        await asyncio.wait_for(closed.wait(), 1)
