-- The public address in the settings of the replica, empty if it has none. NULL: its program is older and does not say.
ALTER TABLE replica ADD COLUMN public_url TEXT;
