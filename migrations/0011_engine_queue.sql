-- Whose run this is: runs of one tenant wait for each other, those of another do not wait for them. Empty: the
-- event names nobody, or was taken before this column was there.
ALTER TABLE engine_run ADD COLUMN tenant TEXT NOT NULL DEFAULT '';

-- The step that the function planned and is called for next: SHA-1 hex of its name. NULL: whatever comes next.
ALTER TABLE engine_run ADD COLUMN planned_step TEXT;

-- When the wait for available_at began. A clock that shows an earlier time was set back, and the wait begins anew.
-- NULL: available_at was chosen by the sender of the event, or written before this column was there.
ALTER TABLE engine_run ADD COLUMN waits_since BIGINT;

DROP INDEX engine_run_queue;
CREATE INDEX engine_run_queue ON engine_run (tenant, available_at, run_id) WHERE ended_at IS NULL AND lease IS NULL;
