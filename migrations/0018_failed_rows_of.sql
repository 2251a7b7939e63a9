-- The run whose failed rows an import is made of: its function copies them in its first step. Imports of before
-- have theirs as an upload.
ALTER TABLE import ADD COLUMN failed_rows_of TEXT;
