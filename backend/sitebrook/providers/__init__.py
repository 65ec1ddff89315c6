"""Upstreams that generate text or embed it."""
