-- Expired sessions are deleted every half a minute.
CREATE INDEX session_by_expiry ON session (expires_at);
