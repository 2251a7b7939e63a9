-- What a step read in each stretch of the file, and how long that took: JSON. NULL: it read no rows, or was
-- done before this was kept.
ALTER TABLE step ADD COLUMN stretches TEXT;
