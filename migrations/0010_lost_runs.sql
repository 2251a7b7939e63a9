-- When the engine was found to have lost a run, which it has in no queue any more. NULL: it has not.
ALTER TABLE run ADD COLUMN lost_at BIGINT;

-- An event that no function took in a day is final, too.
UPDATE import SET state = 'NoFunction'
    WHERE state IS NULL AND finished_at IS NOT NULL AND sent_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM run WHERE run.import_id = import.id);
