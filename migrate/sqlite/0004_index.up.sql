-- The recipe of an upload: how its shards are indexed, and whether their piece CIDs are computed. No layout tells of one
-- that was begun before there were indexes.
ALTER TABLE uploads ADD COLUMN index_layout TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN index_slices INTEGER NOT NULL DEFAULT 26000;
ALTER TABLE uploads ADD COLUMN piece_cid INTEGER NOT NULL DEFAULT 0;

-- An index tells where the blocks of some shards lie. It is a file of the store, named by its CID as shards are.
INSERT INTO counters (name, value) VALUES ('indexes', 0);
CREATE TABLE indexes (
    id       INTEGER PRIMARY KEY,
    upload   INTEGER NOT NULL REFERENCES uploads (id),
    ordinal  INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    layout   TEXT NOT NULL,
    root_cid BLOB NOT NULL,
    shards   INTEGER NOT NULL,
    slices   INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    location TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX indexes_ordinal ON indexes (upload, ordinal);

-- The index that covers a shard, and the 32 bytes at the root of its piece CID.
ALTER TABLE shards ADD COLUMN blob_index INTEGER;
ALTER TABLE shards ADD COLUMN piece BLOB;
CREATE INDEX shards_index ON shards (blob_index);
