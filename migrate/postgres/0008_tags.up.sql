-- Tags are words by which people, and the retention of uploads, tell uploads apart.
-- They are sorted by their bytes, as SQLite does, whatever the locale of the database.
CREATE TABLE upload_tags (
    upload BIGINT NOT NULL REFERENCES uploads (id),
    tag    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (upload, tag)
);

-- always: whether the upload is made even if nothing has changed since the one before.
-- confirmed: the latest run that found nothing changed since the upload: when, and the key of the upload that it had begun.
-- stopped: when and why the latest run stopped with an error before the upload was complete.
ALTER TABLE uploads
    ADD COLUMN always       SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN confirmed_at BIGINT,
    ADD COLUMN confirmed_by BIGINT,
    ADD COLUMN stopped_at   BIGINT,
    ADD COLUMN stop_reason  TEXT;
