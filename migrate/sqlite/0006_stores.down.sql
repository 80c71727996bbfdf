-- A location is the URL of a store and a name. The name has a CID in Base32, of which the digest is all but the beginning.
ALTER TABLE shards ADD COLUMN location TEXT;
UPDATE shards SET location = (
    SELECT CASE stores.identity WHEN 'none' THEN 'none:' ELSE
        COALESCE(substr(url, 1, instr(url || '?', '?') - 1), '') || 'bagbaiera' || (
        SELECT group_concat(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + (
            (instr('123456789ABCDEF', substr(hex(digest) || '0', 1 + 5 * i / 4, 1)) << 4 |
             instr('123456789ABCDEF', substr(hex(digest) || '0', 2 + 5 * i / 4, 1))) >> (3 - 5 * i % 4) & 31), 1),
            '' ORDER BY i)
        FROM (WITH RECURSIVE letters (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM letters WHERE i < 51)
            SELECT i FROM letters)) || '.car' END
    FROM uploads LEFT JOIN stores ON stores.identity = uploads.store WHERE uploads.id = shards.upload)
WHERE LENGTH(digest) = 32;

-- A column that can't be NULL can only be added with a default, which the table did not have.
ALTER TABLE indexes RENAME TO bare_indexes;
CREATE TABLE indexes (
    id       INTEGER PRIMARY KEY,
    upload   INTEGER NOT NULL REFERENCES uploads (id),
    ordinal  INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    layout   TEXT NOT NULL,
    root_cid BLOB NOT NULL,
    shards   INTEGER NOT NULL,
    slices   INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    location TEXT NOT NULL
) STRICT;
INSERT INTO indexes (id, upload, ordinal, state, layout, root_cid, shards, slices, size, digest, location)
SELECT id, upload, ordinal, state, layout, root_cid, shards, slices, size, digest, '' FROM bare_indexes;
DROP TABLE bare_indexes;
CREATE UNIQUE INDEX indexes_ordinal ON indexes (upload, ordinal);

UPDATE indexes SET location = (
    SELECT CASE stores.identity WHEN 'none' THEN 'none:' ELSE
        COALESCE(substr(url, 1, instr(url || '?', '?') - 1), '') || 'bagbaiera' || (
        SELECT group_concat(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + (
            (instr('123456789ABCDEF', substr(hex(digest) || '0', 1 + 5 * i / 4, 1)) << 4 |
             instr('123456789ABCDEF', substr(hex(digest) || '0', 2 + 5 * i / 4, 1))) >> (3 - 5 * i % 4) & 31), 1),
            '' ORDER BY i)
        FROM (WITH RECURSIVE letters (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM letters WHERE i < 51)
            SELECT i FROM letters)) || '.idx' END
    FROM uploads LEFT JOIN stores ON stores.identity = uploads.store WHERE uploads.id = indexes.upload)
WHERE LENGTH(digest) = 32;

ALTER TABLE spaces DROP COLUMN store;
DROP TABLE copies;
DROP TABLE replicas;
DROP TABLE stores;
