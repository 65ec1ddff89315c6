"""Builds concrete objects from settings; nothing else constructs them.

Imports nothing by itself: a worker that has nothing to do needs a third of what a server does.
"""
