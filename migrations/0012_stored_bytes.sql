-- Bytes of the files that a step wrote. Of steps from before this was kept: about as many as it read, and of
-- a fetch as many as the file has.
ALTER TABLE step ADD COLUMN stored_bytes BIGINT NOT NULL DEFAULT 0;

UPDATE step SET stored_bytes = end_byte - COALESCE(
    (SELECT MAX(earlier.end_byte) FROM step AS earlier
     WHERE earlier.run_id = step.run_id AND earlier.position < step.position), 0)
WHERE processed_file IS NOT NULL OR failed_file IS NOT NULL;

UPDATE step SET stored_bytes =
    (SELECT MAX(other.end_byte) FROM step AS other WHERE other.run_id = step.run_id)
WHERE source_file IS NOT NULL;
