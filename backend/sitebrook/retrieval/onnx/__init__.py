"""Vectors from a model file on this machine, and making such a file."""
