-- A location is the URL of a store and a name. The name has a CID in Base32, of which the digest is all but the beginning.
ALTER TABLE shards ADD COLUMN location TEXT;
ALTER TABLE indexes ADD COLUMN location TEXT NOT NULL DEFAULT '';

UPDATE shards SET location = (
    SELECT CASE stores.identity WHEN 'none' THEN 'none:' ELSE
        COALESCE(split_part(url, '?', 1), '') || 'bagbaiera' || (
        SELECT string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + (
            ((get_byte(digest || '\x00', 5 * i / 8) << 8) | get_byte(digest || '\x00', 5 * i / 8 + 1))
            >> (11 - 5 * i % 8) & 31), 1), '' ORDER BY i)
        FROM generate_series(0, 51) AS i) || '.car' END
    FROM uploads LEFT JOIN stores ON stores.identity = uploads.store WHERE uploads.id = shards.upload)
WHERE LENGTH(digest) = 32;

UPDATE indexes SET location = (
    SELECT CASE stores.identity WHEN 'none' THEN 'none:' ELSE
        COALESCE(split_part(url, '?', 1), '') || 'bagbaiera' || (
        SELECT string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + (
            ((get_byte(digest || '\x00', 5 * i / 8) << 8) | get_byte(digest || '\x00', 5 * i / 8 + 1))
            >> (11 - 5 * i % 8) & 31), 1), '' ORDER BY i)
        FROM generate_series(0, 51) AS i) || '.idx' END
    FROM uploads LEFT JOIN stores ON stores.identity = uploads.store WHERE uploads.id = indexes.upload)
WHERE LENGTH(digest) = 32;
ALTER TABLE indexes ALTER COLUMN location DROP DEFAULT;

ALTER TABLE spaces DROP COLUMN store;
DROP TABLE copies;
DROP TABLE replicas;
DROP TABLE stores;
