package postgres_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestClassifyPostgresDeadlock(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	var ready, ended sync.WaitGroup
	ready.Add(2)
	errs := make([]error, 2)
	for i, order := range [][]string{{"1", "2"}, {"2", "1"}} {
		ended.Go(func() {
			errs[i] = dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
				_, err := tx.ExecContext(t.Context(), "UPDATE a SET n = n + 1 WHERE id = "+order[0])
				ready.Done()
				ready.Wait()
				if err == nil {
					_, err = tx.ExecContext(t.Context(), "UPDATE a SET n = n + 1 WHERE id = "+order[1])
				}
				return err
			})
		})
	}

	ended.Wait()
	lost := errs[0]
	if lost == nil {
		lost = errs[1]
	}

	dialecttest.RequireClass(t, db, lost, dialect.Conflict)
	if errs[0] != nil && errs[1] != nil {
		t.Errorf("both lost: %v", errs)
	}
}

func TestClassifyPostgresSerialization(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return err
		}

		var n int
		if err := tx.GetContext(t.Context(), &n, "SELECT n FROM a WHERE id = 1"); err != nil {
			return err
		}
		dialecttest.Execute(t, db, "UPDATE a SET n = 5")
		_, err := tx.ExecContext(t.Context(), "UPDATE a SET n = 6")
		return err
	})
	dialecttest.RequireClass(t, db, err, dialect.Conflict)
}

func TestClassifyPostgresStatements(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	for name, tt := range map[string]struct {
		statements []string
		want       dialect.Class
	}{
		"read-only server": {[]string{"SET TRANSACTION READ ONLY", "UPDATE a SET n = 1"}, dialect.Unavailable},
		"terminated":       {[]string{"SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"}, dialect.Unavailable},
		"no permission":    {[]string{"CREATE ROLE nobody", "SET LOCAL ROLE nobody", "SELECT n FROM a"}, dialect.Unusable},
		"time limit":       {[]string{"SET LOCAL statement_timeout = 1", "SELECT pg_sleep(1)"}, dialect.Unavailable},
		"NUL in text":      {[]string{"SELECT chr(0)"}, dialect.Other},
		"division by zero": {[]string{"SELECT 1/0"}, dialect.Other},
	} {
		t.Run(name, func(t *testing.T) {
			err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) (err error) {
				for _, statement := range tt.statements {
					if _, err = tx.ExecContext(t.Context(), statement); err != nil {
						break
					}
				}
				return err
			})

			dialecttest.RequireClass(t, db, err, tt.want)
			if n := dialecttest.Get[int](t, db, "SELECT 1"); n != 1 {
				t.Error("the pool is of no use any more")
			}
		})
	}
}

func TestClassifyPostgresLockTimeout(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "UPDATE a SET n = 1"); err != nil {
			return err
		}
		return dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
			_, err := tx.ExecContext(t.Context(), "SELECT n FROM a FOR UPDATE NOWAIT")
			return err
		})
	})
	dialecttest.RequireClass(t, db, err, dialect.Conflict)
}

func TestClassifyPostgresUnreachable(t *testing.T) {
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}

	elsewhere, unknown := *location, *location
	elsewhere.Host, unknown.Path = "127.0.0.1:1", "/guppy_test_nowhere"
	for _, tt := range []struct {
		url  url.URL
		want dialect.Class
	}{{elsewhere, dialect.Unavailable}, {unknown, dialect.Unusable}} {
		db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(tt.url.String())})
		if err == nil {
			t.Fatalf("%s was opened", db.Describe())
		}
		dialecttest.RequireClass(t, postgres.Engine{}, err, tt.want)
	}
}

func TestClassifyPostgresStopped(t *testing.T) {
	server := pgtest.Start(t)
	db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(server.URL())})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		err := dialecttest.InTx(ctx, db, func(tx *dialect.Tx) error {
			server.Stop(mode)
			_, err := tx.ExecContext(ctx, "SELECT 1")
			return err
		})

		dialecttest.RequireClass(t, db, err, dialect.Unavailable)
		_, err = db.Begin(ctx)
		dialecttest.RequireClass(t, db, err, dialect.Unavailable)
		server.Start()
		if n := dialecttest.Get[int](t, db, "SELECT 1"); n != 1 {
			t.Error("the pool is of no use any more")
		}
	}
}
