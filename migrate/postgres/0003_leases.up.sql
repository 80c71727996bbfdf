-- Raised by one with every shard that is sealed in the space: who looked up its blocks before must look again.
ALTER TABLE spaces ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
UPDATE spaces SET revision = 1;

-- A lease is a worker's claim on one unit of work: on the stage of an upload, or on a shard. Token 0 means that nobody has it.
ALTER TABLE uploads
    ADD COLUMN store          TEXT,
    ADD COLUMN skip_failed    SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN sealed         INTEGER  NOT NULL DEFAULT 0,
    ADD COLUMN found_entries  BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN planned_files  BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN planned_bytes  BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN planned_shards INTEGER  NOT NULL DEFAULT 0,
    ADD COLUMN packed_files   BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN packed_bytes   BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN settled_shards INTEGER  NOT NULL DEFAULT 0,
    ADD COLUMN aside_shards   INTEGER  NOT NULL DEFAULT 0,
    ADD COLUMN linked_entries BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN stage_began    BIGINT,
    ADD COLUMN stage_bytes    BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN worker         TEXT,
    ADD COLUMN lease_began    BIGINT,
    ADD COLUMN lease_seen     BIGINT,
    ADD COLUMN lease_ends     BIGINT,
    ADD COLUMN progress       BIGINT   NOT NULL DEFAULT 0,
    ADD COLUMN attempts       INTEGER  NOT NULL DEFAULT 0,
    ADD COLUMN retry_at       BIGINT,
    ADD COLUMN set_aside_at   BIGINT,
    ADD COLUMN error          TEXT;
-- Unfinished uploads begin again at their scan, which counts what is there; what was linked of them is linked again.
DELETE FROM roots WHERE entry IN (SELECT entries.id FROM entries JOIN uploads ON uploads.id = entries.upload
    WHERE uploads.state NOT IN (5, 7, 8));
-- Incomplete and removed uploads stay so: later ones may share their content.
UPDATE uploads SET token = 0, state = CASE WHEN state IN (5, 7, 8) THEN state ELSE 1 END;

ALTER TABLE shards
    ADD COLUMN worker       TEXT,
    ADD COLUMN lease_began  BIGINT,
    ADD COLUMN lease_seen   BIGINT,
    ADD COLUMN lease_ends   BIGINT,
    ADD COLUMN progress     BIGINT  NOT NULL DEFAULT 0,
    ADD COLUMN attempts     INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN retry_at     BIGINT,
    ADD COLUMN set_aside_at BIGINT,
    ADD COLUMN error        TEXT;
UPDATE shards SET token = 0, state = CASE WHEN state = 2 THEN 1 ELSE state END;

-- A digest is found by its first 64 bits: prefix has those, as a signed number, and suffix the other 24 bytes.
ALTER TABLE nodes RENAME TO whole_nodes;
ALTER INDEX nodes_pkey RENAME TO whole_nodes_pkey;
CREATE TABLE nodes (
    prefix   BIGINT NOT NULL,
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    codec    SMALLINT NOT NULL
);
-- 24 bytes never leave their row. Said together with the column, this spares a table for those that would.
ALTER TABLE nodes ADD COLUMN suffix BYTEA NOT NULL, ALTER COLUMN suffix SET STORAGE PLAIN;
INSERT INTO nodes (prefix, shard, position, length, codec, suffix)
SELECT (get_byte(digest, 0)::bigint << 56) | (get_byte(digest, 1)::bigint << 48) | (get_byte(digest, 2)::bigint << 40) |
       (get_byte(digest, 3)::bigint << 32) | (get_byte(digest, 4)::bigint << 24) | (get_byte(digest, 5)::bigint << 16) |
       (get_byte(digest, 6)::bigint << 8) | get_byte(digest, 7)::bigint,
       shard, position, length, codec, substring(digest FROM 9)
FROM whole_nodes;
DROP TABLE whole_nodes;
ALTER TABLE nodes ADD PRIMARY KEY (shard, position);
CREATE INDEX nodes_prefix ON nodes (prefix);
