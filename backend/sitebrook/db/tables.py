"""The one MetaData that every table of sitebrook belongs to."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, DateTime, MetaData, func

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def created_at() -> Column[datetime]:
    """A column that holds when the row was made, in UTC."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
