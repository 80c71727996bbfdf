package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// hostile are possible settings of a database, each of which would make guppy read or do something else.
var hostile = []string{
	"bytea_output = escape", "statement_timeout = '1s'", "lock_timeout = '10ms'", "client_encoding = latin1",
	"standard_conforming_strings = off", "default_transaction_isolation = serializable", "DateStyle = 'German'",
	"TimeZone = 'Asia/Kathmandu'", "extra_float_digits = -5", "IntervalStyle = iso_8601",
}

// hostileDatabase returns settings of a fresh database that has all of them, direct and through PgBouncer.
func hostileDatabase(t *testing.T) (direct, through dialect.Settings) {
	t.Helper()
	location := pgtest.URL(t)
	admin := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(location)})
	name := dialecttest.Get[string](t, admin, "SELECT quote_ident(current_database())")
	for _, setting := range hostile {
		dialecttest.Execute(t, admin, "ALTER DATABASE "+name+" SET "+setting)
	}
	return dialect.Settings{URL: dialect.Secret(location)}, throughPooler(pgtest.StartBouncer(t).URL(location))
}

// TestSettingsOfADatabaseAreOverruled reads back all bytes and texts, inside and outside of transactions, and runs a
// statement that lasts long.
func TestSettingsOfADatabaseAreOverruled(t *testing.T) {
	direct, through := hostileDatabase(t)
	for name, settings := range map[string]dialect.Settings{"direct": direct, "pooled": through} {
		for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				settings = changed(settings, func(o *postgres.Options) { o.ExecMode = mode })
				db := dialecttest.Open(t, settings)
				dialecttest.Execute(t, db, "DROP TABLE IF EXISTS bulk",
					"CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
				rows := dialecttest.BulkRows(1000)
				if err := dialecttest.InsertBulk(t.Context(), db, rows); err != nil {
					t.Fatal(err)
				}

				dialecttest.RequireBulk(t, db, rows)
				err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
					var isolation string
					if err := tx.GetContext(t.Context(), &isolation, "SHOW transaction_isolation"); err != nil {
						return err
					}
					if isolation != "read committed" {
						t.Errorf("transactions are %s", isolation)
					}
					_, err := tx.ExecContext(t.Context(), "SELECT pg_sleep(1.2)")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestATimeoutOfTheServerIsNamed: if the timeout can't be set, the error has its name and the next command.
func TestATimeoutOfTheServerIsNamed(t *testing.T) {
	direct, through := hostileDatabase(t)
	if _, err := dialecttest.Open(t, direct).Reader.ExecContext(t.Context(), "SELECT pg_sleep(1.2)"); err != nil {
		t.Error(err)
	}
	db := dialecttest.Open(t, through)
	_, err := db.Reader.ExecContext(t.Context(), "SELECT pg_sleep(10)")
	dialecttest.RequireClass(t, db, err, dialect.Unavailable)
	var advised *dialect.Advised
	if err = db.Explain(err); !errors.As(err, &advised) || !strings.HasPrefix(err.Error(), "statement_timeout") ||
		!strings.Contains(advised.Advice(), "SET statement_timeout = 0") {
		t.Errorf("error %v", err)
	}
}

// TestAPoolWithoutASessionIsTold: the error comes within the time limit of a connection.
func TestAPoolWithoutASessionIsTold(t *testing.T) {
	through := pgtest.StartSessionBouncer(t, 1).URL(pgtest.URL(t))
	settings := withOptions(postgres.Options{ConnectTimeout: 2 * time.Second})
	settings.URL = dialect.Secret(through)
	db := dialecttest.Open(t, settings)
	lock, err := db.LockUse(t.Context())
	if err == nil {
		defer dialecttest.Release(t, lock)
		_, err = db.Begin(t.Context())
	}

	dialecttest.RequireClass(t, db, err, dialect.Unusable)
	var advised *dialect.Advised
	if !errors.As(err, &advised) || !strings.Contains(err.Error(), "repo.connect_timeout") ||
		!strings.Contains(advised.Advice(), "default_pool_size") {
		t.Errorf("error %v", err)
	}
}

// TestFailedConnections: the first line says once what is wrong, and the second what to do.
func TestFailedConnections(t *testing.T) {
	server := pgtest.Start(t, pgtest.WithPassword("right"))
	host := piecesOf(t, server.URL())
	for name, tt := range map[string]struct {
		settings     dialect.Settings
		what, advice string
		never        string
	}{
		"wrong password": {dialect.Settings{Options: []any{host}, Password: dialecttest.Hidden}, "password of role",
			"repo.password_file", "TLS"},
		"no database": {dialect.Settings{Options: []any{postgres.Options{Host: host.Host, Port: host.Port,
			User: host.User, Database: "no such"}},
			Password: "right"}, `there is no database "no such"`, "createdb -h 127.0.0.1 -p ", "TLS"},
		"nobody listens": {withOptions(postgres.Options{Host: "127.0.0.1", Port: 1, User: "u", Database: "d"}),
			"no server listens there", "repo.port", "TLS"},
		"no host": {withOptions(postgres.Options{Host: "nosuch.invalid", User: "u", Database: "d"}),
			"there is no host nosuch.invalid", "repo.host", "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := dialect.Open(t.Context(), tt.settings)
			if err == nil {
				t.Fatal("it was opened", db.Close())
			}

			var advised *dialect.Advised
			if !errors.As(err, &advised) || !strings.Contains(advised.Advice(), tt.advice) {
				t.Errorf("%v doesn't advise: %s", err, tt.advice)
			}
			text := err.Error()
			if !strings.Contains(text, tt.what) || strings.Contains(text, tt.never) || strings.Contains(text, "\n") ||
				strings.Count(text, "refused") > 1 || strings.Count(text, "no such host") > 1 || strings.Count(text, "FATAL") > 1 {
				t.Errorf("%s doesn't say: %s", text, tt.what)
			}
			dialecttest.RequireHidden(t, name, dialecttest.Chain(err)...)
		})
	}
}
