-- A request with an `Idempotency-Key` may have made a token instead of an import (src/store/idempotency.rs). Its row
-- has the SHA-256 of the key: the key is a part of what the token's secret is made of, so that the same request gets
-- the same secret again, although that is stored nowhere.
ALTER TABLE idempotency RENAME COLUMN import_id TO made_id;
