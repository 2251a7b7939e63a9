-- One text for SQLite and Postgres: integers, booleans (0/1) and times (unix
-- milliseconds) are BIGINT; JSON and ids are TEXT.

-- Small values the installation makes once and keeps, such as the key that signs file links.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE account (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,      -- lower case
    password_hash TEXT NOT NULL,             -- PHC string, argon2id
    created_at    BIGINT NOT NULL,
    first_slot    BIGINT UNIQUE              -- 1 for the account made under RUNBOARD_SIGN_UP=first: two at once cannot both be first
);

CREATE TABLE session (
    token_hash TEXT PRIMARY KEY,             -- SHA-256 of the cookie's token, hex: a leaked table opens no session
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_by_account ON session (account_id);

CREATE TABLE import (
    id                  TEXT PRIMARY KEY,    -- ULID: sorts by time
    account_id          TEXT NOT NULL REFERENCES account (id),
    file_name           TEXT NOT NULL,       -- as the client said, only ever shown
    size_bytes          BIGINT NOT NULL,     -- 0 for an address: nothing was uploaded
    source_url          TEXT,                -- the address it is fetched from; NULL: it was uploaded
    receiving_at        BIGINT NOT NULL,     -- first byte
    received_at         BIGINT NOT NULL,     -- last byte, saved
    event_id            TEXT NOT NULL UNIQUE,-- known before the event is sent, from its id seed
    sent_at             BIGINT,              -- the engine confirmed the event id
    refused             TEXT,                -- the engine refused the event for good: why
    cancel_requested_at BIGINT,
    finished_at         BIGINT,              -- nothing left to watch
    parent_id           TEXT REFERENCES import (id) ON DELETE SET NULL, -- the import that this one is a retry of
    retry_of            TEXT,                -- all, failed: what it takes of its parent
    UNIQUE (parent_id, retry_of)             -- however often somebody clicks
);
CREATE INDEX import_by_account ON import (account_id, id);
CREATE INDEX import_unfinished ON import (finished_at);

-- Events still to be sent; written with the import in one transaction, removed once the id is confirmed.
CREATE TABLE outbox (
    event_id        TEXT PRIMARY KEY,
    import_id       TEXT NOT NULL REFERENCES import (id),
    name            TEXT NOT NULL,
    data            TEXT NOT NULL,           -- JSON
    seed            TEXT NOT NULL,           -- x-inngest-event-id-seed
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL
);

-- The runs that our events triggered, as last heard from the engine. A row with ended_at never changes.
CREATE TABLE run (
    run_id      TEXT PRIMARY KEY,
    import_id   TEXT NOT NULL REFERENCES import (id),
    function_id TEXT NOT NULL,
    status      TEXT NOT NULL,               -- the engine's word
    queued_at   BIGINT NOT NULL,
    ended_at    BIGINT,
    processed   BIGINT,                      -- NULL: unknown
    failed      BIGINT,
    output      TEXT                         -- JSON
);
CREATE INDEX run_by_import ON run (import_id);

-- What our own function knows of a run it was called for; the engine's API does not tell.
CREATE TABLE execution (
    run_id       TEXT PRIMARY KEY,
    function     TEXT NOT NULL,
    started_at   BIGINT NOT NULL,            -- first call
    attempt      BIGINT NOT NULL,            -- 1-based, of the latest call
    max_attempts BIGINT NOT NULL,
    error        TEXT,                       -- why the latest attempt failed; NULL again once another call begins
    error_at     BIGINT,
    error_final  BIGINT                      -- no attempt follows
);

-- The truth about what a run has done: one row per finished step, at most one per (run, step).
CREATE TABLE step (
    run_id         TEXT NOT NULL,
    step_id        TEXT NOT NULL,            -- fetch (of an address only), plan, rows-1, rows-2, ...
    position       BIGINT NOT NULL,          -- 0, 1, 2, ...
    result         TEXT NOT NULL,            -- JSON, what the engine is answered
    processed      BIGINT NOT NULL,
    failed         BIGINT NOT NULL,
    reasons        TEXT,                     -- JSON: why they failed, grouped; NULL: none did
    end_byte       BIGINT NOT NULL,          -- cursor behind the step's last record
    source_file    TEXT,                     -- the copy that fetch made: later steps and attempts read this one
    processed_file TEXT,                     -- storage keys; NULL: nothing to write
    failed_file    TEXT,
    raw_file       TEXT,
    started_at     BIGINT NOT NULL,
    committed_at   BIGINT NOT NULL,
    PRIMARY KEY (run_id, step_id)
);

-- The embedded engine.
CREATE TABLE engine_event (
    event_id    TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    body        TEXT NOT NULL,               -- JSON: the event as a function receives it
    received_at BIGINT NOT NULL
);

CREATE TABLE engine_function (
    slug         TEXT PRIMARY KEY,           -- app-function
    app          TEXT NOT NULL,
    id           TEXT NOT NULL,              -- UUID from the slug
    name         TEXT NOT NULL,
    url          TEXT NOT NULL,              -- where it is called, with fnId and stepId
    events       TEXT NOT NULL,              -- JSON array of event names that trigger it
    max_attempts BIGINT NOT NULL,
    archived_at  BIGINT                      -- missing from its app's latest sync: gets no new runs, ends those it has
);

-- A run is also its queue entry: it waits for available_at, is claimed by a lease, and moves on by one call at a time.
CREATE TABLE engine_run (
    run_id       TEXT PRIMARY KEY,
    event_id     TEXT NOT NULL REFERENCES engine_event (event_id),
    own_event_id TEXT,                       -- the sender's own event id, while it bars a second run of the function
    slug         TEXT NOT NULL REFERENCES engine_function (slug),
    function_id  TEXT NOT NULL,
    status       TEXT NOT NULL,              -- Scheduled, Running, Completed, Failed, Cancelled
    queued_at    BIGINT NOT NULL,
    ended_at     BIGINT,
    output       TEXT,                       -- JSON, once ended
    attempt      BIGINT NOT NULL,            -- 0-based, of the call at work or next
    req_version  BIGINT NOT NULL,            -- protocol version the function answered last; -1: not called yet
    available_at BIGINT NOT NULL,
    lease        TEXT                        -- fencing token of the call at work; an answer under another token is dropped
);
CREATE INDEX engine_run_by_event ON engine_run (event_id);
CREATE UNIQUE INDEX engine_run_by_own_event ON engine_run (slug, own_event_id);
CREATE INDEX engine_run_queue ON engine_run (available_at, run_id) WHERE ended_at IS NULL AND lease IS NULL;

-- What the finished steps of an unfinished run gave; removed with the run's end.
CREATE TABLE engine_step (
    run_id   TEXT NOT NULL REFERENCES engine_run (run_id),
    step_id  TEXT NOT NULL,                  -- SHA-1 hex of the step's name
    position BIGINT NOT NULL,                -- 0, 1, 2, ...: the order in which they ended
    output   TEXT NOT NULL,                  -- JSON: {"data": ...} or {"error": ...}
    PRIMARY KEY (run_id, step_id)
);
