-- What the account page shows of a session. NULL in sessions from before.
ALTER TABLE session ADD COLUMN user_agent TEXT;      -- as the browser says, cut
ALTER TABLE session ADD COLUMN address TEXT;         -- of the last request
ALTER TABLE session ADD COLUMN last_seen_at BIGINT;  -- written at most once a minute

ALTER TABLE account ADD COLUMN is_admin BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN disabled_at BIGINT;   -- since then it cannot be used
ALTER TABLE account ADD COLUMN deleting_at BIGINT;   -- since then it is being deleted, with all of its imports

-- The first account is an admin's.
UPDATE account SET is_admin = 1 WHERE id = (SELECT id FROM account ORDER BY created_at, id LIMIT 1);

-- Links that an admin hands out and that can be used once.
CREATE TABLE one_time_link (
    token_hash TEXT PRIMARY KEY,             -- SHA-256 of the link's token, hex
    account_id TEXT REFERENCES account (id) ON DELETE CASCADE, -- the account that gets a new password; NULL: an invitation
    made_by    TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    note       TEXT,                         -- for whom an invitation is
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX one_time_link_by_account ON one_time_link (account_id);
CREATE INDEX one_time_link_by_admin ON one_time_link (made_by);
