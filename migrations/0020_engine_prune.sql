-- Ended runs are read once, in the order of their ends, to prune those of events that belong to no import.
CREATE INDEX engine_run_by_end ON engine_run (ended_at, run_id) WHERE ended_at IS NOT NULL;
