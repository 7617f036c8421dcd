CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A run. While it is live, what happened since it was folded last stands in the journal.
-- Statuses from 4 on are ended.
CREATE TABLE runs (
    id BLOB NOT NULL PRIMARY KEY,
    agent TEXT NOT NULL,
    session TEXT,
    status INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    last INTEGER NOT NULL,
    folded INTEGER NOT NULL,
    born INTEGER NOT NULL,
    batch BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_age ON runs (created_at, id);
CREATE INDEX runs_by_session ON runs (session, created_at, id) WHERE session IS NOT NULL;
CREATE INDEX runs_by_agent ON runs (agent, created_at, id);
CREATE INDEX runs_unfinished ON runs (created_at, id) WHERE status < 4;
CREATE INDEX runs_ended ON runs (updated_at, id) WHERE status >= 4;

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_age ON sessions (created_at, id);

-- The events of one run, from position `first` to `last`. Written once.
CREATE TABLE segments (
    run BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (run, first)
) STRICT, WITHOUT ROWID;

-- What all runs appended, one row for each commit. The newest row is kept always, so that no number is used twice.
CREATE TABLE journal (
    id INTEGER NOT NULL PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;
