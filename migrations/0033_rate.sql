-- How often something was done that is limited, while several replicas count together. Times are nanoseconds of the
-- database's clock. There is no index on recovered_at: each use changes it, and Postgres writes a row that is changed in
-- no index in its own page. The sweep reads the whole table, which is small: see src/store/rates.rs.
CREATE TABLE rate (
    -- SHA-256 of what is limited and of who is counted.
    key_hash TEXT PRIMARY KEY,
    -- When all uses are back. A key without a row has recovered.
    recovered_at BIGINT NOT NULL,
    -- How long the last use that was asked for must wait; 0: it passed.
    wait BIGINT NOT NULL
);
