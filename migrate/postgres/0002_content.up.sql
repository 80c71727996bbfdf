-- The large tables carry no foreign keys: their rows come and go in bulk, always together with what they belong to.
CREATE TABLE entries (
    id          BIGINT PRIMARY KEY,
    mtime_ns    BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    upload      BIGINT NOT NULL,
    permissions INTEGER NOT NULL,
    kind        SMALLINT NOT NULL,
    state       SMALLINT NOT NULL,
    path        BYTEA NOT NULL,
    target      BYTEA,
    reason      TEXT,
    origin      BIGINT
);
CREATE UNIQUE INDEX entries_path ON entries (upload, path);
CREATE INDEX entries_unready ON entries (upload, state) WHERE state <> 0;

-- A shard is at most 512 MiB: a place inside it, and a length, always fit 31 bits, as do the keys of shards.
CREATE TABLE shards (
    id           INTEGER PRIMARY KEY,
    upload       BIGINT NOT NULL REFERENCES uploads (id),
    ordinal      INTEGER NOT NULL,
    kind         SMALLINT NOT NULL,
    state        SMALLINT NOT NULL,
    token        BIGINT NOT NULL,
    planned_size BIGINT NOT NULL,
    chunks       INTEGER NOT NULL,
    size         BIGINT NOT NULL,
    content      BIGINT NOT NULL,
    nodes        INTEGER NOT NULL,
    digest       BYTEA,
    location     TEXT,
    digests      BYTEA
);
CREATE UNIQUE INDEX shards_ordinal ON shards (upload, ordinal);
-- Digests do not compress.
ALTER TABLE shards ALTER COLUMN digests SET STORAGE EXTERNAL;

CREATE TABLE segments (
    entry       BIGINT NOT NULL,
    file_offset BIGINT NOT NULL,
    shard       INTEGER NOT NULL,
    chunk       INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    PRIMARY KEY (shard, chunk)
);
CREATE INDEX segments_entry ON segments (entry);

CREATE TABLE nodes (
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    SMALLINT NOT NULL,
    digest   BYTEA NOT NULL,
    PRIMARY KEY (shard, position)
);

CREATE TABLE roots (
    entry    BIGINT PRIMARY KEY,
    dag_size BIGINT NOT NULL,
    cid      BYTEA NOT NULL
);
