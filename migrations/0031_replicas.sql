-- The processes that work on this database at once. Times are those of the database.
CREATE TABLE replica (
    id TEXT PRIMARY KEY,
    -- The data folder, which one process has at a time: a process finds the row that its killed predecessor left.
    folder TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- What one of them does for all.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    replica_id TEXT NOT NULL
);

-- The replica that watches the import. NULL: one process has the database, or nobody does yet.
ALTER TABLE import ADD COLUMN watched_by TEXT;
