"""Jobs, and the queue that wakes workers for them."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"

# As procrastinate 3.10.0 ships it. A later version's changes come as a revision of their own, made
# of what that version ships in procrastinate/sql/migrations; a test tells when one is missing.
_QUEUE = Path(__file__).parent.parent / "sql" / "procrastinate_3_10.sql"

_JOBS = """
CREATE TABLE job (
    id TEXT NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    site_id TEXT,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority TEXT NOT NULL,
    rank INTEGER NOT NULL,
    status TEXT DEFAULT 'queued' NOT NULL,
    attempt INTEGER DEFAULT 1 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    losses INTEGER DEFAULT 0 NOT NULL,
    lane TEXT,
    engine_id BIGINT,
    arguments JSONB NOT NULL,
    result JSONB,
    progress JSONB,
    error_code TEXT,
    error_message TEXT,
    scheduled_for TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT job_pkey PRIMARY KEY (id),
    CONSTRAINT job_number_key UNIQUE (number),
    CONSTRAINT job_lane_key UNIQUE (lane),
    CONSTRAINT job_kind_scheduled_for_key UNIQUE (kind, scheduled_for),
    CONSTRAINT job_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE,
    CONSTRAINT job_priority_check CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    CONSTRAINT job_status_check CHECK (
        status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')
    )
);

CREATE INDEX job_site_id_number_ix ON job (site_id, number);
CREATE INDEX job_site_id_rank_number_ix ON job (site_id, rank, number)
    WHERE status = 'queued' AND lane IS NULL;
CREATE INDEX job_site_id_ix ON job (site_id) WHERE lane IS NOT NULL;
CREATE INDEX job_due_at_ix ON job (due_at) WHERE status = 'waiting';
CREATE INDEX job_finished_at_ix ON job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX job_status_kind_ix ON job (status, kind)
    WHERE status IN ('queued', 'running', 'waiting');
"""


def upgrade() -> None:
    # Past SQLAlchemy, which would take its percent signs for parameters.
    op.get_bind().connection.cursor().execute(_QUEUE.read_text("utf-8"))
    op.execute(_JOBS)
