-- The files that the pages of each version load: a page may ask a replica of another version for them.
CREATE TABLE asset (
    -- As in their address: hash and name.
    path TEXT PRIMARY KEY,
    content_type TEXT NOT NULL,
    -- The bytes, unpacked and compressed, as base64.
    body TEXT NOT NULL,
    brotli TEXT NOT NULL,
    gzip TEXT NOT NULL,
    -- When a process that has the file in its program last wrote it.
    seen_at BIGINT NOT NULL
);
