-- What uploads of a space have in their stores is sent to the replicas of the space as well.
CREATE TABLE space_replicas (
    space INTEGER NOT NULL REFERENCES spaces (id),
    store TEXT NOT NULL REFERENCES stores (identity),
    PRIMARY KEY (space, store)
) STRICT, WITHOUT ROWID;

-- A sending is a file on its way to a replica: a unit of work with a lease, as stages and shards are. It is removed when
-- the copy is recorded.
CREATE TABLE sendings (
    id           INTEGER PRIMARY KEY,
    space        INTEGER NOT NULL REFERENCES spaces (id),
    store        TEXT NOT NULL REFERENCES stores (identity),
    origin       TEXT NOT NULL REFERENCES stores (identity),
    kind         INTEGER NOT NULL,
    digest       BLOB NOT NULL,
    size         INTEGER NOT NULL,
    token        INTEGER NOT NULL,
    worker       TEXT,
    lease_began  INTEGER,
    lease_seen   INTEGER,
    lease_ends   INTEGER,
    progress     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    retry_at     INTEGER,
    set_aside_at INTEGER,
    error        TEXT
) STRICT;
CREATE UNIQUE INDEX sendings_file ON sendings (space, store, digest);
