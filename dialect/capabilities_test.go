package dialect_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// required is an engine without any capabilities.
type required struct{ dialect.Engine }

func TestCapabilitiesHaveDefaults(t *testing.T) {
	errAny := errors.New("any")
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE a (n BIGINT)")
		db.Engine = required{db.Engine}

		err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
			values := []int64{0}
			if err := tx.Later(t.Context(), dialect.Statement{Text: "INSERT INTO a VALUES (7)"}); err != nil {
				return err
			}

			err := tx.Later(t.Context(), dialect.Statement{Text: "SELECT n FROM a", Values: values})
			if values[0] != 7 {
				t.Errorf("read %d", values[0])
			}
			return err
		})

		missing, schemaErr := db.MissingSchema(t.Context())
		err = errors.Join(err, schemaErr, db.CheckSchema(t.Context(), db.Reader), db.Notify(t.Context()),
			db.Listen(t.Context(), func() { t.Error("woken") }), db.Analyze(t.Context(), []string{"a"}), db.Vacuum(t.Context()))
		if err != nil || missing != "" {
			t.Errorf("%v; the schema takes %q", err, missing)
		}

		if explained := db.Explain(errAny); explained != errAny { //nolint:errorlint // it is this very error
			t.Errorf("explained as %v", explained)
		}

		if _, err := db.CopyAside(t.Context(), ".bak", nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("copied aside: %v", err)
		}
		if err := db.CopyPages(t.Context(), nil, "", nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("copied pages: %v", err)
		}

		if db.Writing() != "" || db.CopiesAside() || db.CopiesPages() || db.Vacuums() {
			t.Error("it can what it was not asked for")
		}
	})
}

// TestSettingsFollowTheirURL replaces the URL of settings: options that describe the server give place to it.
func TestSettingsFollowTheirURL(t *testing.T) {
	server := postgres.Options{Host: "pooler", Port: 6432, SSLMode: "require", TransactionPooler: true, ConnectTimeout: 1}
	settings := dialect.Settings{Password: "s", Options: []any{sqlite.Options{Alone: true}, server}}

	for _, tt := range []struct {
		name         string
		got          dialect.Settings
		password     dialect.Secret
		wantPostgres postgres.Options
	}{
		{"direct", dialect.Direct(settings, "postgres://db/guppy"), "s",
			postgres.Options{SSLMode: "require", ConnectTimeout: 1}},
		{"direct with its own", dialect.Direct(settings, "postgres://u:p@db/guppy?sslmode=disable"), "",
			postgres.Options{ConnectTimeout: 1}},
		{"direct to a file", dialect.Direct(settings, "guppy.db"), "s", server},
		{"elsewhere", dialect.Elsewhere(settings, " postgres://db/guppy "), "", postgres.Options{ConnectTimeout: 1}},
		{"elsewhere in a file", dialect.Elsewhere(settings, "guppy.db"), "", server},
	} {
		if got := dialect.OptionsOf[postgres.Options](tt.got); got != tt.wantPostgres || tt.got.Password != tt.password {
			t.Errorf("%s: %+v with the password %q", tt.name, got, tt.got.Password.Reveal())
		}
		if !dialect.OptionsOf[sqlite.Options](tt.got).Alone {
			t.Errorf("%s: the options of another engine have changed", tt.name)
		}
	}

	if chosen := dialect.Choices(dialect.Settings{URL: "guppy.db"}); chosen != nil {
		t.Errorf("SQLite chose %v", chosen)
	}
}

func TestOptionsAreFoundByTheirType(t *testing.T) {
	settings := dialect.Settings{Options: []any{sqlite.Options{Alone: true}, postgres.Options{Schema: "s"}}}
	changed := dialect.WithOptions(settings, postgres.Options{Schema: "t"})
	if !dialect.OptionsOf[sqlite.Options](changed).Alone || dialect.OptionsOf[postgres.Options](changed).Schema != "t" {
		t.Errorf("changed to %+v", changed.Options)
	}
	if dialect.OptionsOf[postgres.Options](settings).Schema != "s" || len(changed.Options) != 2 {
		t.Errorf("%+v became %+v", settings.Options, changed.Options)
	}
	if none := dialect.OptionsOf[sqlite.Options](dialect.Settings{}); none != (sqlite.Options{}) {
		t.Errorf("none are %+v", none)
	}
}

// TestAHostNamesAnEngine: a host selects an engine that takes one, and no other.
func TestAHostNamesAnEngine(t *testing.T) {
	for _, tt := range []struct {
		settings dialect.Settings
		want     string
	}{
		{dialect.Settings{Options: []any{postgres.Options{Host: "h"}}}, postgres.Name},
		{dialect.Settings{Options: []any{sqlite.Options{}, postgres.Options{Database: "d"}}}, postgres.Name},
		{dialect.Settings{Options: []any{sqlite.Options{}, postgres.Options{Schema: "s"}}}, sqlite.Name},
		{dialect.Settings{URL: "x.db", Options: []any{postgres.Options{Host: "h"}}}, sqlite.Name},
	} {
		engine, err := dialect.EngineOf(tt.settings)
		if err != nil || engine.Facts().Name != tt.want {
			t.Errorf("%+v: %v, want %s", tt.settings, err, tt.want)
		}
	}
}

// TestFactsAreComplete checks the facts of every registered engine.
func TestFactsAreComplete(t *testing.T) {
	for _, name := range dialect.Names() {
		engine, err := dialect.EngineOf(dialect.Settings{Type: name})
		if err != nil {
			t.Fatal(err)
		}
		facts := engine.Facts()
		if facts.Title == "" || facts.Placeholder == nil || facts.MadeIndexes == "" || len(facts.Schemes) == 0 ||
			slices.Contains(facts.Schemes, "") || len(facts.Forms) == 0 {
			t.Errorf("%s: %+v", name, facts)
		}
	}
}
