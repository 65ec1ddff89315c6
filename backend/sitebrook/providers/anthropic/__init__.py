"""Anthropic's Messages API as a provider."""

from sitebrook.providers.anthropic.provider import AnthropicProvider

__all__ = ["AnthropicProvider"]
