package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/config"
)

const home = "/home/op"

func TestDefaults(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home})
	want := config.Config{
		Repo: config.Repo{
			DataDir: "/home/op/.guppy", DatabaseURL: "/home/op/.guppy/guppy.db",
			ConnMaxLifetime: 30 * time.Minute, ConnMaxIdleTime: 5 * time.Minute, BusyTimeout: 30 * time.Second,
			ConnectTimeout: 10 * time.Second, RetryFor: 10 * time.Minute, Pooler: "none",
		},
		Store: config.Store{RetryFor: 10 * time.Minute},
		Prepare: config.Prepare{
			Space: "default", Store: "/home/op/.guppy/shards", ShardSize: 266338304, Profile: "unixfs-v1-2025",
			ReadAhead: 1024, Symlinks: "preserve", OnError: "fail",
		},
		Worker: config.Worker{
			Lease: time.Minute, StallTimeout: 10 * time.Minute, MaxAttempts: 5, RunAhead: 4,
		},
		Log: config.Log{Level: "info", Format: config.LogAuto},
	}

	assertSettings(t, c, &want)
	if c.File != "" || c.Warnings != nil {
		t.Errorf("file %q, warnings %q", c.File, c.Warnings)
	}
}

func TestExampleFilesHoldTheDefaults(t *testing.T) {
	want := mustLoad(t, config.Input{HomeDir: home})
	want.Prepare.Exclude, want.Worker.SourcePaths = []string{}, []string{}
	for _, name := range []string{"config.example.yaml", "config.example.toml"} {
		c := mustLoad(t, config.Input{HomeDir: home, File: filepath.Join("..", "..", name)})
		assertSettings(t, c, want)
		for _, v := range c.Values() {
			if !c.IsSet(v.Key) {
				t.Errorf("%s lacks %s", name, v.Key)
			}
		}
	}
}

func TestPrecedenceAndOrigins(t *testing.T) {
	file := write(t, "c.yaml", "log:\n  level: debug\n  format: json\nprepare:\n  workers: 1\n  space: file\n")
	c := mustLoad(t, config.Input{
		File:    file,
		Environ: []string{"GUPPY_PREPARE_WORKERS=2", "GUPPY_LOG_FORMAT=text", "PATH=/bin"},
		Flags:   map[string]config.Flag{"prepare.workers": {Name: "workers", Value: 3}},
		HomeDir: home,
	})

	if c.Prepare.Workers != 3 || c.Log.Format != "text" || c.Log.Level != "debug" || c.Prepare.Space != "file" {
		t.Errorf("got %+v %+v", c.Prepare, c.Log)
	}

	for key, want := range map[string]config.Origin{
		"prepare.workers":    "flag --workers",
		"log.format":         "environment GUPPY_LOG_FORMAT",
		"log.level":          config.Origin("file " + file + ":2"),
		"prepare.space":      config.Origin("file " + file + ":6"),
		"prepare.read_ahead": "default",
	} {
		if got := c.Origin(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}

		if c.IsSet(key) != (want != config.Default) {
			t.Errorf("IsSet(%s) is %t", key, c.IsSet(key))
		}
	}
}

