"""PostgreSQL: the embedded server, the engine, migrations."""
