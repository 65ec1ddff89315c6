"""What a chat request may ask of Anthropic's Messages API."""

from __future__ import annotations

from typing import Any, Final

from sitebrook.errors import InvalidRequest
from sitebrook.providers.anthropic.data_urls import split_data_url
from sitebrook.providers.anthropic.models import ClaudeModel, model_of
from sitebrook.providers.anthropic.schemas import FreeKeys, to_strict_schema
from sitebrook.providers.gaps import NAME, check_gaps, lacking
from sitebrook.providers.protocol import (
    FilePart,
    GenerationOptions,
    ImagePart,
    NamedToolChoice,
    ProviderRequest,
    ResponseFormat,
)

PDF: Final = "application/pdf"
_PLAIN_TEXT: Final = "text/plain"
_IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_LACKS: Final = frozenset(
    {
        *("n", "logprobs", "top_logprobs", "seed", "presence_penalty", "frequency_penalty"),
        *("metadata", NAME),
    }
)
_CONTENT: Final = "messages[].content"


def check_request(provider: str, request: ProviderRequest) -> None:
    """Raises InvalidRequest for what the API or the model does not have."""
    check_gaps(provider, request, _LACKS)
    model = model_of(request.model)
    _check_sampling(provider, request.options, model)
    _check_thinking(provider, request.options, model)
    _check_format(provider, request.options.response_format, model)
    _check_tools(provider, request.options, model)
    if any(not one.strip() for one in request.options.stop):
        raise lacking(provider, "stop", "stop sequences of nothing but white space")
    _check_messages(provider, request)


def forces_tools(options: GenerationOptions) -> bool:
    """Whether the model must call a tool."""
    return options.tool_choice == "required" or isinstance(options.tool_choice, NamedToolChoice)


def is_default(value: float | None) -> bool:
    """Whether a temperature or top_p is what the API takes when none is sent."""
    return value is None or value == 1


def _check_sampling(provider: str, options: GenerationOptions, model: ClaudeModel) -> None:
    if options.temperature is not None and options.temperature > 1:
        # Clamping would answer with another randomness than was asked for.
        raise InvalidRequest(
            f"The provider '{provider}' takes a temperature from 0 to 1.",
            param="temperature",
            code="unsupported_parameter",
        )
    for name in ("temperature", "top_p"):
        if not is_default(getattr(options, name)) and not model.samples:
            raise lacking(provider, name, name)
    is_both = not is_default(options.temperature) and not is_default(options.top_p)
    if is_both and not model.samples_by_both:
        raise lacking(provider, "top_p", "top_p beside temperature", "Send only one of them.")


def _check_thinking(provider: str, options: GenerationOptions, model: ClaudeModel) -> None:
    effort = options.reasoning_effort
    if effort is None:
        return
    is_there = model.thinking != "always" if effort == "none" else effort in model.efforts
    if not is_there:
        raise lacking(provider, "reasoning_effort", f"the reasoning_effort '{effort}'")


def _check_format(provider: str, wanted: ResponseFormat | None, model: ClaudeModel) -> None:
    if wanted is None or wanted.type == "text":
        return
    if wanted.type == "json_object":
        advice = "Send a response_format of type json_schema."
        raise lacking(provider, "response_format", "JSON without a schema", advice)
    if not model.has_schemas:
        raise lacking(provider, "response_format", "a response_format of type json_schema")
    schema = wanted.json_schema.schema if wanted.json_schema else None
    if not schema:
        raise InvalidRequest(
            "A response_format of type json_schema needs json_schema.schema.",
            param="response_format.json_schema.schema",
            code="invalid_value",
        )
    _check_schema(provider, schema, "response_format.json_schema.schema")


def _check_tools(provider: str, options: GenerationOptions, model: ClaudeModel) -> None:
    if forces_tools(options) and not model.forces_tools:
        raise lacking(provider, "tool_choice", "a tool_choice that forces a call")
    for position, tool in enumerate(options.tools):
        if tool.function.strict:
            param = f"tools[{position}].function"
            if not model.has_schemas:
                raise lacking(provider, f"{param}.strict", "strict tools")
            _check_schema(provider, tool.function.parameters or {}, f"{param}.parameters")


def _check_schema(provider: str, schema: dict[str, Any], param: str) -> None:
    try:
        to_strict_schema(schema)
    except FreeKeys:
        advice = "Name every key, without a schema in additionalProperties."
        raise lacking(provider, param, "objects with free keys", advice) from None
    except RecursionError:
        raise InvalidRequest(
            "The schema is nested too deeply.", param=param, code="invalid_value"
        ) from None


def _check_messages(provider: str, request: ProviderRequest) -> None:
    if request.messages and request.messages[-1].role == "assistant":
        advice = "End the messages with one of a user or a tool."
        raise lacking(provider, "messages", "answers that go on from a last message", advice)
    for message in request.messages:
        for part in message.content if isinstance(message.content, tuple) else ():
            if isinstance(part, ImagePart):
                _check_image(provider, message.role, part)
            elif isinstance(part, FilePart):
                _check_file(provider, message.role, part)


def _check_image(provider: str, role: str, part: ImagePart) -> None:
    if role not in {"user", "tool"}:
        raise lacking(provider, _CONTENT, f"images in {role} messages")
    url = part.image_url.url
    if url[:5].lower() == "http:":
        raise lacking(provider, _CONTENT, "images at http addresses", "Use https or a data URL.")
    if url[:5].lower() == "data:" and split_data_url(url)[0] not in _IMAGE_TYPES:
        advice = "Send JPEG, PNG, GIF or WebP in base64."
        raise lacking(provider, _CONTENT, "images of this type", advice)


def _check_file(provider: str, role: str, part: FilePart) -> None:
    if role not in {"user", "tool"}:
        raise lacking(provider, _CONTENT, f"files in {role} messages")
    content = part.file.file_data
    if content is None:
        raise lacking(provider, _CONTENT, "files by id", "Send file_data, a data URL.")
    if split_data_url(content)[0] not in {PDF, _PLAIN_TEXT}:
        advice = "Send a PDF or plain text as a data URL in base64."
        raise lacking(provider, _CONTENT, "files of this type", advice)