func TestYAMLAndTOMLAreEqual(t *testing.T) {
	yaml := write(t, "c.yml", `
repo: {data_dir: /d, database_type: postgres, database_url: "postgres://u:p@h/db", max_open_conns: 5,
  conn_max_lifetime: 0, auto_migrate: true}
prepare:
  shard_size: 100MB
  exclude: ["*.tmp", '.git/']
  read_ahead: 0x20
`)

	toml := write(t, "c.toml", `
repo = {data_dir = "/d", database_type = "postgres", database_url = "postgres://u:p@h/db", max_open_conns = 5,
  conn_max_lifetime = "0s", auto_migrate = true}
[prepare]
shard_size = 100_000_000
exclude = ["*.tmp", '.git/']
read_ahead = 32
`)
	a, b := mustLoad(t, config.Input{File: yaml}), mustLoad(t, config.Input{File: toml})
	assertSettings(t, a, b)

	if !reflect.DeepEqual(a.Prepare.Exclude, []string{"*.tmp", ".git/"}) || a.Prepare.ShardSize != 1e8 ||
		a.Repo.DatabaseURL.Reveal() != "postgres://u:p@h/db" || a.Repo.ConnMaxLifetime != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	file := write(t, "c.yaml", "log:\n  level: loud\nprepare:\n  worker: 3\n  workers: 2000\n")
	err := mustFail(t, config.Input{
		File:    file,
		Environ: []string{"GUPPY_PREPARE_SYMLINK=skip", "GUPPY_PREPARE_READ_AHEAD=many"},
		Flags:   map[string]config.Flag{"prepare.on_error": {Name: "on-error", Value: "explode"}},
		HomeDir: home,
	})

	want := "invalid configuration\n" +
		"  file " + file + ":2: log.level: \"loud\" is not allowed, want debug, info, warn or error\n" +
		"  file " + file + ":4: prepare.worker: unknown setting; did you mean prepare.workers?\n" +
		"  file " + file + ":5: prepare.workers: 2000 (an integer) is not allowed, want a whole number from 0 to 1024\n" +
		"  environment GUPPY_PREPARE_READ_AHEAD: prepare.read_ahead: \"many\" is not allowed, " +
		"want a whole number from 1 to 4096\n" +
		"  environment GUPPY_PREPARE_SYMLINK: unknown variable; did you mean GUPPY_PREPARE_SYMLINKS?\n" +
		"  flag --on-error: prepare.on_error: \"explode\" is not allowed, want fail or skip"

	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestFlags(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home, Flags: map[string]config.Flag{
		"prepare.workers":    {Name: "workers", Value: uint16(7)},
		"prepare.shard_size": {Name: "shard-size", Value: "1MiB"},
		"prepare.exclude":    {Name: "exclude", Value: []string{"a,b", "c"}},
		"repo.retry_for":     {Name: "retry-for", Value: time.Minute},
		"repo.auto_migrate":  {Name: "auto-migrate", Value: true},
	}})
	if c.Prepare.Workers != 7 || c.Prepare.ShardSize != 1<<20 || c.Repo.RetryFor != time.Minute ||
		!c.Repo.AutoMigrate || !reflect.DeepEqual(c.Prepare.Exclude, []string{"a,b", "c"}) {
		t.Errorf("got %+v", c)
	}

	err := mustFail(t, config.Input{HomeDir: home, Flags: map[string]config.Flag{
		"prepare.wrokers": {Name: "wrokers", Value: 1},
		"prepare.workers": {Name: "workers", Value: uint64(1) << 63},
	}})
	assertMentions(t, err, "flag --wrokers: prepare.wrokers: unknown setting; did you mean prepare.workers?",
		"flag --workers: prepare.workers: 9223372036854775808")
}

func TestDiscovery(t *testing.T) {
	dir := t.TempDir()
	xdg := filepath.Join(dir, "xdg")
	put(t, filepath.Join(xdg, "guppy", "config.toml"), "[log]\nlevel = 'warn'\n")
	put(t, filepath.Join(dir, ".config", "guppy", "config.yml"), "log: {level: error}")

	for _, tt := range []struct {
		name  string
		env   []string
		file  string
		level string
	}{
		{"home", nil, ".config/guppy/config.yml", "error"},
		{"XDG", []string{"XDG_CONFIG_HOME=" + xdg}, "xdg/guppy/config.toml", "warn"},
		{"relative XDG does not count", []string{"XDG_CONFIG_HOME=xdg"}, ".config/guppy/config.yml", "error"},
		{"none there", []string{"XDG_CONFIG_HOME=" + filepath.Join(dir, "none")}, "", "info"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, config.Input{HomeDir: dir, Environ: tt.env})
			want := tt.file
			if want != "" {
				want = filepath.Join(dir, want)
			}

			if c.File != want || c.Log.Level != tt.level {
				t.Errorf("got %s with %q", c.File, c.Log.Level)
			}
		})
	}

	put(t, filepath.Join(xdg, "guppy", "config.yaml"), "log: {level: debug}")
	c := mustLoad(t, config.Input{HomeDir: dir, Environ: []string{"XDG_CONFIG_HOME=" + xdg}})
	if c.Log.Level != "debug" || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "config.toml is ignored") {
		t.Errorf("got %q, %q", c.Log.Level, c.Warnings)
	}
}

