-- Settings of guppy's tables for autovacuum. Run this in the database that guppy uses, as the role that owns the tables:
--
--     psql --dbname guppy --file autovacuum.sql
--
-- With repo.schema, say where the tables are: PGOPTIONS='-c search_path=guppy' psql --dbname guppy --file autovacuum.sql
--
-- It may be run again. docs/operators.md says what was measured.

-- Removing a snapshot deletes as many rows as the next one inserts. They fit into the space of those that are gone if a
-- vacuum has come between: not at a fifth of the table, the default, but at a twentieth.
ALTER TABLE entries SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE roots SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE segments SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE nodes SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- A shard's row is updated some ten times, from its claim to its index. With room in its page the indexes stay as they
-- are.
ALTER TABLE shards SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
