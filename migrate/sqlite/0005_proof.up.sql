-- Raised by every change of who needs what in the space: whoever deletes compares the value that the decision was made from.
ALTER TABLE spaces ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;

-- What the source was when it was last accepted: its mount and the mount points below it, as JSON. NULL is not known yet.
ALTER TABLE sources ADD COLUMN mounts BLOB;

-- How the upload compares its entries with those of earlier scans.
ALTER TABLE uploads ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN ignore_inode INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN ignore_ctime INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN mtime_window INTEGER NOT NULL DEFAULT 0;
-- Whether the source was, or is being, scanned a second time, and how many entries share the content of earlier ones.
ALTER TABLE uploads ADD COLUMN scanned_again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN shared_entries INTEGER NOT NULL DEFAULT 0;

-- The rest of a fingerprint. The time of modification is mtime_ns + mtime_era * 2^64 ns; NULL is era 0, the years 1678 to
-- 2262. Unproven entries changed so shortly before their scan that a later change may not show.
ALTER TABLE entries ADD COLUMN ctime_ns INTEGER;
ALTER TABLE entries ADD COLUMN inode INTEGER;
ALTER TABLE entries ADD COLUMN mtime_era INTEGER;
ALTER TABLE entries ADD COLUMN unproven INTEGER;
