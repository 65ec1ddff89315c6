"""What each answer used and cost."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

# Of older answers nobody knows whether their tokens were counted or estimated, nor their price.
_COLUMNS = """
ALTER TABLE message
    ADD COLUMN upstream_model TEXT,
    ADD COLUMN cached_tokens INTEGER,
    ADD COLUMN reasoning_tokens INTEGER,
    ADD COLUMN is_estimated BOOLEAN,
    ADD COLUMN cost NUMERIC;

CREATE INDEX message_created_at_ix ON message (created_at) WHERE role = 'assistant';
"""


def upgrade() -> None:
    op.execute(_COLUMNS)
