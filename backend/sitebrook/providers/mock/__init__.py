"""A model without a model: answers from the passages, the same each time, at a real one's pace."""

from sitebrook.providers.mock.provider import MockProvider

__all__ = ["MockProvider"]
