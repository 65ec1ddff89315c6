"""A self-hosted chatbot backend with retrieval for websites."""

__version__ = "0.1.0"
