"""Processor time in bounded child processes; children import only what is in `child` and work."""
