-- What a person last chose about files with a header, to be offered for the next file with the same one. At most the
-- newest 1,000 of an account (src/store/last_choices.rs).
CREATE TABLE last_choices (
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    header_hash TEXT NOT NULL,               -- SHA-256 of the names of the columns as they were detected, hex
    choices     TEXT NOT NULL,               -- JSON
    chosen_at   BIGINT NOT NULL,
    PRIMARY KEY (account_id, header_hash)
);
CREATE INDEX last_choices_by_time ON last_choices (account_id, chosen_at);
