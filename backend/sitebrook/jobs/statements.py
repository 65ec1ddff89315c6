"""The SQL of jobs: each change of a job's state, together with its row in the queue.

A job that may start has a *lane*, and with it a row in procrastinate's queue, which wakes a worker.
A site has a few lanes; its other jobs wait in the table. That keeps the queue short: what fetches
from it looks at each row that may not start (13 us), 130 ms behind 10,000 jobs of one site.
"""

from __future__ import annotations

from typing import Final, LiteralString

# ``ready`` are jobs that have just got a lane. The queueing lock allows one waiting row for each.
_TO_QUEUE: Final[LiteralString] = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        queue, 'sitebrook.job', -rank, lane, id,
        jsonb_build_object('job', id, 'attempt', attempt), NULL
    )::procrastinate_job_to_defer_v1])
    FROM (SELECT * FROM ready ORDER BY rank, number) AS ready
"""
_READY: Final[LiteralString] = """
    job.id, job.number, job.queue, job.rank, job.lane, job.attempt
"""
# In seconds since 2026 began, so that it fits an integer for this century; each step of priority
# counts as so much waiting.
_RANK: Final[LiteralString] = """
    (extract(epoch FROM clock_timestamp()) - 1767225600
        - %(ageing_s)s * array_position(ARRAY['low', 'normal', 'high', 'urgent'], priority)
    )::integer
"""

# Nothing is inserted for a moment of cron for which there is a job.
INSERT: Final[LiteralString] = (
    """
    INSERT INTO job (id, site_id, kind, queue, priority, lane, arguments, scheduled_for, rank)
    SELECT *, """
    + _RANK
    + """
    FROM (VALUES (
        %(id)s::text, %(site_id)s::text, %(kind)s::text, %(queue)s::text, %(priority)s::text,
        %(lane)s::text, %(arguments)s::jsonb, %(scheduled_for)s::timestamptz
    )) AS new (id, site_id, kind, queue, priority, lane, arguments, scheduled_for)
    ON CONFLICT (kind, scheduled_for) DO NOTHING
    RETURNING """
    + _READY
)
INSERT_READY: Final[LiteralString] = "WITH ready AS (" + INSERT + ")" + _TO_QUEUE

# Whoever has this lock gives the site's lanes away; the others need not wait, see ``admit``.
LOCK_LANES: Final[LiteralString] = (
    "SELECT pg_try_advisory_xact_lock(1397899855, hashtext(%(site_id)s))"
)
# A job that has a lane, but has not started, makes room for one that is to start before it.
MAKE_ROOM: Final[LiteralString] = """
    WITH last AS (
        SELECT id FROM job
        WHERE site_id = %(site_id)s AND status = 'queued' AND lane IS NOT NULL
            AND (
                SELECT count(*) FROM job WHERE site_id = %(site_id)s AND lane IS NOT NULL
            ) >= %(lanes)s
            AND rank > (
                SELECT min(rank) FROM job
                WHERE site_id = %(site_id)s AND status = 'queued' AND lane IS NULL
            )
        ORDER BY rank DESC, number DESC LIMIT 1
    ), taken AS (
        DELETE FROM procrastinate_jobs AS waiting USING last
        WHERE waiting.queueing_lock = last.id AND waiting.status = 'todo' RETURNING last.id
    )
    UPDATE job SET lane = NULL FROM taken WHERE job.id = taken.id AND job.status = 'queued'
