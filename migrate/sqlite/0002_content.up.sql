-- The large tables carry no foreign keys: their rows come and go in bulk, always together with what they belong to.
CREATE TABLE entries (
    id          INTEGER PRIMARY KEY,
    mtime_ns    INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    upload      INTEGER NOT NULL,
    permissions INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    path        BLOB NOT NULL,
    target      BLOB,
    reason      TEXT,
    origin      INTEGER
) STRICT;
CREATE UNIQUE INDEX entries_path ON entries (upload, path);
CREATE INDEX entries_unready ON entries (upload, state) WHERE state <> 0;

-- A shard is at most 512 MiB: a place inside it, and a length, always fit 31 bits, as do the keys of shards.
CREATE TABLE shards (
    id           INTEGER PRIMARY KEY,
    upload       INTEGER NOT NULL REFERENCES uploads (id),
    ordinal      INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    token        INTEGER NOT NULL,
    planned_size INTEGER NOT NULL,
    chunks       INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    content      INTEGER NOT NULL,
    nodes        INTEGER NOT NULL,
    digest       BLOB,
    location     TEXT,
    digests      BLOB
) STRICT;
CREATE UNIQUE INDEX shards_ordinal ON shards (upload, ordinal);

CREATE TABLE segments (
    entry       INTEGER NOT NULL,
    file_offset INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    chunk       INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    PRIMARY KEY (shard, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX segments_entry ON segments (entry);

CREATE TABLE nodes (
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (shard, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE roots (
    entry    INTEGER PRIMARY KEY,
    dag_size INTEGER NOT NULL,
    cid      BLOB NOT NULL
) STRICT;
