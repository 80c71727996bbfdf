-- The recipe of an upload: how its shards are indexed, and whether their piece CIDs are computed. No layout tells of one
-- that was begun before there were indexes.
ALTER TABLE uploads
    ADD COLUMN index_layout TEXT     NOT NULL DEFAULT '',
    ADD COLUMN index_slices BIGINT   NOT NULL DEFAULT 26000,
    ADD COLUMN piece_cid    SMALLINT NOT NULL DEFAULT 0;

-- An index tells where the blocks of some shards lie. It is a file of the store, named by its CID as shards are.
INSERT INTO counters (name, value) VALUES ('indexes', 0);
CREATE TABLE indexes (
    id       BIGINT PRIMARY KEY,
    upload   BIGINT NOT NULL REFERENCES uploads (id),
    ordinal  INTEGER NOT NULL,
    state    SMALLINT NOT NULL,
    layout   TEXT NOT NULL,
    root_cid BYTEA NOT NULL,
    shards   INTEGER NOT NULL,
    slices   BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    digest   BYTEA NOT NULL,
    location TEXT NOT NULL
);
CREATE UNIQUE INDEX indexes_ordinal ON indexes (upload, ordinal);

-- The index that covers a shard, and the 32 bytes at the root of its piece CID.
ALTER TABLE shards
    ADD COLUMN blob_index BIGINT,
    ADD COLUMN piece      BYTEA;
CREATE INDEX shards_index ON shards (blob_index);
