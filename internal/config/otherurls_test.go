package config_test

import (
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/config/secret"
)

// otherURL is a second URL of the database.
type otherURL struct {
	// key is its key below repo, and env the variable of the environment.
	key, env string
	of       func(config.Repo) secret.String
}

// eachOtherURL runs a test for each second URL.
func eachOtherURL(t *testing.T, test func(o otherURL, t *testing.T)) {
	for _, other := range []otherURL{
		{"migrate_url", "GUPPY_REPO_MIGRATE_URL", func(r config.Repo) secret.String { return r.MigrateURL }},
		{"read_url", "GUPPY_REPO_READ_URL", func(r config.Repo) secret.String { return r.ReadURL }},
	} {
		t.Run(other.key, func(t *testing.T) { test(other, t) })
	}
}

func (o otherURL) input(database, url string, more ...string) config.Input {
	return config.Input{HomeDir: home, Environ: append([]string{
		"GUPPY_DATABASE_URL=" + database, o.env + "=" + url}, more...)}
}

func TestOtherURLs(t *testing.T) { eachOtherURL(t, otherURL.isUsed) }

func (o otherURL) isUsed(t *testing.T) {
	const direct = "postgres://owner:hunter2@h/db?sslmode=require"
	c := mustLoad(t, o.input("postgres://pool/db", direct, "GUPPY_REPO_PASSWORD=p", "GUPPY_REPO_SSLMODE=disable"))
	if got := o.of(c.Repo).Reveal(); got != direct || len(c.Warnings) > 0 {
		t.Errorf("got %q, warnings %q", got, c.Warnings)
	}

	shown := valueOf(t, c, "repo."+o.key).Value
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "owner") {
		t.Errorf("shown as %q", shown)
	}

	c = mustLoad(t, o.input("", direct))
	if o.of(c.Repo) != "" || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "repo."+o.key+" is ignored") {
		t.Errorf("with SQLite: %q, warnings %q", o.of(c.Repo).Reveal(), c.Warnings)
	}
}

func TestOtherURLsThatAreRefused(t *testing.T) { eachOtherURL(t, otherURL.isRefused) }

func (o otherURL) isRefused(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://u:hunter2@h/db":             "not a database URL",
		"postgres://u:hunter2#x@h/db":        "not a valid postgres:// URL",
		"/var/guppy.db":                      "the URL is for SQLite, but the database is PostgreSQL",
		"postgres://h/db?search_path=theirs": "its search_path differs from repo.schema",
	} {
		err := mustFail(t, o.input("postgres://h/db", url, "GUPPY_REPO_SCHEMA=ours"))
		assertMentions(t, err, "environment "+o.env+": repo."+o.key+": ", want)
		if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
}

func TestOtherURLsOfALowerLayerAreNotUsed(t *testing.T) { eachOtherURL(t, otherURL.isNotUsed) }

func (o otherURL) isNotUsed(t *testing.T) {
	const direct, other = "postgres://owner:hunter2@h/db", "postgres://pool/other"
	file := write(t, "c.yaml", "repo:\n  database_url: postgres://pool/db\n  "+o.key+": "+direct+"\n")
	bare := write(t, "c.toml", "repo."+o.key+" = '"+direct+"'\n")
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
		{config.Input{File: file, Environ: []string{o.env + "=" + direct}}, ""},
		{o.input(other, direct), ""},
		{config.Input{Environ: []string{o.env + "=" + direct},
			Flags: flag("repo.database_url", "database-url", other)}, "flag --database-url"},
		{config.Input{File: bare, Environ: []string{"GUPPY_REPO_HOST=h", "GUPPY_REPO_DBNAME=other"}},
			"repo.host comes from environment GUPPY_REPO_HOST"},
		{config.Input{File: file, Flags: flag("log.level", "log-level", "warn")}, ""},
	} {
		tt.in.HomeDir = home
		c := mustLoad(t, tt.in)
		shown, warned := valueOf(t, c, "repo."+o.key), strings.Join(c.Warnings, "")

		switch {
		case tt.origin == "" && (o.of(c.Repo).Reveal() != direct || warned != "" || shown.Reason != ""):
			t.Errorf("%+v: got %q, warned of %q", tt.in, o.of(c.Repo).Reveal(), warned)
		case tt.origin != "" && (o.of(c.Repo) != "" || !strings.Contains(warned, tt.origin) ||
			!strings.Contains(shown.Reason, tt.origin) || strings.Contains(warned, "hunter2")):
			t.Errorf("%+v: got %+v, warned of %q", tt.in, shown, warned)
		}
	}
}
