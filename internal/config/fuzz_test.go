package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
)

func FuzzFile(f *testing.F) {
	for _, name := range []string{"config.example.yaml", "config.example.toml"} {
		example, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(example, strings.HasSuffix(name, ".toml"))
	}

	for _, seed := range []string{
		"", "repo:\n  auto_migrate: true\n", "log: &a {level: *a}", "a: &a [*a]", "? {a: b}\n: c",
		"{<<: {log: {level: info}}}",
		"x: !!binary aGk=", "1: 2\n~: 3", "a.b: 1\na: {b: 2}", "---\n...\n---\n",
		"log: !!set {a}",
	} {
		f.Add([]byte(seed), false)
	}

	for _, seed := range []string{
		"[log]\nlevel = 'info'", "[[repo]]\na.b = 1", "a = {b = {c = 1979-05-27T07:32:00Z}}",
		"a = nan", "prepare.exclude = [['a'], {b = 1}]", "\"\" = 1", "repo.a = 1\nrepo = 2", "a = 07:32:00", "'a.b' = 1",
	} {
		f.Add([]byte(seed), true)
	}

	f.Fuzz(func(t *testing.T, content []byte, isTOML bool) {
		name := "c.yaml"
		if isTOML {
			name = "c.toml"
		}

		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}

		c, err := config.Load(config.Input{File: file, HomeDir: home})
		assertLoaded(t, c, err)
	})
}

func FuzzEnvironment(f *testing.F) {
	f.Add("GUPPY_PREPARE_WORKERS", "4")
	f.Add("GUPPY_PREPARE_EXCLUDE", "a,b")
	f.Add("GUPPY_PREPARE_SHARD_SIZE", "254MiB")
	f.Add("GUPPY_REPO_RETRY_FOR", "1h")
	f.Add("GUPPY_DATABASE_URL", "postgres://u:p@h:1,i:2/db?sslmode=disable")
	f.Add("GUPPY_DATABASE_URL", "host=h password='x y'")
	f.Add("GUPPY_DATABASE_URL", "sqlite:///x.db")
	f.Add("GUPPY_PREPARE_STORE", "file:///x")
	f.Add("GUPPY_REPO_HOST", "db.example.org,/run")
	f.Add("GUPPY_REPO_DBNAME", "postgres:/x")
	f.Add("GUPPY_REPO_SCHEMA", "My \"schema")
	f.Add("GUPPY_WORKER_SOURCE_PATHS", "a=~/b,c==")
	f.Add("GUPPY_DATA_DIR", "~/./$x//%AB%/.\r")
	f.Add("GUPPY_LOG_LEVLE", "x")

	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.Contains(name, "PASSWORD_FILE") || strings.HasPrefix(name, "XDG_") {
			return // it would read whatever file the fuzzer names
		}

		c, err := config.Load(config.Input{Environ: []string{name + "=" + value}, HomeDir: "/nonexistent"})
		assertLoaded(t, c, err)
	})
}

// assertLoaded requires ErrInvalid, or a Config that stays the same when the values that it shows are loaded
// again.
func assertLoaded(t *testing.T, c *config.Config, err error) {
	t.Helper()
	if err != nil {
		if c != nil || !errors.Is(err, config.ErrInvalid) {
			t.Fatalf("got %v with %v", c, err)
		}
		return
	}

	engine, err := dialect.EngineOf(dialect.Settings{Type: c.Repo.DatabaseType, URL: c.Repo.DatabaseURL})
	if err != nil || c.Repo.DatabaseURL == "" && !engine.Facts().Server {
		t.Fatalf("got %+v, for no database: %v", c, err)
	}

	if c.Prepare.ShardSize < 128 || c.Prepare.ReadAhead < 1 || c.Prepare.Space == "" {
		t.Fatalf("got %+v", c)
	}

	// The shown values, with the secrets that they hide, must load as the same configuration.
	flags := map[string]config.Flag{}
	for _, v := range c.Values() {
		flags[v.Key] = config.Flag{Name: v.Key, Value: v.Value}
	}
	flags["repo.database_url"] = config.Flag{Value: c.Repo.DatabaseURL.Reveal()}
	flags["prepare.exclude"] = config.Flag{Value: c.Prepare.Exclude}
	flags["worker.source_paths"] = config.Flag{Value: c.Worker.SourcePaths}
	flags["repo.password"] = config.Flag{Value: c.Repo.Password.Reveal()}
	flags["repo.password_file"], flags["repo.database_password_file"] = config.Flag{Value: ""}, config.Flag{Value: ""}

	again, err := config.Load(config.Input{Flags: flags, HomeDir: home})
	if err != nil {
		t.Fatal(err)
	}

	again.Repo.PasswordFile, again.Repo.DatabasePasswordFile = c.Repo.PasswordFile, c.Repo.DatabasePasswordFile
	assertSettings(t, again, c)
}
