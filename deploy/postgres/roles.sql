-- Roles for guppy with no more rights than they need. Run this in the database that guppy is to use, as a role that owns
-- it and may create roles, such as the administrator of a managed service:
--
--     psql --dbname guppy --file roles.sql
--
-- It may be run again. Then set passwords (\password guppy_worker), or use what the service has in their place.
--
--     guppy_owner   owns the schema and its tables, and changes them      repo.migrate_url
--     guppy_worker  reads and writes rows                                 repo.database_url
--     guppy_reader  reads rows                                            repo.read_url
--
-- guppy finds the tables with repo.schema: guppy.

DO $$
DECLARE
    role TEXT;
BEGIN
    FOREACH role IN ARRAY ARRAY['guppy_owner', 'guppy_worker', 'guppy_reader'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
    END LOOP;

    -- Who runs this has to act for the owner.
    IF NOT pg_has_role(current_user, 'guppy_owner', 'USAGE') THEN
        EXECUTE format('GRANT guppy_owner TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS guppy AUTHORIZATION guppy_owner;
GRANT USAGE ON SCHEMA guppy TO guppy_worker, guppy_reader;

-- The tables that are there, and those that migrations make later.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA guppy TO guppy_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA guppy TO guppy_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE guppy_owner IN SCHEMA guppy
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO guppy_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE guppy_owner IN SCHEMA guppy GRANT SELECT ON TABLES TO guppy_reader;

-- Workers have the planner's statistics renewed. Servers before 17 let only the owner do that, and leave it to
-- autovacuum otherwise.
DO $$
BEGIN
    EXECUTE 'GRANT MAINTAIN ON ALL TABLES IN SCHEMA guppy TO guppy_worker';
    EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE guppy_owner IN SCHEMA guppy GRANT MAINTAIN ON TABLES TO guppy_worker';
EXCEPTION
    WHEN syntax_error OR invalid_parameter_value OR invalid_grant_operation THEN NULL; -- the server has no such right
END
$$;
