package enginetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// recordPostgres replaces the handles of a database with one whose driver tells of each statement.
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

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.recorder.add(data.SQL)
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (t tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.recorder.add(data.SQL)
}

func (tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	t.recorder.add("COPY " + data.TableName.Sanitize())
	return ctx
}

func (tracer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}
