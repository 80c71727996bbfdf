ALTER TABLE entries
    DROP COLUMN ctime_ns,
    DROP COLUMN inode,
    DROP COLUMN mtime_era,
    DROP COLUMN unproven;

ALTER TABLE uploads
    DROP COLUMN reread,
    DROP COLUMN ignore_inode,
    DROP COLUMN ignore_ctime,
    DROP COLUMN mtime_window,
    DROP COLUMN scanned_again,
    DROP COLUMN shared_entries;

ALTER TABLE sources DROP COLUMN mounts;

ALTER TABLE spaces DROP COLUMN needs;
