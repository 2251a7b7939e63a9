-- The imports that requests with an `Idempotency-Key` have made, for 24 hours (src/store/idempotency.rs). The row is
-- written in the transaction that records the import, and stays if that is deleted.
CREATE TABLE idempotency (
    account_id   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    request_key  TEXT NOT NULL,
    request_hash TEXT NOT NULL,              -- SHA-256 of the method, the path and what the body contains, hex
    import_id    TEXT NOT NULL,
    answered_at  BIGINT NOT NULL,
    PRIMARY KEY (account_id, request_key)
);
CREATE INDEX idempotency_by_time ON idempotency (answered_at);

-- 1: the file of an address has the name that came with the request, whatever its server calls it.
ALTER TABLE import ADD COLUMN has_chosen_name BIGINT NOT NULL DEFAULT 0;
