"""Latency figures and logs."""
