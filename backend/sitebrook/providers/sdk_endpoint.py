"""A model behind an endpoint that is asked through the SDK of OpenAI, its failures as ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import openai

from sitebrook.errors import ProviderError
from sitebrook.providers import faults


class SdkEndpoint:
    """One model at ``base_url``. ``kind`` says in errors what the endpoint is.

    It retries nothing itself, follows no redirects and uses no proxy of the environment.
    """

    def __init__(
        self, kind: str, *, base_url: str, api_key: str | None, model: str, timeout_s: float
    ) -> None:
        self.host = urlsplit(base_url).netloc.rpartition("@")[2]
        self.client = openai.AsyncOpenAI(
            api_key=api_key or "none",  # the SDK wants one; endpoints without keys ignore it
            base_url=base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False),
        )
        self._kind = kind
        self._model = model
        self._timeout_s = timeout_s

    @contextmanager
    def translating(self) -> Generator[None]:
        """Raises ProviderError for what the SDK raises in the block."""
        try:
            yield
        except openai.APIStatusError as error:
            raise faults.from_status(
                self.host,
                self._model,
                error.status_code,
                error.response.headers,
                error.response.content,
            ) from None
        except openai.APITimeoutError:
            raise faults.did_not_start(self.host, self._timeout_s) from None
        except openai.APIConnectionError:
            raise faults.unreachable(self.host) from None
        except (openai.OpenAIError, ValueError, TypeError):  # not JSON, or not of the wire's shape
            raise self.malformed(f"did not answer as {self._kind}") from None

    def malformed(self, what: str) -> ProviderError:
        """The failure of an endpoint that answered nonsense: ``what`` it did."""
        return faults.malformed(self.host, what)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.client.close()
