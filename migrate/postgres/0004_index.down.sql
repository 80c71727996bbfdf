DROP INDEX shards_index;
ALTER TABLE shards DROP COLUMN blob_index, DROP COLUMN piece;

DROP TABLE indexes;
DELETE FROM counters WHERE name = 'indexes';

-- Version 3 has no indexing: what was about to be indexed is linked again, which records the root once more.
DELETE FROM roots WHERE entry IN (SELECT entries.id FROM entries JOIN uploads ON uploads.id = entries.upload
    WHERE uploads.state = 9);
UPDATE uploads SET state = 4, token = 0, worker = NULL, lease_began = NULL, lease_seen = NULL, lease_ends = NULL,
    progress = 0, attempts = 0, retry_at = NULL, linked_entries = 0, root_cid = NULL, files = 0, directories = 0,
    links = 0, bytes = 0
WHERE state = 9;

ALTER TABLE uploads DROP COLUMN index_layout, DROP COLUMN index_slices, DROP COLUMN piece_cid;
