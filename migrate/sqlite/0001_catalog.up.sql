-- Keys are assigned by the application, from these counters, so that the same work gives the same rows everywhere.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value)
VALUES ('spaces', 0), ('sources', 0), ('uploads', 0), ('entries', 0), ('shards', 0);

CREATE TABLE spaces (
    id         INTEGER PRIMARY KEY,
    did        TEXT NOT NULL,
    name       TEXT NOT NULL,
    shard_size INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX spaces_did ON spaces (did);
CREATE UNIQUE INDEX spaces_name ON spaces (name);

CREATE TABLE sources (
    id         INTEGER PRIMARY KEY,
    space      INTEGER NOT NULL REFERENCES spaces (id),
    name       TEXT NOT NULL,
    path       BLOB NOT NULL,
    excludes   BLOB NOT NULL,
    symlinks   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    removed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX sources_name ON sources (space, name);
CREATE UNIQUE INDEX sources_path ON sources (space, path);

CREATE TABLE uploads (
    id          INTEGER PRIMARY KEY,
    source      INTEGER NOT NULL REFERENCES sources (id),
    state       INTEGER NOT NULL,
    profile     TEXT NOT NULL,
    shard_size  INTEGER NOT NULL,
    excludes    BLOB NOT NULL,
    symlinks    TEXT NOT NULL,
    token       INTEGER NOT NULL,
    files       INTEGER NOT NULL,
    directories INTEGER NOT NULL,
    links       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    root_cid    BLOB,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
