-- What the history is narrowed by. `state` and `failed_rows` follow from the runs and are written in the
-- transaction that changes those (src/store/history.rs has the same expressions).

ALTER TABLE import ADD COLUMN state TEXT;              -- Completed, Failed, Cancelled, Skipped; NULL: not over
ALTER TABLE import ADD COLUMN failed_rows BIGINT;      -- of all runs; NULL: not over, or unknown
ALTER TABLE import ADD COLUMN search_name TEXT NOT NULL DEFAULT ''; -- file_name, folded for searching; '': not yet

UPDATE import SET
    state = (
        SELECT CASE
            WHEN import.refused IS NOT NULL THEN 'Failed'
            WHEN COUNT(*) = 0 AND import.cancel_requested_at IS NOT NULL THEN 'Cancelled'
            WHEN COUNT(*) = 0 OR COUNT(*) > COUNT(run.ended_at) THEN NULL
            WHEN SUM(CASE WHEN run.status = 'Failed' THEN 1 ELSE 0 END) > 0 THEN 'Failed'
            WHEN SUM(CASE WHEN run.status = 'Cancelled' THEN 1 ELSE 0 END) > 0 THEN 'Cancelled'
            WHEN SUM(CASE WHEN run.status = 'Completed' THEN 1 ELSE 0 END) > 0 THEN 'Completed'
            ELSE 'Skipped'
        END
        FROM run WHERE run.import_id = import.id
    ),
    failed_rows = (
        SELECT CASE WHEN COUNT(*) = COUNT(run.ended_at) THEN CAST(SUM(run.failed) AS BIGINT) END
        FROM run WHERE run.import_id = import.id
    );

-- One for each way to narrow a page, newest first; with the name, so that a search reads nothing else.
DROP INDEX import_by_account;
CREATE INDEX import_by_account ON import (account_id, id, search_name);
CREATE INDEX import_by_state ON import (account_id, state, id, search_name);
CREATE INDEX import_with_failed_rows ON import (account_id, id, search_name) WHERE failed_rows > 0;

-- No SQL folds names as we do, so that those of the version before are folded at the start: it finds them here.
CREATE INDEX import_without_search_name ON import (id) WHERE search_name = '';

-- An import is deleted with what told of the end of its runs, at the very time of that end.
CREATE INDEX engine_event_by_time ON engine_event (received_at);
