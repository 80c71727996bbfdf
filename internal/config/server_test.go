package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func repoInput(variables ...string) config.Input {
	in := config.Input{HomeDir: home}
	for _, variable := range variables {
		in.Environ = append(in.Environ, "GUPPY_REPO_"+variable)
	}
	return in
}

func TestPiecesNameTheDatabase(t *testing.T) {
	for _, variables := range [][]string{
		{"HOST=db.example.org"}, {"DBNAME=guppy"}, {"DATABASE_TYPE=postgres", "USER=u"},
		{"HOST=a,b", "DATABASE_TYPE=postgres"},
		{"HOST=/run/postgresql", "PORT=5433", "USER=u@srv", "PASSWORD=p@ss/w:rd#1 '%", "DBNAME=d b"},
	} {
		c := mustLoad(t, repoInput(variables...))
		if c.Repo.DatabaseType != "postgres" || c.Repo.DatabaseURL != "" || c.Warnings != nil {
			t.Errorf("%q: got %+v, %q", variables, c.Repo, c.Warnings)
		}
	}

	c := mustLoad(t, repoInput("HOST=h", "PORT=5433", "USER=u", "PASSWORD=hunter2", "DBNAME=d"))
	if c.Repo.Host != "h" || c.Repo.Port != 5433 || c.Repo.User != "u" || c.Repo.DBName != "d" ||
		c.Repo.Password.Reveal() != "hunter2" {
		t.Errorf("got %+v", c.Repo)
	}

	if shown := valueOf(t, c, "repo.password").Value; shown != "xxxxx" {
		t.Errorf("the password shows as %s", shown)
	}
}

func TestRefinementsCompleteURL(t *testing.T) {
	for _, url := range []string{
		"postgres://h/db", "host=h", "postgres://h/db?sslmode=verify-ca&search_path=s&default_query_exec_mode=exec",
		`host=h sslmode=verify-ca search_path="s"`,
	} {
		c := mustLoad(t, repoInput("DATABASE_URL="+url, "SSLMODE=verify-ca", "SSLROOTCERT=~/ca.pem", "SSLCERT=c", "SSLKEY=k",
			"SCHEMA=s", "QUERY_EXEC_MODE=exec", "POOLER=transaction", "PASSWORD=p"))
		if c.Repo.SSLRootCert != "/home/op/ca.pem" || c.Repo.Pooler != config.PoolerTransaction || c.Warnings != nil {
			t.Errorf("%s: got %+v, %q", url, c.Repo, c.Warnings)
		}
	}
}

func TestServerIsRefused(t *testing.T) {
	const twice = "repo.database_url has a password too"
	file := write(t, "pw", "hunter2")

	for _, tt := range []struct {
		variables []string
		want      string
	}{
		{[]string{"DATABASE_URL=postgres://h/db", "HOST=g"}, "environment GUPPY_REPO_HOST: repo.host: the database is " +
			"named by repo.database_url too (environment GUPPY_REPO_DATABASE_URL)"},
		{[]string{"DATABASE_URL=/x.db", "DBNAME=d"}, "GUPPY_REPO_DBNAME: repo.dbname: the database is named by"},
		{[]string{"DATABASE_URL=host=h", "PORT=1"}, "GUPPY_REPO_PORT: repo.port: the database is named by"},
		{[]string{"DATABASE_URL=host=h", "USER=u"}, "GUPPY_REPO_USER: repo.user: the database is named by"},
		{[]string{"DATABASE_TYPE=postgres"}, "in repo.database_url, or repo.host and repo.dbname"},
		{[]string{"DATABASE_URL=postgres://h/d?sslmode=disable", "SSLMODE=require"}, "repo.sslmode: repo.database_url " +
			"(environment GUPPY_REPO_DATABASE_URL) has a different sslmode"},
		{[]string{"DATABASE_URL=host=h search_path=a", "SCHEMA=b"}, "repo.schema: repo.database_url"},
		{[]string{"DATABASE_URL=postgres://h/d?sslrootcert=a", "SSLROOTCERT=b"}, "has a different sslrootcert"},
		{[]string{"DATABASE_URL=postgres://h/d?default_query_exec_mode=exec", "QUERY_EXEC_MODE=cache_describe"},
			"has a different default_query_exec_mode"},
		{[]string{"HOST=h", "SSLCERT=c"}, "repo.sslcert: it needs repo.sslkey"},
		{[]string{"HOST=h", "SSLKEY=c"}, "repo.sslkey: it needs repo.sslcert"},
		{[]string{"DATABASE_URL=postgres://u:hunter2@h/d", "PASSWORD=hunter3"}, "repo.password: " + twice},
		{[]string{"DATABASE_URL=postgres://u:hunter2@h/d", "PASSWORD_FILE=" + file}, "repo.password_file: " + twice},
		{[]string{"HOST=h", "PASSWORD=hunter3", "PASSWORD_FILE=" + file}, "repo.password_file: repo.password is set too"},
		{[]string{"HOST=h", "PASSWORD=hunter3", "DATABASE_PASSWORD_FILE=" + file}, "repo.password is set too"},
		{[]string{"HOST=h", "PASSWORD_FILE=x", "DATABASE_PASSWORD_FILE=" + file},
			"repo.database_password_file: differs from repo.password_file"},
		{[]string{"HOST=postgres://u:hunter2@h/d"}, "repo.host: "},
		{[]string{"HOST=host=h password=hunter2"}, "repo.host: "},
		{[]string{"DBNAME=postgres://u:hunter2@h/d"}, "repo.dbname: "},
		{[]string{"USER=postgres://u:hunter2@h/d"}, "repo.user: "},
		{[]string{"HOST=h", "PASSWORD=hunter2\x00"}, "repo.password: the value is not allowed"},
		{[]string{"HOST=h", "PORT=65536"}, "a whole number from 0 to 65535"},
		{[]string{"HOST=h", "SSLMODE=on"}, `want disable, allow, prefer, require, verify-ca, verify-full or ""`},
		{[]string{"HOST=h", "SCHEMA=" + strings.Repeat("x", 64)}, "at most 63 bytes"},
		{[]string{"HOST=h", "SCHEMA=a\x01"}, "without control characters"},
		{[]string{"HOST=h", "QUERY_EXEC_MODE=fast"}, "cache_describe, cache_statement, describe_exec, exec, simple_protocol"},
		{[]string{"HOST=h", "POOLER=session"}, "want none or transaction"},
	} {
		err := mustFail(t, repoInput(tt.variables...))
		assertMentions(t, err, "environment GUPPY_REPO_", tt.want)

		if strings.Contains(err.Error(), "hunter") {
			t.Error(err)
		}
	}
}

