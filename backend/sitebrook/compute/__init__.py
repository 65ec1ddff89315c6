"""Processor time in bounded child processes, away from the event loop."""
