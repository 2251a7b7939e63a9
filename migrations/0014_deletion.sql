-- Deletions whose files are still to be removed, their storage keys separated by line feeds.
CREATE TABLE deletion (
    import_id TEXT PRIMARY KEY,
    files TEXT NOT NULL
);
