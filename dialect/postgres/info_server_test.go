package postgres_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// TestServerVersionIsWarnedOfIfOld opens the server that the tests run on and looks at it. "make test-matrix" also runs
// it on a server that is too old.
func TestServerVersionIsWarnedOfIfOld(t *testing.T) {
	var log bytes.Buffer
	db := dialecttest.Open(t, dialect.Settings{
		URL: dialect.Secret(pgtest.Start(t).URL()), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	old := dialecttest.Get[bool](t, db, "SELECT current_setting('server_version_num')::int < 130000")

	dialecttest.Execute(t, db, "CREATE TABLE listed (id BIGINT PRIMARY KEY)")
	info, err := db.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	told := slices.ContainsFunc(info.Warnings, func(w dialect.Warning) bool { return w.Code == "old-server" })
	if told != old || strings.Contains(log.String(), "tested with 13 and later") != old || len(info.Tables) != 1 {
		t.Errorf("PostgreSQL %s: %+v, log %q", info.Version, info, log.String())
	}
}
