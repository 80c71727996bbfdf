-- Tags are words by which people, and the retention of uploads, tell uploads apart.
CREATE TABLE upload_tags (
    upload INTEGER NOT NULL REFERENCES uploads (id),
    tag    TEXT NOT NULL,
    PRIMARY KEY (upload, tag)
) STRICT, WITHOUT ROWID;

-- Whether the upload is made even if nothing has changed since the one before.
ALTER TABLE uploads ADD COLUMN always INTEGER NOT NULL DEFAULT 0;
-- The latest run that found nothing changed since the upload: when, and the key of the upload that it had begun.
ALTER TABLE uploads ADD COLUMN confirmed_at INTEGER;
ALTER TABLE uploads ADD COLUMN confirmed_by INTEGER;
-- When and why the latest run stopped with an error before the upload was complete.
ALTER TABLE uploads ADD COLUMN stopped_at INTEGER;
ALTER TABLE uploads ADD COLUMN stop_reason TEXT;
