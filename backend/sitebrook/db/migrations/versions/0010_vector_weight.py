"""A site's own weight of the vectors."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE knowledge ADD COLUMN vector_weight DOUBLE PRECISION")
