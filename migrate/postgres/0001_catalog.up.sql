-- Keys are assigned by the application, from these counters, so that the same work gives the same rows everywhere.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
VALUES ('spaces', 0), ('sources', 0), ('uploads', 0), ('entries', 0), ('shards', 0);

CREATE TABLE spaces (
    id         BIGINT PRIMARY KEY,
    did        TEXT NOT NULL,
    name       TEXT NOT NULL,
    shard_size BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX spaces_did ON spaces (did);
CREATE UNIQUE INDEX spaces_name ON spaces (name);

CREATE TABLE sources (
    id         BIGINT PRIMARY KEY,
    space      BIGINT NOT NULL REFERENCES spaces (id),
    name       TEXT NOT NULL,
    path       BYTEA NOT NULL,
    excludes   BYTEA NOT NULL,
    symlinks   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE UNIQUE INDEX sources_name ON sources (space, name);
CREATE UNIQUE INDEX sources_path ON sources (space, path);

CREATE TABLE uploads (
    id          BIGINT PRIMARY KEY,
    source      BIGINT NOT NULL REFERENCES sources (id),
    state       SMALLINT NOT NULL,
    profile     TEXT NOT NULL,
    shard_size  BIGINT NOT NULL,
    excludes    BYTEA NOT NULL,
    symlinks    TEXT NOT NULL,
    token       BIGINT NOT NULL,
    files       BIGINT NOT NULL,
    directories BIGINT NOT NULL,
    links       BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    root_cid    BYTEA,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT
);
