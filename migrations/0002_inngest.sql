-- Runs on Inngest itself: what the engine calls a function, and when something was last heard of a run.
-- A function may take the events of several imports in one batch, and then its run is each one's.

CREATE TABLE run_of_import (
    run_id        TEXT NOT NULL,
    import_id     TEXT NOT NULL REFERENCES import (id),
    function_id   TEXT NOT NULL,
    function_name TEXT,                      -- NULL: the engine has not told
    status        TEXT NOT NULL,             -- the engine's word
    queued_at     BIGINT NOT NULL,
    ended_at      BIGINT,
    processed     BIGINT,                    -- NULL: unknown
    failed        BIGINT,
    output        TEXT,                      -- JSON
    news_at       BIGINT,                    -- the last change that was seen; NULL: recorded before this was kept
    PRIMARY KEY (run_id, import_id)
);
INSERT INTO run_of_import (run_id, import_id, function_id, status, queued_at, ended_at, processed, failed, output)
    SELECT run_id, import_id, function_id, status, queued_at, ended_at, processed, failed, output FROM run;
DROP TABLE run;
ALTER TABLE run_of_import RENAME TO run;
CREATE INDEX run_by_import ON run (import_id);
