-- Which ends of imports their owner is told by e-mail: off, failures, all (src/store/mail.rs).
ALTER TABLE account ADD COLUMN ended_mail TEXT NOT NULL DEFAULT 'off';

-- E-mails that wait to be sent. A row goes once its e-mail is sent; those about ended imports stay for an hour,
-- because an account gets only so many of them in an hour.
CREATE TABLE mail (
    id              TEXT PRIMARY KEY,  -- ULID: sorts by time; also the Message-ID
    kind            TEXT NOT NULL,     -- forgotten, reset, invitation, ended, more-ended, test
    account_id      TEXT REFERENCES account (id) ON DELETE CASCADE, -- goes to its address; NULL: goes to the one below
    address         TEXT,
    token           TEXT,              -- of the link that an admin has made: a secret, in no other table as plain text
    import_id       TEXT REFERENCES import (id) ON DELETE CASCADE,  -- ended
    ended_imports   BIGINT,            -- more-ended: how many
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,   -- is not sent any more after this
    attempts        BIGINT NOT NULL DEFAULT 0,
    refusals        BIGINT NOT NULL DEFAULT 0, -- how often a server has refused it for good
    next_attempt_at BIGINT NOT NULL,
    sent_at         BIGINT
);
CREATE INDEX mail_by_time ON mail (next_attempt_at);
CREATE INDEX mail_by_account ON mail (account_id, sent_at);
CREATE INDEX mail_by_import ON mail (import_id);
