-- The quota that a replica has reserved for files that are arriving, if there are several replicas (src/store/arriving.rs).
-- With one process it is in its memory.
CREATE TABLE arriving (
    account_id TEXT NOT NULL,
    replica_id TEXT NOT NULL REFERENCES replica (id) ON DELETE CASCADE,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (account_id, replica_id)
);
CREATE INDEX arriving_of_replica ON arriving (replica_id);
