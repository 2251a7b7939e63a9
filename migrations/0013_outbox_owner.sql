-- Events are sent in turn, one user's after another's.
ALTER TABLE outbox ADD COLUMN account_id TEXT NOT NULL DEFAULT '';
UPDATE outbox SET account_id = (SELECT import.account_id FROM import WHERE import.id = outbox.import_id);
CREATE INDEX outbox_due ON outbox (account_id, next_attempt_at, event_id);
