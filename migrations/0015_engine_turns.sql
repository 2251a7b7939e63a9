-- How many answers in a row have finished no step of the run.
ALTER TABLE engine_run ADD COLUMN idle_turns BIGINT NOT NULL DEFAULT 0;

-- Leases whose call was never begun are looked for while others are at work.
CREATE INDEX engine_run_leased ON engine_run (lease) WHERE lease IS NOT NULL AND ended_at IS NULL;