"""
FILL_LANES: Final[LiteralString] = (
    """
    WITH free AS (
        SELECT lane, row_number() OVER (ORDER BY number) AS place
        FROM (
            SELECT number, %(site_id)s || '/' || number AS lane
            FROM generate_series(1, %(lanes)s) AS number
        ) AS every
        WHERE NOT EXISTS (SELECT FROM job WHERE job.lane = every.lane)
    ), first AS (
        SELECT id, row_number() OVER (ORDER BY rank, number) AS place
        FROM (
            SELECT id, rank, number FROM job
            WHERE site_id = %(site_id)s AND status = 'queued' AND lane IS NULL
            ORDER BY rank, number LIMIT (SELECT count(*) FROM free) FOR UPDATE SKIP LOCKED
        ) AS waiting
    ), ready AS (
        UPDATE job SET lane = free.lane FROM free JOIN first USING (place)
        WHERE job.id = first.id RETURNING """
    + _READY
    + ")"
    + _TO_QUEUE
)
# Jobs of no site need no lane of a few: each has its own.
FREE_LANES: Final[LiteralString] = (
    """
    WITH ready AS (
        UPDATE job SET lane = id WHERE id IN (
            SELECT id FROM job
            WHERE site_id IS NULL AND status = 'queued' AND lane IS NULL
            ORDER BY rank, number LIMIT 100 FOR UPDATE SKIP LOCKED
        )
        RETURNING """
    + _READY
    + ")"
    + _TO_QUEUE
)
SITES_WITH_ROOM: Final[LiteralString] = """
    SELECT site_id FROM job
    WHERE status = 'queued' AND lane IS NULL AND site_id IS NOT NULL
    GROUP BY site_id
    HAVING (
        SELECT count(*) FROM job AS holder
        WHERE holder.site_id = job.site_id AND holder.lane IS NOT NULL
    ) < %(lanes)s
    LIMIT 100
"""
DUE: Final[LiteralString] = """
    UPDATE job SET status = 'queued', due_at = NULL WHERE id IN (
        SELECT id FROM job WHERE status = 'waiting' AND due_at <= now()
        ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED
    )
"""

# Once more for the same row of the queue, when PostgreSQL's answer to the first did not arrive.
CLAIM: Final[LiteralString] = """
    UPDATE job SET status = 'running', engine_id = %(engine_id)s, started_at = clock_timestamp()
    WHERE id = %(id)s AND attempt = %(attempt)s
        AND (status = 'queued' OR (status = 'running' AND engine_id = %(engine_id)s))
    RETURNING id, attempt, site_id, kind, arguments::text AS arguments, failures,
        extract(epoch FROM started_at - created_at)::float8 AS waited_s
"""
LEAVE_QUEUE: Final[LiteralString] = "DELETE FROM procrastinate_jobs WHERE id = %(engine_id)s"
# The end of an attempt: with ``status`` ended, or queued or waiting for the next one, which a
# cancelled job does not get. The row in the queue is this attempt's, whatever became of the job.
END: Final[LiteralString] = """
    WITH verdict AS (
        SELECT id, attempt, CASE
            WHEN %(status)s IN ('queued', 'waiting') AND cancel_requested_at IS NOT NULL
            THEN 'cancelled' ELSE %(status)s END AS status
        FROM job WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'running'
    ), ended AS (
        UPDATE job SET
            status = verdict.status,
            attempt = job.attempt + (verdict.status IN ('queued', 'waiting'))::integer,
            failures = failures + %(failures)s,
            lane = NULL,
            engine_id = NULL,
            result = %(result)s::jsonb,
            progress = coalesce(%(progress)s::jsonb, progress),
            error_code = %(error_code)s,
            error_message = %(error_message)s,
            due_at = CASE WHEN verdict.status = 'waiting'
                THEN clock_timestamp() + %(pause_s)s * interval '1 second' END,
            finished_at = CASE WHEN verdict.status NOT IN ('queued', 'waiting')
                THEN clock_timestamp() END
        FROM verdict
        WHERE job.id = verdict.id AND job.attempt = verdict.attempt AND job.status = 'running'
        RETURNING job.id, job.site_id, job.status, job.error_code, job.error_message
    ), gone AS (
        DELETE FROM procrastinate_jobs WHERE id = %(engine_id)s
    )
    SELECT status, site_id, error_code, error_message, status = 'queued' OR EXISTS (
        SELECT FROM job
        WHERE job.site_id = ended.site_id AND job.status = 'queued' AND job.lane IS NULL
    ) AS has_next
    FROM ended
"""
HOW_ENDED: Final[LiteralString] = """
    SELECT status, site_id, error_code, error_message, false AS has_next FROM job
    WHERE id = %(id)s AND attempt = %(attempt)s AND status IN ('succeeded', 'failed', 'cancelled')
"""
# An attempt whose worker is gone, also between fetching it and starting it.
LOSE: Final[LiteralString] = """
    WITH lost AS (
        UPDATE job SET
            status = CASE
                WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                WHEN losses + 1 >= %(most_losses)s THEN 'failed' ELSE 'queued' END,
            attempt = attempt + 1,
            losses = losses + 1,
            lane = NULL,
            engine_id = NULL,
            error_code = %(error_code)s,
            error_message = %(error_message)s,
            finished_at = CASE
                WHEN cancel_requested_at IS NOT NULL OR losses + 1 >= %(most_losses)s
                THEN clock_timestamp() END
        WHERE id = %(id)s AND attempt = %(attempt)s AND status IN ('queued', 'running')
        RETURNING id, site_id, status
    ), gone AS (
        DELETE FROM procrastinate_jobs WHERE id = %(engine_id)s
    )
    SELECT status, site_id FROM lost
"""

_MINE: Final[LiteralString] = """
    id = %(id)s AND (%(site_id)s::text IS NULL OR site_id = %(site_id)s)
"""
CANCEL_WAITING: Final[LiteralString] = (
    """
    WITH cancelled AS (
        UPDATE job SET
            status = 'cancelled', lane = NULL, due_at = NULL,
            cancel_requested_at = clock_timestamp(), finished_at = clock_timestamp()
        WHERE """
    + _MINE
    + """ AND status IN ('queued', 'waiting') RETURNING id, site_id, attempt
    ), gone AS (
        DELETE FROM procrastinate_jobs AS waiting USING cancelled
        WHERE waiting.queueing_lock = cancelled.id AND waiting.status = 'todo'
    )
    SELECT site_id, attempt FROM cancelled
"""
)
CANCEL_RUNNING: Final[LiteralString] = (
    """
    WITH asked AS (
        UPDATE job SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
        WHERE """
    + _MINE
    + """ AND status = 'running' RETURNING engine_id
    )
    SELECT procrastinate_cancel_job_v1(engine_id, true, false) FROM asked
"""
)
RETRY: Final[LiteralString] = (
    """
    UPDATE job SET
        status = 'queued', attempt = attempt + 1, failures = 0, losses = 0, result = NULL,
        error_code = NULL, error_message = NULL, cancel_requested_at = NULL, due_at = NULL,
        started_at = NULL, finished_at = NULL, rank = """
    + _RANK
    + " WHERE "
    + _MINE
    + " AND status IN ('failed', 'cancelled') RETURNING site_id"
)

# What a worker runs: progress is kept, and what it still may run comes back. Progress alone does
# not take lost workers back: work that kills its worker shows some each time.
KEEP: Final[LiteralString] = """
    WITH mine AS (
        SELECT * FROM json_to_recordset(%(running)s::json)
            AS mine (id text, attempt integer, progress jsonb, has_settled boolean)
    ), kept AS (
        UPDATE job SET
            progress = coalesce(mine.progress, job.progress),
            losses = CASE WHEN mine.has_settled THEN 0 ELSE job.losses END
        FROM mine
        WHERE job.id = mine.id AND job.attempt = mine.attempt AND job.status = 'running'
            AND (mine.progress IS NOT NULL OR mine.has_settled)
    )
    SELECT job.id, job.attempt, job.cancel_requested_at IS NOT NULL AS is_cancelled
    FROM job JOIN mine ON job.id = mine.id AND job.attempt = mine.attempt
    WHERE job.status = 'running'
"""