func TestNamedFile(t *testing.T) {
	for _, tt := range []struct {
		name, file, want string
		cause            error
	}{
		{"missing", filepath.Join(t.TempDir(), "no.yaml"), "no such file", fs.ErrNotExist},
		{"directory", mkdir(t, "d.yaml"), "is a directory", nil},
		{"other ending", write(t, "c.json", "{}"), "must end in .yaml, .yml or .toml", nil},
		{"huge", write(t, "c.yaml", strings.Repeat("#\n", 1<<19+1)), "more than 1048576 bytes", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := mustFail(t, config.Input{HomeDir: home, File: tt.file})
			assertMentions(t, err, tt.file, tt.want)

			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("%v is no %v", err, tt.cause)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for _, tt := range []struct{ yaml, dataDir, store, database string }{
		{"repo: {data_dir: ~/g}", "/home/op/g", "/home/op/g/shards", "/home/op/g/guppy.db"},
		{`repo: {data_dir: "~"}`, "/home/op", "/home/op/shards", "/home/op/guppy.db"},
		{"repo: {data_dir: host=h}", "host=h", "host=h/shards", "./host=h/guppy.db"},
		{"repo: {data_dir: ../a}", "../a", "../a/shards", "./../a/guppy.db"},
		{"repo: {data_dir: ./~bob/g}", "./~bob/g", "./~bob/g/shards", "./~bob/g/guppy.db"},
		{"{repo: {data_dir: /d}, prepare: {store: ~/s}}", "/d", "/home/op/s", "/d/guppy.db"},
		{`{repo: {data_dir: /d}, prepare: {store: "file:///a%20b/"}}`, "/d", "/a b", "/d/guppy.db"},
		{"{repo: {data_dir: /d, database_url: ~/my.db}}", "/d", "/d/shards", "/home/op/my.db"},
	} {
		c := mustLoad(t, config.Input{HomeDir: home, File: write(t, "c.yaml", tt.yaml)})
		if c.Repo.DataDir != tt.dataDir || c.Prepare.Store != tt.store || c.Repo.DatabaseURL.Reveal() != tt.database {
			t.Errorf("%s: got %q, %q, %q", tt.yaml, c.Repo.DataDir, c.Prepare.Store, c.Repo.DatabaseURL.Reveal())
		}
	}

	for _, bad := range []string{"s3:bucket/x", "file://host/x", "file:rel", "file:///x?y=1", "file:///x#y",
		"ftp://host/x",
		"none://x", "s3://", "s3://bucket/../x", "s3://key:secret@bucket/x", "s3://bucket/x?secret=secret"} {
		err := mustFail(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_PREPARE_STORE=" + bad}})
		assertMentions(t, err, "environment GUPPY_PREPARE_STORE: prepare.store: want a directory")

		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}

	for _, store := range []string{"s3://bucket/x?endpoint=http://127.0.0.1:9000", "none:"} {
		c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_PREPARE_STORE=" + store}})
		if c.Prepare.Store != store || c.Prepare.StoreDirectory() != "" {
			t.Errorf("%s became %q, in %q", store, c.Prepare.Store, c.Prepare.StoreDirectory())
		}
	}
}

func TestUnknownHome(t *testing.T) {
	assertMentions(t, mustFail(t, config.Input{}), `repo.data_dir: "~/.guppy": the home directory`)
	mustLoad(t, config.Input{Environ: []string{"GUPPY_DATA_DIR=/d"}})
}

func mustLoad(t *testing.T, in config.Input) *config.Config {
	t.Helper()
	c, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustFail(t *testing.T, in config.Input) error {
	t.Helper()
	c, err := config.Load(in)
	if c != nil || !errors.Is(err, config.ErrInvalid) {
		t.Fatalf("got %+v and %v, want ErrInvalid", c, err)
	}
	return err
}

func assertMentions(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// assertSettings compares secrets by their hidden text.
func assertSettings(t *testing.T, got, want *config.Config) {
	t.Helper()
	if got.Repo != want.Repo {
		t.Errorf("got %+v (%s)\nwant %+v (%s)", got.Repo, got.Repo.DatabaseURL.Reveal(),
			want.Repo, want.Repo.DatabaseURL.Reveal())
	}
	if !reflect.DeepEqual(got.Prepare, want.Prepare) || !reflect.DeepEqual(got.Worker, want.Worker) ||
		got.Log != want.Log {
		t.Errorf("got %+v %+v %+v\nwant %+v %+v %+v", got.Prepare, got.Worker, got.Log,
			want.Prepare, want.Worker, want.Log)
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	put(t, path, content)
	return path
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
