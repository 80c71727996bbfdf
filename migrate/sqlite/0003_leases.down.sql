-- Shards that were being removed have no file any more; version 2 has no such state.
DELETE FROM nodes WHERE shard IN (SELECT id FROM shards WHERE state = 5);
DELETE FROM segments WHERE shard IN (SELECT id FROM shards WHERE state = 5);
DELETE FROM shards WHERE state = 5;

ALTER TABLE nodes RENAME TO split_nodes;
CREATE TABLE nodes (
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (shard, position)
) STRICT, WITHOUT ROWID;
INSERT INTO nodes (shard, position, length, codec, digest)
SELECT shard, position, length, codec, unhex(printf('%016X', prefix) || hex(suffix)) FROM split_nodes;
DROP TABLE split_nodes;

ALTER TABLE shards DROP COLUMN worker;
ALTER TABLE shards DROP COLUMN lease_began;
ALTER TABLE shards DROP COLUMN lease_seen;
ALTER TABLE shards DROP COLUMN lease_ends;
ALTER TABLE shards DROP COLUMN progress;
ALTER TABLE shards DROP COLUMN attempts;
ALTER TABLE shards DROP COLUMN retry_at;
ALTER TABLE shards DROP COLUMN set_aside_at;
ALTER TABLE shards DROP COLUMN error;
UPDATE shards SET token = 0;

ALTER TABLE uploads DROP COLUMN store;
ALTER TABLE uploads DROP COLUMN skip_failed;
ALTER TABLE uploads DROP COLUMN sealed;
ALTER TABLE uploads DROP COLUMN found_entries;
ALTER TABLE uploads DROP COLUMN planned_files;
ALTER TABLE uploads DROP COLUMN planned_bytes;
ALTER TABLE uploads DROP COLUMN planned_shards;
ALTER TABLE uploads DROP COLUMN packed_files;
ALTER TABLE uploads DROP COLUMN packed_bytes;
ALTER TABLE uploads DROP COLUMN settled_shards;
ALTER TABLE uploads DROP COLUMN aside_shards;
ALTER TABLE uploads DROP COLUMN linked_entries;
ALTER TABLE uploads DROP COLUMN stage_began;
ALTER TABLE uploads DROP COLUMN stage_bytes;
ALTER TABLE uploads DROP COLUMN worker;
ALTER TABLE uploads DROP COLUMN lease_began;
ALTER TABLE uploads DROP COLUMN lease_seen;
ALTER TABLE uploads DROP COLUMN lease_ends;
ALTER TABLE uploads DROP COLUMN progress;
ALTER TABLE uploads DROP COLUMN attempts;
ALTER TABLE uploads DROP COLUMN retry_at;
ALTER TABLE uploads DROP COLUMN set_aside_at;
ALTER TABLE uploads DROP COLUMN error;
-- Incomplete and removed uploads stay so: later ones may share their content.
UPDATE uploads SET token = 0, state = CASE WHEN state IN (5, 7, 8) THEN state ELSE 1 END;

ALTER TABLE spaces DROP COLUMN revision;
