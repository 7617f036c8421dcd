-- What the rows say of a run beside where it stands. NULL: there is none.
ALTER TABLE runs ADD COLUMN user TEXT;
ALTER TABLE runs ADD COLUMN parent BLOB;
-- JSON, from the ending.
ALTER TABLE runs ADD COLUMN usage TEXT;
ALTER TABLE runs ADD COLUMN cut TEXT;

CREATE INDEX runs_by_user ON runs (user, created_at, id) WHERE user IS NOT NULL;

ALTER TABLE sessions ADD COLUMN title TEXT;
ALTER TABLE sessions ADD COLUMN agent TEXT;
ALTER TABLE sessions ADD COLUMN user TEXT;
-- JSON.
ALTER TABLE sessions ADD COLUMN state TEXT;
ALTER TABLE sessions ADD COLUMN metadata TEXT;
ALTER TABLE sessions ADD COLUMN usage TEXT;
ALTER TABLE sessions ADD COLUMN runs INTEGER NOT NULL DEFAULT 0;
-- When its newest run was created, and which one that is.
ALTER TABLE sessions ADD COLUMN last_at INTEGER;
ALTER TABLE sessions ADD COLUMN last_run BLOB;

CREATE INDEX sessions_by_update ON sessions (updated_at, id);
CREATE INDEX sessions_by_agent ON sessions (agent, created_at, id) WHERE agent IS NOT NULL;
CREATE INDEX sessions_by_user ON sessions (user, created_at, id) WHERE user IS NOT NULL;

-- The rows that are there do not say any of this yet: see fill_in.rs, which has got as far as here.
INSERT INTO meta (key, value) VALUES ('filled_in_at', -1), ('filled_in_run', x'');
