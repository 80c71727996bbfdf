package sqlrepo_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"regexp"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// recorder keeps the statements that reached an engine.
type recorder struct {
	mu         sync.Mutex
	statements map[string]bool
}

func (r *recorder) add(statement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statements == nil {
		r.statements = map[string]bool{}
	}
	r.statements[statement] = true
}

var (
	questions = regexp.MustCompile(`\?`)
	dollars   = regexp.MustCompile(`\$\d`)
)

func (r *recorder) check(t *testing.T, engine string) {
	t.Helper()
	own, foreign := questions, dollars
	if engine == dialect.Postgres().Name {
		own, foreign = foreign, own
	}
	withOwn := 0
	for statement := range r.statements {
		if foreign.MatchString(statement) {
			t.Errorf("foreign placeholders: %s", statement)
		}
		if own.MatchString(statement) {
			withOwn++
		}
	}
	if withOwn < 50 {
		t.Errorf("only %d statements with placeholders were seen", withOwn)
	}
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(data.SQL)
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func recordPostgres(t *testing.T, db *dialect.DB, r *recorder) {
	t.Helper()
	config, err := pgx.ParseConfig(db.Settings.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = applicationName(t, db)
	config.Tracer = r
	db.Writer = sqlx.NewDb(stdlib.OpenDB(*config), "pgx")
	db.Reader = db.Writer
	closeWithTest(t, db.Writer)
}

func applicationName(t *testing.T, db *dialect.DB) (name string) {
	t.Helper()
	if err := db.Reader.GetContext(t.Context(), &name, "SHOW application_name"); err != nil {
		t.Fatal(err)
	}
	return name
}

func recordSQLite(t *testing.T, db *dialect.DB, r *recorder) {
	t.Helper()
	db.Writer, db.Reader = recordPool(t, db.Writer, r, 1), recordPool(t, db.Reader, r, 4)
}

func recordPool(t *testing.T, pool *sqlx.DB, r *recorder, connections int) *sqlx.DB {
	t.Helper()
	wrapped := sqlx.NewDb(sql.OpenDB(&borrower{pool, r}), "sqlite")
	wrapped.SetMaxOpenConns(connections)
	closeWithTest(t, wrapped)
	return wrapped
}

func closeWithTest(t *testing.T, db *sqlx.DB) {
	t.Helper()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// borrower connects by taking connections out of another pool, which knows how to open them.
type borrower struct {
	pool     *sqlx.DB
	recorder *recorder
}

func (b *borrower) Driver() driver.Driver { return b.pool.Driver() }

func (b *borrower) Connect(ctx context.Context) (driver.Conn, error) {
	lent, err := b.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var conn fullConn
	err = lent.Raw(func(raw any) error {
		var ok bool
		if conn, ok = raw.(fullConn); !ok {
			return errors.New("the driver's connections lack methods")
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, lent.Close())
	}
	return &recordingConn{conn, lent, b.recorder}, nil
}

// fullConn is what database/sql uses of SQLite's connections.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type recordingConn struct {
	fullConn
	lent     *sql.Conn
	recorder *recorder
}

func (c *recordingConn) Close() error { return c.lent.Close() }

func (c *recordingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.recorder.add(query)
	return c.fullConn.PrepareContext(ctx, query)
}

func (c *recordingConn) ExecContext(ctx context.Context, query string,
	args []driver.NamedValue) (driver.Result, error) {
	c.recorder.add(query)
	return c.fullConn.ExecContext(ctx, query, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.recorder.add(query)
	return c.fullConn.QueryContext(ctx, query, args)
}
