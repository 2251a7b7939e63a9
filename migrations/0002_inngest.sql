-- Runs on Inngest itself: what the engine calls a function, and when something was last heard of a run.

ALTER TABLE run ADD COLUMN function_name TEXT;  -- NULL: the engine has not told
ALTER TABLE run ADD COLUMN news_at BIGINT;      -- the last change that was seen; NULL: recorded before this was kept
