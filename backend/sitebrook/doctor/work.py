"""What is checked of those who work for us: providers, embedders and job workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from sitebrook.doctor.findings import CHECK_S, Finding, fail, ok, warn
from sitebrook.errors import ProviderError, RequestError
from sitebrook.jobs.engine import JobEngine
from sitebrook.providers.protocol import GenerationOptions, PromptMessage, ProviderRequest
from sitebrook.providers.registry import RouteStep
from sitebrook.providers.router import Router, is_callers_fault
from sitebrook.retrieval.embedder import Embedder, HashingEmbedder
from sitebrook.settings import ProviderSettings
from sitebrook.telemetry.metrics import JobFigures

_QUESTION: Final = (PromptMessage(role="user", content="Say ok."),)
_ONE_TOKEN: Final = GenerationOptions(max_tokens=1)
_WORKERS: Final = "job workers"
_OLD_S: Final = 600.0
START_A_WORKER: Final = "Start `sitebrook serve`, or `sitebrook worker` where that runs no jobs."


async def check_providers(providers: Sequence[ProviderSettings], router: Router) -> list[Finding]:
    """What each provider says to a question for one token; all are asked at once."""
    asked = [one for one in providers if one.kind != "mock"]
    if not asked:
        says = "None is configured; the mock answers."
        return [ok("providers", f"{says} Set OPENAI_API_KEY or another to have real answers.")]
    steps = {step.provider.name: step for step in reversed(_steps(router))}
    checks = [_check_provider(one, steps.get(one.name)) for one in asked]
    return list(await asyncio.gather(*checks))


def _steps(router: Router) -> list[RouteStep]:
    return [step for model in router.models for step in router.route(model)]


async def _check_provider(settings: ProviderSettings, step: RouteStep | None) -> Finding:
    name = f"provider {settings.name}"
    if step is None:
        says = "No model is routed to it, so it was not asked."
        return warn(name, says, f"Add a model with the route '{settings.name}/<its model>'.")
    request = ProviderRequest(model=step.model, messages=_QUESTION, options=_ONE_TOKEN)
    try:
        async with asyncio.timeout(CHECK_S):
            stream = await step.provider.open(request)
            await stream.aclose()
    except TimeoutError:
        says = f"{step.model} began no answer within {CHECK_S:g} s."
        return fail(name, says, f"See whether {settings.base_url} is well and can be reached.")
    except ProviderError as error:
        if is_callers_fault(error):
            return ok(name, f"It takes the key; {step.model} refuses so short an answer.")
        return fail(name, _say(settings, step.model, error), _advise(settings, error))
    except RequestError as error:
        return warn(name, f"{step.model} was not asked: {error.message}", "See its settings.")
    return ok(name, f"{step.model} answers.")


def _say(settings: ProviderSettings, model: str, error: ProviderError) -> str:
    """What is wrong, for the operator; the error's own message is for who asked a question."""
    status = error.upstream_status
    if status in {401, 403}:
        return f"It refuses the key (HTTP {status})."
    if error.code == "insufficient_quota":
        return "Its account is used up."
    if status == 404:
        return f"It has no model '{model}', or {settings.base_url} is not its base URL (HTTP 404)."
    if status is not None and 300 <= status < 400:
        return f"{settings.base_url} answers with a redirect, which is not followed."
    if error.code == "provider_unreachable":
        return f"{settings.base_url} cannot be reached."
    if error.code == "provider_malformed":
        return f"{settings.base_url} answers, but not as a provider of this kind does."
    return error.message


def _advise(settings: ProviderSettings, error: ProviderError) -> str:
    base_url = settings.base_url_env or settings.base_url
    key = settings.api_key_env or f"the key of [[providers]] '{settings.name}'"
    if error.upstream_status in {401, 403}:
        return f"Set {key} to a key that is valid there." if settings.api_key else f"Set {key}."
    if error.code == "insufficient_quota":
        return "Pay the account at the provider, or use another one."
    if error.upstream_status == 404:
        return f"Correct the model's name in its route, or {base_url}, which ends in /v1."
    if error.upstream_status == 429:
        return "Wait, or raise the rate limit at the provider."
    if error.upstream_status is not None and 300 <= error.upstream_status < 400:
        return f"Set the final address as {settings.base_url_env or 'its base_url'}."
    return f"See whether {base_url} is right, and the provider well and reachable from here."


async def check_embedders(embedders: Sequence[Embedder]) -> list[Finding]:
    """Whether each embedder makes a vector of a question; all are asked at once."""
    asked = [one for one in embedders if not isinstance(one, HashingEmbedder)]
    return list(await asyncio.gather(*(_check_embedder(one) for one in asked)))


async def _check_embedder(embedder: Embedder) -> Finding:
    name = f"embedder {embedder.name}"
    advice = "See SITEBROOK_EMBEDDING_BASE_URL, its key and whether it can be reached from here."
    try:
        async with asyncio.timeout(CHECK_S):
            vector = await embedder.embed_question("ok")
    except TimeoutError:
        return fail(name, f"It made no vector within {CHECK_S:g} s.", advice)
    except RequestError as error:
        return fail(name, error.message, advice)
    return ok(name, f"It makes vectors of {len(vector)} numbers.")


async def check_jobs(jobs: JobEngine) -> list[Finding]:
    """Whether there is someone for the jobs that wait."""
    try:
        return [check_stats(await jobs.stats())]
    except RequestError as error:
        return [fail(_WORKERS, error.message, "Bring the database back first.")]


def check_stats(stats: JobFigures) -> Finding:
    """What is to be said of the workers that were seen and the jobs that are open."""
    waiting = sum(one.count for one in stats.open if one.status != "running")
    oldest_s = max((one.oldest_s for one in stats.open if one.status == "queued"), default=0.0)
    if not stats.workers:
        if not waiting:
            told = "`sitebrook serve` has one, unless SITEBROOK_JOBS_IN_SERVER is false."
            return ok(_WORKERS, f"None runs now, and no job waits; {told}")
        return fail(_WORKERS, f"No worker is there; jobs that wait: {waiting}.", START_A_WORKER)
    says = f"Workers seen lately: {stats.workers}, jobs that wait: {waiting}."
    if oldest_s > _OLD_S:
        advice = "Start more: `sitebrook worker`, or raise SITEBROOK_JOB_CONCURRENCY."
        return warn(_WORKERS, f"{says} The oldest is {oldest_s / 60:.0f} minutes old.", advice)
    return ok(_WORKERS, says)
