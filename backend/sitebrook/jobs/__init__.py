"""Durable background work: the engine, its table, the worker, the handlers of each kind."""
