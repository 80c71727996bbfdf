-- Each replica counts what it lacks, and what it lacks of complete uploads, so that nobody has to read all rows for that.
-- The transactions that change it keep the counts.
ALTER TABLE replicas ADD COLUMN missing_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN missing_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN due_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN due_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE replicas
SET missing_files = counts.files, missing_bytes = counts.bytes, due_files = counts.due, due_bytes = counts.due_bytes
FROM (SELECT store, origin, COUNT(*) AS files, SUM(size) AS bytes, SUM(due) AS due, SUM(size * due) AS due_bytes
      FROM (
    SELECT replicas.store, replicas.origin, shards.digest, shards.size,
           MAX(CASE uploads.state WHEN 5 THEN 1 ELSE 0 END) AS due
    FROM replicas JOIN uploads ON uploads.store = replicas.origin
        JOIN shards ON shards.upload = uploads.id AND shards.state = 3
    WHERE NOT EXISTS (SELECT 1 FROM copies WHERE copies.store = replicas.store AND copies.digest = shards.digest)
    GROUP BY replicas.store, replicas.origin, shards.digest, shards.size
    UNION ALL
    SELECT replicas.store, replicas.origin, indexes.digest, indexes.size,
           MAX(CASE uploads.state WHEN 5 THEN 1 ELSE 0 END) AS due
    FROM replicas JOIN uploads ON uploads.store = replicas.origin
        JOIN indexes ON indexes.upload = uploads.id AND indexes.state = 3
    WHERE NOT EXISTS (SELECT 1 FROM copies WHERE copies.store = replicas.store AND copies.digest = indexes.digest)
    GROUP BY replicas.store, replicas.origin, indexes.digest, indexes.size
) AS lacked GROUP BY store, origin) AS counts
WHERE counts.store = replicas.store AND counts.origin = replicas.origin;

ALTER TABLE space_replicas ADD COLUMN missing_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE space_replicas ADD COLUMN missing_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE space_replicas ADD COLUMN due_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE space_replicas ADD COLUMN due_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE space_replicas
SET missing_files = counts.files, missing_bytes = counts.bytes, due_files = counts.due, due_bytes = counts.due_bytes
FROM (SELECT space, store, COUNT(*) AS files, SUM(size) AS bytes, SUM(due) AS due, SUM(size * due) AS due_bytes
      FROM (
    SELECT space_replicas.space, space_replicas.store, shards.digest, shards.size,
           MAX(CASE uploads.state WHEN 5 THEN 1 ELSE 0 END) AS due
    FROM space_replicas JOIN sources ON sources.space = space_replicas.space
        JOIN uploads ON uploads.source = sources.id AND uploads.store NOT IN (space_replicas.store, 'none')
        JOIN shards ON shards.upload = uploads.id AND shards.state = 3
    WHERE NOT EXISTS (SELECT 1 FROM copies WHERE copies.store = space_replicas.store AND copies.digest = shards.digest)
    GROUP BY space_replicas.space, space_replicas.store, shards.digest, shards.size
    UNION ALL
    SELECT space_replicas.space, space_replicas.store, indexes.digest, indexes.size,
           MAX(CASE uploads.state WHEN 5 THEN 1 ELSE 0 END) AS due
    FROM space_replicas JOIN sources ON sources.space = space_replicas.space
        JOIN uploads ON uploads.source = sources.id AND uploads.store NOT IN (space_replicas.store, 'none')
        JOIN indexes ON indexes.upload = uploads.id AND indexes.state = 3
    WHERE NOT EXISTS (SELECT 1 FROM copies WHERE copies.store = space_replicas.store AND copies.digest = indexes.digest)
    GROUP BY space_replicas.space, space_replicas.store, indexes.digest, indexes.size
) AS lacked GROUP BY space, store) AS counts
WHERE counts.space = space_replicas.space AND counts.store = space_replicas.store;

-- Files are looked up by their digests. Planned shards have none.
CREATE INDEX shards_digest ON shards (digest) WHERE digest IS NOT NULL;
CREATE INDEX indexes_digest ON indexes (digest);

-- Few of an upload's shards are under way at a time, or waiting to be tried again.
CREATE INDEX shards_under_way ON shards (upload, ordinal)
    WHERE token <> 0 OR retry_at IS NOT NULL OR set_aside_at IS NOT NULL;
