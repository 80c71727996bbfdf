package config_test

import (
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func migrateURLInput(database, migrate string, more ...string) config.Input {
	return config.Input{HomeDir: home, Environ: append([]string{
		"GUPPY_DATABASE_URL=" + database, "GUPPY_REPO_MIGRATE_URL=" + migrate}, more...)}
}

func TestMigrateURL(t *testing.T) {
	const direct = "postgres://owner:hunter2@h/db?sslmode=require"
	c := mustLoad(t, migrateURLInput("postgres://pool/db", direct, "GUPPY_REPO_PASSWORD=p", "GUPPY_REPO_SSLMODE=disable"))
	if got := c.Repo.MigrateURL.Reveal(); got != direct || len(c.Warnings) > 0 {
		t.Errorf("got %q, warnings %q", got, c.Warnings)
	}

	shown := valueOf(t, c, "repo.migrate_url").Value
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "owner") {
		t.Errorf("shown as %q", shown)
	}

	c = mustLoad(t, migrateURLInput("", direct))
	if c.Repo.MigrateURL != "" || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "repo.migrate_url is ignored") {
		t.Errorf("with SQLite: %q, warnings %q", c.Repo.MigrateURL.Reveal(), c.Warnings)
	}
}

func TestMigrateURLIsRefused(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://u:hunter2@h/db":             "not a database URL",
		"postgres://u:hunter2#x@h/db":        "not a valid postgres:// URL",
		"/var/guppy.db":                      "the URL is for SQLite, but the database is PostgreSQL",
		"postgres://h/db?search_path=theirs": "its search_path differs from repo.schema",
	} {
		err := mustFail(t, migrateURLInput("postgres://h/db", url, "GUPPY_REPO_SCHEMA=ours"))
		assertMentions(t, err, "environment GUPPY_REPO_MIGRATE_URL: repo.migrate_url: ", want)
		if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
}

func TestMigrateURLOfALowerLayerIsNotUsed(t *testing.T) {
	const direct, other = "postgres://owner:hunter2@h/db", "postgres://pool/other"
	file := write(t, "c.yaml", "repo:\n  database_url: postgres://pool/db\n  migrate_url: "+direct+"\n")
	bare := write(t, "c.toml", "repo.migrate_url = '"+direct+"'\n")
	flag := func(key, name, value string) map[string]config.Flag {
		return map[string]config.Flag{key: {Name: name, Value: value}}
	}

	for _, tt := range []struct {
		in     config.Input
		origin string // of the setting that wins, or ""
	}{
		{config.Input{File: file}, ""},
		{config.Input{File: file, Flags: flag("repo.database_url", "database-url", other)},
			"repo.database_url comes from flag --database-url"},
		{config.Input{File: file, Environ: []string{"GUPPY_DATABASE_URL=" + other}},
			"repo.database_url comes from environment GUPPY_DATABASE_URL"},
		{config.Input{File: file, Environ: []string{"GUPPY_REPO_MIGRATE_URL=" + direct}}, ""},
		{migrateURLInput(other, direct), ""},
		{config.Input{Environ: []string{"GUPPY_REPO_MIGRATE_URL=" + direct},
			Flags: flag("repo.database_url", "database-url", other)}, "flag --database-url"},
		{config.Input{File: bare, Environ: []string{"GUPPY_REPO_HOST=h", "GUPPY_REPO_DBNAME=other"}},
			"repo.host comes from environment GUPPY_REPO_HOST"},
		{config.Input{File: file, Flags: flag("log.level", "log-level", "warn")}, ""},
	} {
		tt.in.HomeDir = home
		c := mustLoad(t, tt.in)
		shown, warned := valueOf(t, c, "repo.migrate_url"), strings.Join(c.Warnings, "")

		switch {
		case tt.origin == "" && (c.Repo.MigrateURL.Reveal() != direct || warned != "" || shown.Reason != ""):
			t.Errorf("%+v: got %q, warned of %q", tt.in, c.Repo.MigrateURL.Reveal(), warned)
		case tt.origin != "" && (c.Repo.MigrateURL != "" || !strings.Contains(warned, tt.origin) ||
			!strings.Contains(shown.Reason, tt.origin) || strings.Contains(warned, "hunter2")):
			t.Errorf("%+v: got %+v, warned of %q", tt.in, shown, warned)
		}
	}
}
