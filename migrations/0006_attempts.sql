-- The attempts of a run that failed and were followed by another: a JSON array, the first one first.
-- NULL: none, or from before they were kept.
ALTER TABLE execution ADD COLUMN earlier TEXT;
