package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/secret"
)

func TestEngine(t *testing.T) {
	for _, tt := range []struct{ dbType, url, engine, resolved, problem string }{
		{"", "", "sqlite", "/d/guppy.db", ""},
		{"sqlite", "", "sqlite", "/d/guppy.db", ""},
		{"", "guppy.db", "sqlite", "guppy.db", ""},
		{"", "/x/a=b.db", "sqlite", "/x/a=b.db", ""},
		{"", "/x/host=a://b", "sqlite", "/x/host=a://b", ""},
		{"", "./host=a", "sqlite", "./host=a", ""},
		{"", "~/my.db", "sqlite", "/home/op/my.db", ""},
		{"", "sqlite:///var/g%20.db", "sqlite", "/var/g .db", ""},
		{"", "sqlite:////var/g.db", "sqlite", "/var/g.db", ""},
		{"", "file:g.db?mode=rw", "sqlite", "file:g.db?mode=rw", ""},
		{"sqlite", "file:///g.db", "sqlite", "file:///g.db", ""},
		{"", "postgres://h/db", "postgres", "postgres://h/db", ""},
		{"postgres", "postgresql://u:p%40@h:1,[::1]:2/db?sslmode=disable", "postgres",
			"postgresql://u:p%40@h:1,[::1]:2/db?sslmode=disable", ""},
		{"", "postgres:///db?host=/run", "postgres", "postgres:///db?host=/run", ""},
		{"", "host=h dbname=d", "postgres", "host=h dbname=d", ""},
		{"postgres", `user = 'a b' password='it\'s' host=h`, "postgres", `user = 'a b' password='it\'s' host=h`, ""},

		{"postgres", "", "", "", "repo.database_type: PostgreSQL needs a connection string in repo.database_url"},
		{"postgres", "/x.db", "", "", "repo.database_url: is for sqlite, but repo.database_type is postgres"},
		{"postgres", "sqlite:///x.db", "", "", "is for sqlite"},
		{"sqlite", "postgres://h/db", "", "", "is for postgres, but repo.database_type is sqlite"},
		{"sqlite", "host=h", "", "", "is for postgres"},
		{"", "mysql://h/db", "", "", "want postgres://"},
		{"", "Postgres://h/db", "", "", "want postgres://"},
		{"", "postgres:u@h/db", "", "", "want postgres://"},
		{"", "u:hunter2@h/db", "", "", "want postgres://"},
		{"", "./u:p@h/db", "sqlite", "./u:p@h/db", ""},
		{"", "sqlite://x.db", "", "", "three slashes"},
		{"", "sqlite:x.db", "", "", "three slashes"},
		{"", "sqlite:///", "", "", "three slashes"},
		{"", "sqlite:///x?mode=ro", "", "", "three slashes"},
		{"", "postgres://u:p#q@h/db", "", "", "not a valid postgres:// URL"},
		{"", "postgres://u:1/q@h/db", "", "", "not a valid postgres:// URL"},
		{"", "postgres://u:1?q@h/db", "", "", "not a valid postgres:// URL"},
		{"", "postgres://u:p%zz@h/db", "", "", "not a valid postgres:// URL"},
		{"", "postgres://h:x/db", "", "", "not a valid postgres:// URL"},
		{"", "host=h password='x", "", "", "not a valid connection string"},
		{"", "host=h oops", "", "", "not a valid connection string"},
		{"", `host=h x=\`, "", "", "not a valid connection string"},
	} {
		in := config.Input{HomeDir: home, Environ: []string{
			"GUPPY_DATA_DIR=/d", "GUPPY_DATABASE_TYPE=" + tt.dbType, "GUPPY_DATABASE_URL=" + tt.url}}
		if tt.problem != "" {
			assertMentions(t, mustFail(t, in), "environment GUPPY_DATABASE_", tt.problem)
			continue
		}
		c := mustLoad(t, in)
		if c.Repo.Engine() != tt.engine || c.Repo.DatabaseURL.Reveal() != tt.resolved {
			t.Errorf("%q, %q: got %q, %q", tt.dbType, tt.url, c.Repo.Engine(), c.Repo.DatabaseURL.Reveal())
		}
	}
}

func TestEngineOfContradictoryRepo(t *testing.T) {
	if got := (config.Repo{DatabaseType: config.Postgres}).Engine(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestPasswordFile(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"hunter2", "hunter2"},
		{"hunter2\n", "hunter2"},
		{"hunter2\r\n", "hunter2"},
		{"hunter2\n\n", "hunter2\n"},
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
		{"postgres://h/db", "postgres://h/db"},
		{"postgres://u@h/db?sslmode=disable", "postgres://u@h/db?sslmode=disable"},
		{"postgres://u:hunter2@h:5432,i:5433/db?sslmode=disable", "postgres://u:xxxxx@h:5432,i:5433/db?sslmode=disable"},
		{"postgres://:hunter2@h", "postgres://:xxxxx@h"},
		{"postgres://u:hunter2%40%2F@h/db", "postgres://u:xxxxx@h/db"},
		{"postgres://u:hunter2:x@h/db", "postgres://u:xxxxx@h/db"},
		{"postgres://h/db?password=hunter2&user=u", "postgres://h/db?password=xxxxx&user=u"},
		{"postgres://h/db?p%61ssword=hunter2", "postgres://h/db?p%61ssword=xxxxx"},
		{"postgres://h/db?sslpassword=hunter2&options=hunter2", "postgres://h/db?sslpassword=xxxxx&options=xxxxx"},
		{"host=h password=hunter2 dbname=d", "host=h password=xxxxx dbname=d"},
		{`host=h password = 'hunter2 x\'hunter2' user='a b'`, "host=h password=xxxxx user='a b'"},
		{`host=h sslpassword=hunter2\ hunter2`, "host=h sslpassword=xxxxx"},
		{"file:x.db?mode=rw&_key=hunter2", "file:x.db?mode=rw&_key=xxxxx"},
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
