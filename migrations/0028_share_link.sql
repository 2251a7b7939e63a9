-- Guest links: a person with one sees one import, without an account, until it expires or is ended
-- (src/store/guest_links.rs).
CREATE TABLE guest_link (
    token_hash     TEXT PRIMARY KEY,         -- SHA-256 of the link's token, hex: a leaked table opens nothing
    import_id      TEXT NOT NULL REFERENCES import (id) ON DELETE CASCADE,
    shows_rows     BIGINT NOT NULL,          -- 1: also the contents of rows, and the downloads
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    last_opened_at BIGINT                    -- up to a minute old; NULL: not opened yet
);
CREATE INDEX guest_link_by_import ON guest_link (import_id, created_at);
