-- When a run left the engine's queue. NULL: it was not seen waiting there.
ALTER TABLE run ADD COLUMN started_at BIGINT;
