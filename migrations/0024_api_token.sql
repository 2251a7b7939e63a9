-- Tokens with which programs call the API: at most 100 of an account (src/store/api_tokens.rs).
CREATE TABLE api_token (
    id           TEXT PRIMARY KEY,           -- ULID: sorts by time
    account_id   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,              -- as its owner called it
    token_hash   TEXT NOT NULL UNIQUE,       -- SHA-256 of the token, hex: a leaked table opens nothing
    scopes       TEXT NOT NULL,              -- read, import, tokens; separated by spaces
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,                     -- NULL: never
    last_used_at BIGINT                      -- up to a minute old; NULL: not used yet
);
CREATE INDEX api_token_by_account ON api_token (account_id, id);
