-- Where the end of an import is told: at most one address of an account, and one of each of its tokens
-- (src/store/webhooks.rs).
CREATE TABLE webhook (
    id         TEXT PRIMARY KEY,             -- ULID
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    token_id   TEXT UNIQUE REFERENCES api_token (id) ON DELETE CASCADE, -- for the imports of this token; NULL: for all others
    address    TEXT NOT NULL,
    gone_at    BIGINT                        -- when its receiver answered 410 (gone): nothing is sent since; NULL: it did not
);
CREATE INDEX webhook_by_account ON webhook (account_id, token_id);

-- The secrets that deliveries of an account are signed with. They are stored as they are, because signing needs them.
CREATE TABLE webhook_secret (
    id         TEXT PRIMARY KEY,             -- ULID
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    secret     TEXT NOT NULL,                -- whsec_ and base64
    made_at    BIGINT NOT NULL,
    ends_at    BIGINT                        -- signs beside its successor until then; NULL: the present one
);
CREATE INDEX webhook_secret_by_account ON webhook_secret (account_id, id);

-- What is told, and what became of it, kept for a week (src/store/deliveries.rs).
CREATE TABLE webhook_delivery (
    id              TEXT PRIMARY KEY,        -- ULID: the webhook-id of every attempt
    webhook_id      TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    account_id      TEXT NOT NULL,
    import_id       TEXT REFERENCES import (id) ON DELETE CASCADE, -- NULL: a test
    made_at         BIGINT NOT NULL,
    body            TEXT,                    -- as every attempt sends it; NULL before the first
    attempts        BIGINT NOT NULL DEFAULT 0, -- since it was made or last sent again
    attempted_at    BIGINT,                  -- the last attempt
    next_attempt_at BIGINT,                  -- NULL: none, because it was delivered or given up
    delivered_at    BIGINT,
    status          BIGINT,                  -- that the last attempt was answered with
    answer          TEXT                     -- an excerpt of that answer, or why there was none
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (account_id, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_delivery_by_account ON webhook_delivery (account_id, id);
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook_id);
CREATE INDEX webhook_delivery_by_import ON webhook_delivery (import_id);

ALTER TABLE import ADD COLUMN token_id TEXT; -- that made it; NULL: a person did
-- The end that was told last: the state, and the number of runs. NULL while it has not ended.
ALTER TABLE import ADD COLUMN told_end TEXT;
UPDATE import SET told_end = state || ' ' || (SELECT CAST(COUNT(*) AS TEXT) FROM run WHERE run.import_id = import.id)
WHERE state IS NOT NULL AND state <> 'Held';