func TestAllServerProblemsAtOnce(t *testing.T) {
	err := mustFail(t, repoInput("DATABASE_URL=postgres://h/d", "HOST=h", "PORT=1", "USER=u", "DBNAME=d"))
	assertMentions(t, err, "repo.host: ", "repo.port: ", "repo.user: ", "repo.dbname: ")
	err = mustFail(t, repoInput("DATABASE_URL=postgres://u:p@h/d?sslmode=disable&search_path=a", "PASSWORD=p",
		"SSLMODE=require", "SCHEMA=b"))
	assertMentions(t, err, "repo.sslmode: ", "repo.schema: ", "repo.password: ")
}

func TestServerIsIgnoredWithoutOne(t *testing.T) {
	c := mustLoad(t, repoInput("DATABASE_TYPE=sqlite", "HOST=h", "PORT=1", "USER=u", "DBNAME=d", "PASSWORD=p",
		"PASSWORD_FILE=none", "SSLMODE=require", "SSLROOTCERT=x", "SSLCERT=x", "SCHEMA=s", "POOLER=transaction",
		"QUERY_EXEC_MODE=exec"))
	if len(c.Warnings) != 12 || c.Repo.Password != "" || c.Repo.DatabaseURL != "/home/op/.guppy/guppy.db" {
		t.Errorf("got %d warnings: %q", len(c.Warnings), c.Warnings)
	}
	for _, key := range []string{"repo.host", "repo.user", "repo.sslmode", "repo.pooler"} {
		if !slices.Contains(c.Warnings, key+" is ignored: the database is SQLite") {
			t.Errorf("no warning of %s: %q", key, c.Warnings)
		}
	}
}

func TestPasswordFileHasTwoNames(t *testing.T) {
	file := write(t, "pw", "hunter2\n")
	for _, variables := range [][]string{
		{"PASSWORD_FILE=" + file}, {"DATABASE_PASSWORD_FILE=" + file},
		{"PASSWORD_FILE=" + file, "DATABASE_PASSWORD_FILE=" + file},
	} {
		c := mustLoad(t, repoInput(append(variables, "HOST=h")...))
		if c.Repo.Password.Reveal() != "hunter2" || c.Warnings != nil {
			t.Errorf("%q: got %q", variables, c.Warnings)
		}
	}
}

func TestSecretsThatOthersCanReadAreWarnedOf(t *testing.T) {
	key := write(t, "client.key", "key")
	file := write(t, "c.yaml", "repo: {host: h, password: hunter2, sslcert: c, sslkey: "+key+"}")

	for warnings, mode := range []os.FileMode{0o600, 0o604, 0o640} {
		for _, name := range []string{file, key} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}

		c := mustLoad(t, config.Input{HomeDir: home, File: file})
		if len(c.Warnings) != min(2*warnings, 2) || strings.Contains(strings.Join(c.Warnings, ""), "hunter") {
			t.Errorf("%o: got %q", mode, c.Warnings)
		}
	}

	in := repoInput("PASSWORD=other")
	in.File = file
	c := mustLoad(t, in)
	if len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], "repo.sslkey: ") {
		t.Errorf("the file's password counts for nothing, yet: %q", c.Warnings)
	}
}

func TestWorkerSettings(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{
		"GUPPY_WORKER_LEASE=500ms", "GUPPY_WORKER_STALL_TIMEOUT=1s", "GUPPY_WORKER_MAX_ATTEMPTS=1000",
		"GUPPY_WORKER_RUN_AHEAD=1", "GUPPY_WORKER_SOURCE_PATHS=a=~/x, b=/y=z"}})
	want := []string{"a=" + filepath.Join(home, "x"), "b=/y=z"}
	if !reflect.DeepEqual(c.Worker.SourcePaths, want) || c.Worker.MaxAttempts != 1000 || c.Worker.RunAhead != 1 {
		t.Errorf("got %+v", c.Worker)
	}

	for _, bad := range []string{"LEASE=499ms", "LEASE=61m", "STALL_TIMEOUT=0", "STALL_TIMEOUT=25h", "MAX_ATTEMPTS=0",
		"MAX_ATTEMPTS=1001", "RUN_AHEAD=0", "SOURCE_PATHS=a", "SOURCE_PATHS==b", "SOURCE_PATHS=a="} {
		name, _, _ := strings.Cut(bad, "=")
		err := mustFail(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_WORKER_" + bad}})
		assertMentions(t, err, "environment GUPPY_WORKER_"+name, "is not allowed, want")
	}
}
