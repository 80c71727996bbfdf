-- Raised by one with every shard that is sealed in the space: who looked up its blocks before must look again.
ALTER TABLE spaces ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE spaces SET revision = 1;

-- A lease is a worker's claim on one unit of work: on the stage of an upload, or on a shard. Token 0 means that nobody has it.
ALTER TABLE uploads ADD COLUMN store TEXT;
ALTER TABLE uploads ADD COLUMN skip_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN found_entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN planned_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN planned_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN planned_shards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN packed_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN packed_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN settled_shards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN aside_shards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN linked_entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN stage_began INTEGER;
ALTER TABLE uploads ADD COLUMN stage_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN worker TEXT;
ALTER TABLE uploads ADD COLUMN lease_began INTEGER;
ALTER TABLE uploads ADD COLUMN lease_seen INTEGER;
ALTER TABLE uploads ADD COLUMN lease_ends INTEGER;
ALTER TABLE uploads ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN retry_at INTEGER;
ALTER TABLE uploads ADD COLUMN set_aside_at INTEGER;
ALTER TABLE uploads ADD COLUMN error TEXT;
-- Unfinished uploads begin again at their scan, which counts what is there; what was linked of them is linked again.
DELETE FROM roots WHERE entry IN (SELECT entries.id FROM entries JOIN uploads ON uploads.id = entries.upload
    WHERE uploads.state NOT IN (5, 7, 8));
-- Incomplete and removed uploads stay so: later ones may share their content.
UPDATE uploads SET token = 0, state = CASE WHEN state IN (5, 7, 8) THEN state ELSE 1 END;

ALTER TABLE shards ADD COLUMN worker TEXT;
ALTER TABLE shards ADD COLUMN lease_began INTEGER;
ALTER TABLE shards ADD COLUMN lease_seen INTEGER;
ALTER TABLE shards ADD COLUMN lease_ends INTEGER;
ALTER TABLE shards ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN retry_at INTEGER;
ALTER TABLE shards ADD COLUMN set_aside_at INTEGER;
ALTER TABLE shards ADD COLUMN error TEXT;
UPDATE shards SET token = 0, state = CASE WHEN state = 2 THEN 1 ELSE state END;

-- A digest is found by its first 64 bits: prefix has those, as a signed number, and suffix the other 24 bytes.
ALTER TABLE nodes RENAME TO whole_nodes;
CREATE TABLE nodes (
    prefix   INTEGER NOT NULL,
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    INTEGER NOT NULL,
    suffix   BLOB NOT NULL,
    PRIMARY KEY (shard, position)
) STRICT, WITHOUT ROWID;
-- There is no function from bytes to a number: the place of each hexadecimal digit among all is its value.
INSERT INTO nodes (prefix, shard, position, length, codec, suffix)
SELECT (instr('123456789ABCDEF', substr(hex, 1, 1)) << 60) | (instr('123456789ABCDEF', substr(hex, 2, 1)) << 56) |
       (instr('123456789ABCDEF', substr(hex, 3, 1)) << 52) | (instr('123456789ABCDEF', substr(hex, 4, 1)) << 48) |
       (instr('123456789ABCDEF', substr(hex, 5, 1)) << 44) | (instr('123456789ABCDEF', substr(hex, 6, 1)) << 40) |
       (instr('123456789ABCDEF', substr(hex, 7, 1)) << 36) | (instr('123456789ABCDEF', substr(hex, 8, 1)) << 32) |
       (instr('123456789ABCDEF', substr(hex, 9, 1)) << 28) | (instr('123456789ABCDEF', substr(hex, 10, 1)) << 24) |
       (instr('123456789ABCDEF', substr(hex, 11, 1)) << 20) | (instr('123456789ABCDEF', substr(hex, 12, 1)) << 16) |
       (instr('123456789ABCDEF', substr(hex, 13, 1)) << 12) | (instr('123456789ABCDEF', substr(hex, 14, 1)) << 8) |
       (instr('123456789ABCDEF', substr(hex, 15, 1)) << 4) | instr('123456789ABCDEF', substr(hex, 16, 1)),
       shard, position, length, codec, substr(digest, 9)
FROM (SELECT hex(substr(digest, 1, 8)) AS hex, * FROM whole_nodes);
DROP TABLE whole_nodes;
CREATE INDEX nodes_prefix ON nodes (prefix);
