"""Providers and models as configured: from well-known key variables and the settings file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import msgspec

from sitebrook.errors import StartError

ProviderKind = Literal["openai", "anthropic", "mock"]
_LONGEST: Final = 1e9  # no timer takes inf
Positive = Annotated[float, msgspec.Meta(gt=0, le=_LONGEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=_LONGEST)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One upstream. ``api_key`` is what ``api_key_env`` named; times are seconds.

    ``base_url_env`` is the variable that ``base_url`` came from, if one did.
    ``max_tokens`` is the limit of answers to requests that set none, where the wire wants one;
    ``max_concurrency`` 0 is any number at once, ``breaker_failures`` 0 no breaker.
    """

    name: str
    kind: ProviderKind = "openai"
    base_url: str = ""
    base_url_env: str = ""
    api_key_env: str = ""
    api_key: str = ""
    passthrough: bool = False
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    first_delta_timeout_s: Positive = 30
    idle_timeout_s: Positive = 30
    total_timeout_s: Positive = 300
    max_concurrency: Count = 10_000
    queue_timeout_s: NotNegative = 1
    breaker_failures: Count = 5
    breaker_share: NotNegative = 0.5
    breaker_window_s: Positive = 30
    breaker_rest_s: NotNegative = 5
    breaker_max_rest_s: NotNegative = 60
    breaker_probes: Annotated[int, msgspec.Meta(ge=1)] = 2
    first_delta_delay_s: NotNegative = 0.25
    delta_delay_s: NotNegative = 0.02


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model that clients may ask for. ``route`` names ``provider/model`` pairs in order.

    Prices are money per million tokens; None is unknown. Those of the model ``provider/model`` go
    before those of a model that is routed to it.
    """

    id: str
    route: tuple[str, ...] = ()
    input_price: Price | None = None
    output_price: Price | None = None
    cached_input_price: Price | None = None
    context_tokens: int = 128_000


class _CommonModel(msgspec.Struct, frozen=True):
    name: str
    context_tokens: int
    input_price: float | None = None
    output_price: float | None = None


class _WellKnown(msgspec.Struct, frozen=True):
    name: str
    key_env: str
    base_url: str
    base_url_env: str
    models: tuple[_CommonModel, ...]
    kind: ProviderKind = "openai"


# List prices in US dollars per million tokens without discounts for cached input, November 2026.
# Anthropic's are from the model pages of platform.claude.com; Claude Haiku 5.5 costs five times as
# much for a prompt of over 100,000 tokens. OpenAI's and Groq's are as price lists of other projects
# repeat them. Mistral's names mean whatever model is the newest, so their price is not known here.
WELL_KNOWN: Final = (
    _WellKnown(
        "openai",
        "OPENAI_API_KEY",
        "https://api.openai.com/v1",
        "OPENAI_BASE_URL",
        (
            _CommonModel("gpt-4o-mini", 128_000, 0.15, 0.60),
            _CommonModel("gpt-4o", 128_000, 2.50, 10.00),
            _CommonModel("gpt-4.1-mini", 1_047_576, 0.40, 1.60),
        ),
    ),
    _WellKnown(
        "anthropic",
        "ANTHROPIC_API_KEY",
        "https://api.anthropic.com/v1",
        "ANTHROPIC_BASE_URL",
        (
            _CommonModel("claude-haiku-5-5", 1_000_000, 0.10, 0.50),
            _CommonModel("claude-sonnet-5-5", 1_000_000, 2.00, 10.00),
            _CommonModel("claude-opus-5-5", 1_000_000, 4.00, 20.00),
        ),
        kind="anthropic",
    ),
    _WellKnown(
        "groq",
        "GROQ_API_KEY",
        "https://api.groq.com/openai/v1",
        "GROQ_BASE_URL",
        (
            _CommonModel("openai/gpt-oss-120b", 131_072, 0.15, 0.60),
            _CommonModel("openai/gpt-oss-20b", 131_072, 0.075, 0.30),
        ),
    ),
    _WellKnown(
        "mistral",
        "MISTRAL_API_KEY",
        "https://api.mistral.ai/v1",
        "MISTRAL_BASE_URL",
        (
            _CommonModel("mistral-small-latest", 128_000),
            _CommonModel("mistral-large-latest", 128_000),
        ),
    ),
)

_ANTHROPIC_URL: Final = next(one.base_url for one in WELL_KNOWN if one.kind == "anthropic")
MOCK_MODEL: Final = "mock"
_SCHEMES: Final = ("http://", "https://")
_FROM_ENV: Final = frozenset({"api_key", "base_url_env"})
_AT_ROW: Final = re.compile(r"(.*) - at `\$\[(\d+)\]\.?([^`]*)`")


def load_catalogue(
    environ: Mapping[str, str],
    providers: list[Any],
    models: list[Any],
    *,
    defaults: Mapping[str, float],
) -> tuple[tuple[ProviderSettings, ...], tuple[ModelSettings, ...]]:
    """Providers and models in order of preference; the mock is always there, and always last.

    ``defaults`` are for fields that a provider's row does not have.
    """
    providers = _with_defaults(providers, defaults)
    provider_list = _convert_rows(providers, ProviderSettings, "providers")
    model_list = _convert_rows(models, ModelSettings, "models")
    provider_list = [_with_key(provider, environ) for provider in provider_list]
    for known in WELL_KNOWN:
        if any(provider.name == known.name for provider in provider_list):
            if not _is_routed_to(known.name, model_list):
                model_list += _common_models(known, model_list)
        elif key := environ.get(known.key_env, "").strip():
            row = {"name": known.name, "kind": known.kind, **_base_url(known, environ)}
            row |= {"api_key": key, "api_key_env": known.key_env}
            provider_list += _convert_rows(
                _with_defaults([row], defaults), ProviderSettings, "providers"
            )
            model_list += _common_models(known, model_list)
    if not any(provider.name == MOCK_MODEL for provider in provider_list):
        mock = _with_defaults([{"name": MOCK_MODEL, "kind": "mock"}], defaults)
        provider_list += _convert_rows(mock, ProviderSettings, "providers")
    if not any(model.id == MOCK_MODEL for model in model_list):
        model_list.append(ModelSettings(id=MOCK_MODEL, route=("mock/mock",)))
    model_list = [model if model.route else _routed_by_id(model) for model in model_list]
    _check_unique([provider.name for provider in provider_list], "providers", "name")
    _check_unique([model.id for model in model_list], "models", "id")
    _check_routes(provider_list, model_list)
    return tuple(provider_list), tuple(model_list)


def _with_defaults(rows: Any, defaults: Mapping[str, float]) -> Any:
    """The providers' rows, filled up; what is not a row or a list of rows stays as it is."""
    if isinstance(rows, list):
        return [_with_defaults(row, defaults) for row in cast("list[Any]", rows)]
    if not isinstance(rows, dict):
        return rows
    row = cast("dict[str, Any]", rows)
    # The mock fails only when it is told to.
    no_breaker = {"breaker_failures": 0} if row.get("kind") == "mock" else {}
    return {**defaults, **no_breaker, **row}


