"""A site's own weight of the vectors."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE knowledge ADD COLUMN vector_weight DOUBLE PRECISION")
