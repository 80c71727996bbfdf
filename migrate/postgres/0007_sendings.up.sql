-- What uploads of a space have in their stores is sent to the replicas of the space as well.
CREATE TABLE space_replicas (
    space BIGINT NOT NULL REFERENCES spaces (id),
    store TEXT NOT NULL REFERENCES stores (identity),
    PRIMARY KEY (space, store)
);

-- A sending is a file on its way to a replica: a unit of work with a lease, as stages and shards are. It is removed when
-- the copy is recorded.
CREATE TABLE sendings (
    id           BIGINT PRIMARY KEY,
    space        BIGINT NOT NULL REFERENCES spaces (id),
    store        TEXT NOT NULL REFERENCES stores (identity),
    origin       TEXT NOT NULL REFERENCES stores (identity),
    kind         SMALLINT NOT NULL,
    digest       BYTEA NOT NULL,
    size         BIGINT NOT NULL,
    token        BIGINT NOT NULL,
    worker       TEXT,
    lease_began  BIGINT,
    lease_seen   BIGINT,
    lease_ends   BIGINT,
    progress     BIGINT NOT NULL,
    attempts     INTEGER NOT NULL,
    retry_at     BIGINT,
    set_aside_at BIGINT,
    error        TEXT
);
CREATE UNIQUE INDEX sendings_file ON sendings (space, store, digest);