def _base_url(known: _WellKnown, environ: Mapping[str, str]) -> dict[str, str]:
    """The fields that say where the provider is."""
    base_url = environ.get(known.base_url_env, "").strip()
    if not base_url:
        return {"base_url": known.base_url}
    if not base_url.startswith(_SCHEMES):
        raise StartError(
            f"{known.base_url_env} is '{base_url}'; it must start with http:// or https://."
        )
    return {"base_url": base_url, "base_url_env": known.base_url_env}


def _is_routed_to(provider: str, models: list[ModelSettings]) -> bool:
    steps = (step for model in models for step in model.route or (model.id,))
    return any(step.partition("/")[0] == provider for step in steps)


def _common_models(known: _WellKnown, models: list[ModelSettings]) -> list[ModelSettings]:
    """Those of the provider's models whose ids are not taken."""
    taken = {model.id for model in models}
    common = [
        ModelSettings(
            id=f"{known.name}/{model.name}",
            context_tokens=model.context_tokens,
            input_price=model.input_price,
            output_price=model.output_price,
        )
        for model in known.models
    ]
    return [model for model in common if model.id not in taken]


def _routed_by_id(model: ModelSettings) -> ModelSettings:
    return msgspec.structs.replace(model, route=(model.id,))


Row = TypeVar("Row", ProviderSettings, ModelSettings)


def _convert_rows(rows: list[Any], kind: type[Row], section: str) -> list[Row]:
    try:
        return msgspec.convert(rows, list[kind])
    except msgspec.ValidationError as error:
        raise StartError(_explain(str(error), rows, kind, section)) from None


def _explain(text: str, rows: list[Any], kind: type[Row], section: str) -> str:
    """The decoder's refusal with the row named as its author names it."""
    found = _AT_ROW.fullmatch(text)
    if found is None:
        return f"[[{section}]] in the settings file: {text}."
    reason, number, field = found[1], int(found[2]), found[3]
    row = cast("dict[str, Any]", rows[number]) if isinstance(rows[number], dict) else {}
    name = row.get(kind.__struct_fields__[0])
    which = f"'{name}'" if isinstance(name, str) else f"number {number + 1}"
    unknown = sorted(row.keys() - set(kind.__struct_fields__))
    if unknown and not field:
        known = ", ".join(one for one in kind.__struct_fields__ if one not in _FROM_ENV)
        return f"[[{section}]] {which} in the settings file has no '{unknown[0]}'. Known: {known}."
    where = f" {field}" if field else ""
    return f"[[{section}]] {which}{where} in the settings file: {reason}."


def _with_key(provider: ProviderSettings, environ: Mapping[str, str]) -> ProviderSettings:
    if provider.kind == "anthropic" and not provider.base_url:
        provider = msgspec.structs.replace(provider, base_url=_ANTHROPIC_URL)
    if provider.kind != "mock" and not provider.base_url.startswith(_SCHEMES):
        raise StartError(
            f"Provider '{provider.name}' needs a base_url that starts with http(s)://."
        )
    if not provider.api_key_env:
        return provider
    key = environ.get(provider.api_key_env, "").strip()
    if not key:
        raise StartError(f"Provider '{provider.name}' needs the variable {provider.api_key_env}.")
    return msgspec.structs.replace(provider, api_key=key)


def _check_unique(names: list[str], section: str, field: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StartError(f"[[{section}]] in the settings file has {field} '{twice}' twice.")


def _check_routes(providers: list[ProviderSettings], models: list[ModelSettings]) -> None:
    names = {provider.name for provider in providers}
    for model in models:
        for step in model.route:
            provider, _, upstream_model = step.partition("/")
            if provider not in names or not upstream_model:
                raise StartError(
                    f"Model '{model.id}' has the route '{step}'; write provider/model, with one of "
                    f"the providers {', '.join(sorted(names))}."
                )
