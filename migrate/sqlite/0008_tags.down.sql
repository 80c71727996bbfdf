ALTER TABLE uploads DROP COLUMN stop_reason;
ALTER TABLE uploads DROP COLUMN stopped_at;
ALTER TABLE uploads DROP COLUMN confirmed_by;
ALTER TABLE uploads DROP COLUMN confirmed_at;
ALTER TABLE uploads DROP COLUMN always;
DROP TABLE upload_tags;
