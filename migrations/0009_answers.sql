-- Imports that are not over: the history shows those that have no card on the dashboard.
CREATE INDEX import_in_progress ON import (account_id, id, search_name) WHERE state IS NULL;

-- Why a run failed, as JSON: read of its output when that is recorded, for an output may be many megabytes.
-- NULL: it did not fail, did not say why, or was recorded before and has an output that is small enough to read.
ALTER TABLE run ADD COLUMN failure TEXT;
