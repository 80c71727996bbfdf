-- A store is known by the identity in its marker. Its shards and indexes are named by their content, so where they are
-- follows from where the store is.
CREATE TABLE stores (
    identity   TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    url        TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT
);
CREATE UNIQUE INDEX stores_name ON stores (name);

-- A replica is to have all shards and indexes of its origin. Copies are what was proved to be there, by digest.
CREATE TABLE replicas (
    store     TEXT NOT NULL REFERENCES stores (identity),
    origin    TEXT NOT NULL REFERENCES stores (identity),
    synced_at BIGINT,
    PRIMARY KEY (store, origin)
);
CREATE TABLE copies (
    store  TEXT NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (store, digest)
);

-- Where its latest shard or index lies is where a store was last. No URL tells where it is if it has neither.
INSERT INTO stores (identity, name, url, created_at, seen_at)
SELECT identity, CASE identity WHEN 'none' THEN 'none' ELSE 'store-' || ROW_NUMBER() OVER (ORDER BY first) END,
       CASE identity WHEN 'none' THEN 'none:' ELSE regexp_replace(location, '[^/]*$', '') END, began, latest
FROM (SELECT store AS identity, MIN(id) AS first, MIN(started_at) AS began,
             MAX(started_at) AS latest, COALESCE(
          (SELECT location FROM shards JOIN uploads AS own ON own.id = shards.upload
           WHERE own.store = uploads.store AND location IS NOT NULL ORDER BY shards.id DESC LIMIT 1),
          (SELECT location FROM indexes JOIN uploads AS own ON own.id = indexes.upload
           WHERE own.store = uploads.store ORDER BY indexes.id DESC LIMIT 1), '') AS location
      FROM uploads WHERE store IS NOT NULL GROUP BY store) AS used;

-- The store that new uploads of the space go to: that of its latest complete upload, or else of its first one.
ALTER TABLE spaces ADD COLUMN store TEXT REFERENCES stores (identity);
UPDATE spaces SET store = (SELECT uploads.store FROM uploads JOIN sources ON sources.id = uploads.source
    WHERE sources.space = spaces.id AND uploads.store IS NOT NULL AND uploads.state <> 8
    ORDER BY CASE uploads.state WHEN 5 THEN -uploads.id ELSE uploads.id END LIMIT 1);

ALTER TABLE shards DROP COLUMN location;
ALTER TABLE indexes DROP COLUMN location;
