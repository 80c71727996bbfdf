package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/dialect"
)

// tableWatch sees what autovacuum does with the tables of a database.
type tableWatch struct{ conn *pgx.Conn }

const (
	// settlePause is how long autovacuum has to begin, and settleRounds how often that is waited for.
	settlePause  = 1500 * time.Millisecond
	settleRounds = 200
)

// watchTables makes autovacuum of the server look every second: what would be an hour between snapshots are seconds.
// The statements are carried out in the database.
func watchTables(ctx context.Context, url dialect.Secret, statements string) (*tableWatch, error) {
	conn, err := pgx.Connect(ctx, url.Reveal())
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"ALTER SYSTEM SET autovacuum_naptime = 1", "SELECT pg_reload_conf()", statements,
	} {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, errors.Join(err, conn.Close(ctx))
		}
	}
	return &tableWatch{conn}, nil
}

func (t *tableWatch) close() error { return t.conn.Close(context.Background()) }

// settle returns when autovacuum has been idle for two looks.
func (t *tableWatch) settle(ctx context.Context) error {
	idle := 0
	for range settleRounds {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(settlePause):
		}
		var workers int
		err := t.conn.QueryRow(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'").
			Scan(&workers)
		if err != nil {
			return err
		}
		if idle++; workers > 0 {
			idle = 0
		}
		if idle == 2 {
			return nil
		}
	}
	return nil
}

// tableSizes has the tables that take most, with what their updates and autovacuum were.
const tableSizes = `SELECT relname, pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup,
	n_tup_ins, n_tup_del, n_tup_upd, n_tup_hot_upd, autovacuum_count, autoanalyze_count
	FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) + n_tup_upd DESC LIMIT 12`

func (t *tableWatch) size(ctx context.Context, b *bench) (size int64, err error) {
	if err := t.print(ctx, b); err != nil {
		return 0, err
	}
	if size, err = t.total(ctx); err != nil {
		return 0, err
	}

	// Entries that others share keep pages of indexes that are empty but for them.
	if _, err := t.conn.Exec(ctx, "REINDEX TABLE CONCURRENTLY entries"); err != nil {
		return 0, err
	}
	indexed, err := t.total(ctx)
	b.say("snapshots: %d KiB, and %d KiB with the indexes of entries made again", size>>10, indexed>>10)
	return size, err
}

func (t *tableWatch) print(ctx context.Context, b *bench) error {
	rows, err := t.conn.Query(ctx, tableSizes)
	if err != nil {
		return err
	}
	defer rows.Close()

	b.say("%-10s %9s %9s %9s %9s %9s %9s %9s %9s %7s %7s", "table", "KiB", "index KiB", "live", "dead", "inserted",
		"deleted", "updated", "HOT", "vacuum", "analyze")
	for rows.Next() {
		var name string
		var n [10]int64
		err := rows.Scan(&name, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9])
		if err != nil {
			return err
		}
		b.say("%-10s %9d %9d %9d %9d %9d %9d %9d %9d %7d %7d", name, n[0]>>10, n[1]>>10, n[2], n[3], n[4], n[5], n[6], n[7],
			n[8], n[9])
	}
	return rows.Err()
}

func (t *tableWatch) total(ctx context.Context) (size int64, err error) {
	err = t.conn.QueryRow(ctx, "SELECT SUM(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables").Scan(&size)
	return size, err
}

func (t *tableWatch) rewritten(ctx context.Context) (int64, error) {
	if _, err := t.conn.Exec(ctx, "VACUUM FULL"); err != nil {
		return 0, err
	}
	return t.total(ctx)
}
