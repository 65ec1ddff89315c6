"""Numbered events that any reader can join at any position, in one process or many."""
