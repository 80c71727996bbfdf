package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/config/secret"
)

func TestDatabase(t *testing.T) {
	for _, tt := range []struct{ dbType, url, resolved, problem string }{
		{"", "", "/d/guppy.db", ""},
		{"sqlite", "", "/d/guppy.db", ""},
		{"", "guppy.db", "guppy.db", ""},
		{"", "~/my.db", "/home/op/my.db", ""},
		{"", "~/host=a host=b", "/home/op/host=a host=b", ""},
		{"", "~op/my.db", "", "repo.database_url: only a \"~/\" at the beginning stands for a home directory"},
		{"", "./~op/my.db", "./~op/my.db", ""},
		{"", "sqlite:///var/g%20.db", "sqlite:///var/g%20.db", ""},
		{"sqlite", "file:///g.db", "file:///g.db", ""},
		{"postgres", "postgresql://u:p%40@h:1,[::1]:2/db?sslmode=disable",
			"postgresql://u:p%40@h:1,[::1]:2/db?sslmode=disable", ""},
		{"", "host=h dbname=d", "host=h dbname=d", ""},

		{"postgres", "", "", "repo.database_type: PostgreSQL needs a connection string in repo.database_url"},
		{"postgres", "/x.db", "", "repo.database_url: the URL is for sqlite, but repo.database_type is postgres"},
		{"postgres", "~/x.db", "", "repo.database_url: the URL is for sqlite, but repo.database_type is postgres"},
		{"sqlite", "postgres://h/db", "", "the URL is for postgres, but repo.database_type is sqlite"},
		{"", "mysql://h/db", "", "repo.database_url: not a database URL: want postgres://"},
		{"", "sqlite://x.db", "", "repo.database_url: not a valid URL of a SQLite file"},
		{"", "postgres://u:p#q@h/db", "", "repo.database_url: not a valid postgres:// URL"},
		{"", "host=h oops", "", "repo.database_url: not a valid connection string"},
	} {
		in := config.Input{HomeDir: home, Environ: []string{
			"GUPPY_DATA_DIR=/d", "GUPPY_DATABASE_TYPE=" + tt.dbType, "GUPPY_DATABASE_URL=" + tt.url}}
		if tt.problem != "" {
			assertMentions(t, mustFail(t, in), "environment GUPPY_DATABASE_", tt.problem)
			continue
		}

		if got := mustLoad(t, in).Repo.DatabaseURL.Reveal(); got != tt.resolved {
			t.Errorf("%q, %q: got %q", tt.dbType, tt.url, got)
		}
	}
}

func TestDatabaseErrorsAreOfTheirSettings(t *testing.T) {
	err := mustFail(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_DATABASE_URL=mysql://u:hunter2@h/db"}})
	if !errors.Is(err, dialect.ErrSettings) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("got %v", err)
	}
}

func TestPasswordFile(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"hunter2", "hunter2"},
		{"hunter2\n", "hunter2"},
		{"hunter2\r\n", "hunter2"},
		{"\nhunter2\n\n", "hunter2"},
		{" hunter2 \n", " hunter2 "},
		{strings.Repeat("x", 4094) + "\r\n", strings.Repeat("x", 4094)},
	} {
		c := mustLoad(t, passwordInput(write(t, "pw", tt.content), "postgres://u@h/db"))
		if got := c.Repo.Password.Reveal(); got != tt.want || len(c.Warnings) != 0 {
			t.Errorf("%q: got %q, %q", tt.content, got, c.Warnings)
		}
	}
}

func TestPasswordFileIsRefused(t *testing.T) {
	good := write(t, "pw", "hunter2\n")
	const twice = "repo.database_url has a password too"

	for _, tt := range []struct{ file, url, want string }{
		{filepath.Join(t.TempDir(), "none"), "postgres://h/db", "no such file"},
		{mkdir(t, "pw"), "postgres://h/db", "is a directory"},
		{write(t, "pw", "\n"), "postgres://h/db", "empty"},
		{write(t, "pw", "hunter\x002"), "postgres://h/db", "NUL"},
		{write(t, "pw", strings.Repeat("x", 4097)), "postgres://h/db", "more than 4096 bytes"},
		{write(t, "pw", strings.Repeat("x", 5000)), "postgres://h/db", "more than 4096 bytes"},
		{good, "postgres://u:p@h/db", twice},
		{good, "postgres://h/db?password=p", twice},
		{good, "postgres://h/db?p%61ssword=p", twice},
		{good, "host=h password=p", twice},
	} {
		err := mustFail(t, passwordInput(tt.file, tt.url))
		assertMentions(t, err, "environment GUPPY_REPO_DATABASE_PASSWORD_FILE: repo.database_password_file: ", tt.want)

		if strings.Contains(err.Error(), "hunter") {
			t.Error(err)
		}
	}

	err := mustFail(t, passwordInput(filepath.Join(t.TempDir(), "none"), "postgres://h/db"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
}

func TestPasswordFileWarnings(t *testing.T) {
	file := write(t, "pw", "hunter2\n")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}

		c := mustLoad(t, passwordInput(file, "host=h"))
		if warned != (len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "chmod 600")) {
			t.Errorf("%o: got %q", mode, c.Warnings)
		}
	}

	c := mustLoad(t, passwordInput(file, "/x.db"))
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "ignored") || c.Repo.Password != "" {
		t.Errorf("got %q, %t", c.Warnings, c.Repo.Password != "")
	}
}

func passwordInput(file, url string) config.Input {
	return config.Input{HomeDir: home, Environ: []string{
		"GUPPY_REPO_DATABASE_PASSWORD_FILE=" + file, "GUPPY_DATABASE_URL=" + url}}
}

func TestValuesRedactTheDatabaseURL(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"postgres://u:hunter2@h:5432,i:5433/db?sslmode=disable", "postgres://u:xxxxx@h:5432,i:5433/db?sslmode=disable"},
		{"postgres://h/db?password=hunter2&user=u", "postgres://h/db?password=xxxxx&user=u"},
		{`host=h password = 'hunter2 x\'hunter2' user='a b'`, "host=h password=xxxxx user='a b'"},
		{"/x/guppy.db", "/x/guppy.db"},
	} {
		c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_DATABASE_URL=" + tt.url}})
		if got := valueOf(t, c, "repo.database_url").Value; got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.url, got, tt.want)
		}

		if c.Repo.DatabaseURL != secret.String(tt.url) {
			t.Errorf("%s: the URL itself became %s", tt.url, c.Repo.DatabaseURL.Reveal())
		}
	}
}
