ALTER TABLE entries DROP COLUMN ctime_ns;
ALTER TABLE entries DROP COLUMN inode;
ALTER TABLE entries DROP COLUMN mtime_era;
ALTER TABLE entries DROP COLUMN unproven;

ALTER TABLE uploads DROP COLUMN reread;
ALTER TABLE uploads DROP COLUMN ignore_inode;
ALTER TABLE uploads DROP COLUMN ignore_ctime;
ALTER TABLE uploads DROP COLUMN mtime_window;
ALTER TABLE uploads DROP COLUMN scanned_again;
ALTER TABLE uploads DROP COLUMN shared_entries;

ALTER TABLE sources DROP COLUMN mounts;

ALTER TABLE spaces DROP COLUMN needs;
