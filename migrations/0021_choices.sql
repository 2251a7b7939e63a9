-- What a person chose about how the file is read: JSON. NULL: everything is detected.
-- A retry with choices has a `retry_of` of its own, "all" and this JSON after a space, so that the constraint on
-- (parent_id, retry_of) allows one retry for each distinct reading.
ALTER TABLE import ADD COLUMN choices TEXT;

-- What all bytes of the upload showed while they arrived: JSON. NULL: not known.
ALTER TABLE import ADD COLUMN survey TEXT;

-- An import that its owner looks at before it starts: nothing is sent, and it is deleted after this time.
-- NULL: it has started.
ALTER TABLE import ADD COLUMN held_until BIGINT;
CREATE INDEX import_held ON import (held_until) WHERE held_until IS NOT NULL;

-- What was left out, repaired or noticed in the records of a step: JSON. NULL: nothing.
ALTER TABLE step ADD COLUMN notes TEXT;
