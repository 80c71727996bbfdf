package postgres

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// oldestServer is the oldest server whose SQL and planner guppy is tested with.
const oldestServer = 13

// Inspect implements dialect.Inspector.
func (Engine) Inspect(ctx context.Context, db *dialect.DB) (info dialect.Info, err error) {
	if err := db.Reader.GetContext(ctx, &info.Version, "SHOW server_version"); err != nil {
		return info, err
	}
	if err := readTables(ctx, db, &info); err != nil {
		return info, err
	}

	if info.Size, err = db.Size(ctx); err != nil {
		return info, err
	}
	if err := readSettings(ctx, db, &info); err != nil {
		return info, err
	}

	if info.Version != "" && isOld(info.Version) {
		info.Warn("old-server", "%s", oldServer(info.Version))
	}
	return info, nil
}

// fewPages is the size up to which a table is read to count its rows. For larger tables the server's estimate is
// close enough.
const fewPages = 1000

func readTables(ctx context.Context, db *dialect.DB, info *dialect.Info) error {
	var tables []struct {
		Name  string `db:"name"`
		Bytes int64  `db:"bytes"`
		Pages int64  `db:"pages"`
		Rows  int64  `db:"rows"`
	}
	err := db.Reader.SelectContext(ctx, &tables, `SELECT c.relname AS name, pg_table_size(c.oid) AS bytes,
		pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages, c.reltuples::bigint AS rows
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = `+currentSchema+`
		ORDER BY c.relname::text COLLATE "C"`) // servers before 12 take no collation for the type of names
	if err != nil {
		return err
	}

	for _, t := range tables {
		table := dialect.TableInfo{Name: t.Name, Bytes: t.Bytes, Rows: t.Rows, Estimated: true}
		if t.Rows == 0 && t.Pages > 0 {
			table.Rows = -1 // servers before 14 report 0 for a table never analyzed
		}
		if t.Pages <= fewPages {
			table.Estimated = false
			count := "SELECT COUNT(*) FROM " + quoteIdentifier(t.Name)
			if err := db.Reader.GetContext(ctx, &table.Rows, count); err != nil {
				return err
			}
		}
		info.Tables = append(info.Tables, table)
	}
	return readIndexes(ctx, db, info)
}

func readIndexes(ctx context.Context, db *dialect.DB, info *dialect.Info) error {
	var indexes []struct {
		Table string `db:"table_name"`
		dialect.IndexInfo
	}
	err := db.Reader.SelectContext(ctx, &indexes, `SELECT t.relname AS table_name, c.relname AS name,
		pg_relation_size(c.oid) AS bytes FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_class t ON t.oid = i.indrelid WHERE t.relkind = 'r' AND t.relnamespace = `+currentSchema+`
		ORDER BY t.relname::text COLLATE "C", c.relname::text COLLATE "C"`)
	for _, index := range indexes {
		table := info.Table(index.Table)
		table.Indexes = append(table.Indexes, index.IndexInfo)
	}
	return err
}

// readSettings reads the settings in force on the server for connections like guppy's.
func readSettings(ctx context.Context, db *dialect.DB, info *dialect.Info) error {
	err := db.Reader.SelectContext(ctx, &info.Settings, `SELECT name, current_setting(name) AS value FROM pg_settings
		WHERE name IN ('autovacuum', 'default_transaction_isolation', 'default_transaction_read_only', 'fsync',
		'full_page_writes', 'idle_in_transaction_session_timeout', 'max_connections', 'max_wal_size', 'server_encoding',
		'shared_buffers', 'statement_timeout', 'synchronous_commit', 'wal_level') ORDER BY name COLLATE "C"`)
	if err != nil {
		return err
	}

	var standby bool
	var connections, reserved int64
	err = db.Reader.QueryRowxContext(ctx, `SELECT pg_is_in_recovery(), (SELECT COUNT(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend'), current_setting('superuser_reserved_connections')::bigint`).
		Scan(&standby, &connections, &reserved)
	if err != nil {
		return err
	}

	open, idle := db.Settings.PoolBounds()
	info.Set("in_recovery", standby)
	info.Set("connections_in_use", connections)
	info.Set("pool_max_open_conns", open)
	info.Set("pool_max_idle_conns", idle)
	info.Set("query_exec_mode", ExecMode(db.Settings))
	info.Set("transaction_pooler", optionsOf(db.Settings).TransactionPooler)
	warn(info, standby, int64(open), reserved)
	return nil
}

// unsafeSettings are values with which a commit does not have the effect that guppy relies on.
var unsafeSettings = []struct{ name, value, danger string }{
	{"fsync", "off", "a crash of the server's host can destroy the database: set it to on"},
	{"full_page_writes", "off", "a crash of the server's host can damage pages: set it to on unless the disk can't tear " +
		"them"},
	{"synchronous_commit", "off", "a crash of the server loses its last commits, and shards that they named stay in the " +
		"store without a row: set it to on"},
	{"autovacuum", "off", "tables grow by what is changed and deleted in them: set it to on"},
	{"default_transaction_read_only", "on", "nothing can be written: set it to off"},
}

func warn(info *dialect.Info, standby bool, open, reserved int64) {
	values := map[string]string{}
	for _, setting := range info.Settings {
		values[setting.Name] = setting.Value
	}

	for _, unsafe := range unsafeSettings {
		if values[unsafe.name] == unsafe.value {
			info.Warn(strings.ReplaceAll(unsafe.name, "_", "-"), "%s is %s: %s", unsafe.name, unsafe.value, unsafe.danger)
		}
	}

	if standby {
		info.Warn("standby", "the server is a standby: nothing can be written until it is promoted; name the primary too, "+
			"or several hosts, in repo.database_url")
	}
	if most, err := strconv.ParseInt(values["max_connections"], 10, 64); err == nil && open > most-reserved {
		info.Warn("pool", "one process of guppy may open %d connections, the server allows %d in all: lower "+
			"repo.max_open_conns or raise max_connections", open, most-reserved)
	}
}

// isOld reports whether a version in the server's form, such as "16.4 (Debian 16.4-1)", is no longer supported.
func isOld(version string) bool {
	digits := version
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || '9' < r }); end >= 0 {
		digits = version[:end]
	}
	major, err := strconv.Atoi(digits)
	return err == nil && major < oldestServer
}

func oldServer(version string) string {
	return "the server is PostgreSQL " + version + ": guppy is tested with " + strconv.Itoa(oldestServer) +
		" and later, upgrade the server (pg_upgrade)"
}

// warnOfOldServer uses the version that the server sent when the connection was made.
func warnOfOldServer(conn *sqlx.Conn, log *slog.Logger) error {
	return conn.Raw(func(driverConn any) error {
		session, ok := driverConn.(interface{ Conn() *pgx.Conn })
		if !ok {
			return nil
		}
		if version := session.Conn().PgConn().ParameterStatus("server_version"); isOld(version) {
			log.Warn(oldServer(version))
		}
		return nil
	})
}
