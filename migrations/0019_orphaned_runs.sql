-- What was done since the last sweep for runs that no import has is found by its time.
CREATE INDEX step_by_time ON step (committed_at);
CREATE INDEX execution_by_time ON execution (started_at);
