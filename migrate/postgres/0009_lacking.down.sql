DROP INDEX shards_under_way;
DROP INDEX indexes_digest;
DROP INDEX shards_digest;
ALTER TABLE space_replicas
    DROP COLUMN due_bytes, DROP COLUMN due_files, DROP COLUMN missing_bytes, DROP COLUMN missing_files;
ALTER TABLE replicas
    DROP COLUMN due_bytes, DROP COLUMN due_files, DROP COLUMN missing_bytes, DROP COLUMN missing_files;
