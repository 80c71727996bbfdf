package enginetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// recordPostgres replaces the handles of a database with one whose driver reports each statement.
func recordPostgres(tb testing.TB, db *dialect.DB, to *Recorder) {
	tb.Helper()
	config, err := pgx.ParseConfig(db.Settings.URL.Reveal())
	if err != nil {
		tb.Fatal(err)
	}
	config.RuntimeParams["application_name"] = applicationName(tb, db)
	config.Tracer = tracer{to}
	db.Writer = sqlx.NewDb(stdlib.OpenDB(*config), "pgx")
	db.Reader = db.Writer
	closeWithTest(tb, db.Writer)
}

func applicationName(tb testing.TB, db *dialect.DB) (name string) {
	tb.Helper()
	if err := db.Reader.GetContext(context.Background(), &name, "SHOW application_name"); err != nil {
		tb.Fatal(err)
	}
	return name
}

// tracer implements pgx.QueryTracer, pgx.BatchTracer and pgx.CopyFromTracer.
type tracer struct{ recorder *Recorder }

// alive returns the context, or an ended one if the process is dead.
func (t tracer) alive(ctx context.Context) context.Context {
	if !t.recorder.life.Ended() {
		return ctx
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return ended
}

// verb is the context key of the statement.
type verb struct{}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.recorder.add(data.SQL)
	return context.WithValue(t.alive(ctx), verb{}, data.SQL)
}

func (t tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	sql, _ := ctx.Value(verb{}).(string)
	if data.Err == nil && (writes(sql) && conn.PgConn().TxStatus() == 'I' || sql == "commit") {
		t.recorder.life.committed()
	}
}

func (t tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.alive(ctx)
}

func (t tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.recorder.add(data.SQL)
	if data.SQL == "commit" && data.Err == nil {
		t.recorder.life.committed()
	}
}

func (tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	t.recorder.add("COPY " + data.TableName.Sanitize())
	return t.alive(ctx)
}

func (tracer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}
