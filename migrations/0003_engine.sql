-- What else a trigger asks of its event than its name: a JSON array beside `events`, in its order, of
-- expressions, or null where the name is all. NULL, as of functions registered before: no trigger has one.
ALTER TABLE engine_function ADD COLUMN expressions TEXT;

-- When the function was called first; NULL: not yet, or called before this column was there.
ALTER TABLE engine_run ADD COLUMN started_at BIGINT;
