-- Shards that were being removed have no file any more; version 2 has no such state.
DELETE FROM nodes WHERE shard IN (SELECT id FROM shards WHERE state = 5);
DELETE FROM segments WHERE shard IN (SELECT id FROM shards WHERE state = 5);
DELETE FROM shards WHERE state = 5;

ALTER TABLE nodes RENAME TO split_nodes;
ALTER INDEX nodes_pkey RENAME TO split_nodes_pkey;
CREATE TABLE nodes (
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    SMALLINT NOT NULL,
    digest   BYTEA NOT NULL,
    PRIMARY KEY (shard, position)
);
INSERT INTO nodes (shard, position, length, codec, digest)
SELECT shard, position, length, codec, decode(lpad(to_hex(prefix), 16, '0'), 'hex') || suffix FROM split_nodes;
DROP TABLE split_nodes;

ALTER TABLE shards
    DROP COLUMN worker, DROP COLUMN lease_began, DROP COLUMN lease_seen, DROP COLUMN lease_ends, DROP COLUMN progress,
    DROP COLUMN attempts, DROP COLUMN retry_at, DROP COLUMN set_aside_at, DROP COLUMN error;
UPDATE shards SET token = 0;

ALTER TABLE uploads
    DROP COLUMN store, DROP COLUMN skip_failed, DROP COLUMN sealed, DROP COLUMN found_entries,
    DROP COLUMN planned_files, DROP COLUMN planned_bytes, DROP COLUMN planned_shards, DROP COLUMN packed_files,
    DROP COLUMN packed_bytes, DROP COLUMN settled_shards, DROP COLUMN aside_shards, DROP COLUMN linked_entries,
    DROP COLUMN stage_began, DROP COLUMN stage_bytes, DROP COLUMN worker, DROP COLUMN lease_began,
    DROP COLUMN lease_seen, DROP COLUMN lease_ends, DROP COLUMN progress, DROP COLUMN attempts, DROP COLUMN retry_at,
    DROP COLUMN set_aside_at, DROP COLUMN error;
-- Incomplete and removed uploads stay so: later ones may share their content.
UPDATE uploads SET token = 0, state = CASE WHEN state IN (5, 7, 8) THEN state ELSE 1 END;

ALTER TABLE spaces DROP COLUMN revision;
