"""A chat request as the body of a streamed Messages request."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sitebrook.providers.anthropic.limits import forces_tools, is_default
from sitebrook.providers.anthropic.models import model_of
from sitebrook.providers.anthropic.schemas import to_strict_schema
from sitebrook.providers.anthropic.turns import Turn, to_system, to_turns
from sitebrook.providers.protocol import (
    FunctionSpec,
    GenerationOptions,
    NamedToolChoice,
    ProviderRequest,
)
from sitebrook.providers.wire import encode

# A limit up to this leaves a thinking model no room for its answer: thoughts count too.
_NO_ROOM_TO_THINK: Final = 2048
_CHOICES: Final = {"none": "none", "auto": "auto", "required": "any"}


class _Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class _Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(msgspec.Struct, frozen=True, tag_field="type", tag="json_schema"):
    schema: dict[str, Any]


class _Output(msgspec.Struct, frozen=True, omit_defaults=True):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct, frozen=True):
    user_id: str


class _Thinking(msgspec.Struct, frozen=True):
    type: str


class _Request(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    model: str
    max_tokens: int
    messages: list[Turn]
    stream: bool
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: tuple[str, ...] = ()
    tools: tuple[_Tool, ...] = ()
    tool_choice: _Choice | None = None
    output_config: _Output | None = None
    thinking: _Thinking | None = None
    metadata: _Metadata | None = None


def to_body(request: ProviderRequest, *, max_tokens: int) -> bytes:
    """The body for a request that ``check_request`` lets pass.

    The API has no answer without a limit: ``max_tokens`` is for requests that set none. Raises
    InvalidRequest for what cannot be sent.
    """
    options = request.options
    limit = options.max_tokens or max_tokens
    thinking, effort = _to_thinking(request, limit)
    output = _Output(effort, _to_format(options))
    wire = _Request(
        model=request.model,
        max_tokens=limit,
        messages=to_turns(request.messages),
        stream=True,
        system=to_system(request.messages),
        temperature=None if is_default(options.temperature) else options.temperature,
        top_p=None if is_default(options.top_p) else options.top_p,
        stop_sequences=options.stop,
        tools=tuple(_to_tool(tool.function) for tool in options.tools),
        tool_choice=_to_choice(options),
        output_config=None if output == _Output() else output,
        thinking=thinking,
        metadata=_Metadata(options.user) if options.user else None,
    )
    return encode(wire)


def _to_thinking(request: ProviderRequest, limit: int) -> tuple[_Thinking | None, str | None]:
    """How the model is to think, and with what effort."""
    thinks = model_of(request.model).thinking
    effort = request.options.reasoning_effort
    has_no_room = effort is None and limit <= _NO_ROOM_TO_THINK
    if thinks == "always" and has_no_room:
        return None, "low"
    # A model that thinks cannot be made to call a tool.
    is_off = effort == "none" or has_no_room or forces_tools(request.options)
    thinking = _Thinking("disabled") if thinks == "default" and is_off else None
    return thinking, None if effort == "none" else effort


def _to_format(options: GenerationOptions) -> _Format | None:
    wanted = options.response_format
    if wanted is None or wanted.json_schema is None or wanted.type != "json_schema":
        return None
    return _Format(to_strict_schema(wanted.json_schema.schema or {}))


def _to_tool(function: FunctionSpec) -> _Tool:
    schema = {"type": "object", **(function.parameters or {"properties": {}})}
    if function.strict:
        schema = to_strict_schema(schema)
    return _Tool(function.name, schema, function.description, function.strict or None)


def _to_choice(options: GenerationOptions) -> _Choice | None:
    """The choice of tools; the API knows it only beside tools."""
    if not options.tools:
        return None
    is_single = options.parallel_tool_calls is False and options.tool_choice != "none"
    choice = options.tool_choice
    if isinstance(choice, NamedToolChoice):
        return _Choice("tool", choice.function.name, is_single)
    if choice is None and not is_single:
        return None
    return _Choice(_CHOICES[choice or "auto"], disable_parallel_tool_use=is_single)
