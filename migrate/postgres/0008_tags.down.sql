ALTER TABLE uploads
    DROP COLUMN always, DROP COLUMN confirmed_at, DROP COLUMN confirmed_by, DROP COLUMN stopped_at,
    DROP COLUMN stop_reason;
DROP TABLE upload_tags;
