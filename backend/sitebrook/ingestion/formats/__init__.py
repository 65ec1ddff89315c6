"""Readers of files that are not plain text, each from bytes into an outline."""
