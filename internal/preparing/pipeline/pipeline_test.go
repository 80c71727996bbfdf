package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// checks is rapid's number of checks, which is small because each check prepares a whole tree.
var checks = "10"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// shardSize is small, so that large files span shards.
const shardSize = 2 << 20

// fixture is a space with one source, in a repository and a store of their own.
type fixture struct {
	tb   testing.TB
	db   *dialect.DB
	repo *sqlrepo.Repository
	dir  string
	job  pipeline.Job
}

type change func(*pipeline.Job)

func newFixture(tb testing.TB, db *dialect.DB, fsys source.FS, root string, changes ...change) *fixture {
	tb.Helper()
	ctx := context.Background()
	f := &fixture{tb: tb, db: db, repo: sqlrepo.New(db), dir: filepath.Join(tb.TempDir(), "shards")}

	space, err := f.repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: shardSize})
	must(tb, err)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	src, err := f.repo.AddSource(ctx, sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(root), SourceOptions: options,
	})
	must(tb, err)

	shards, err := store.OpenDirectory(f.dir)
	must(tb, err)

	f.job = pipeline.Job{
		Repo: f.repo, Store: shards, FS: fsys, Space: space, Source: src,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 8, Limits: pipeline.Limits{Pause: time.Millisecond}, TempDir: tb.TempDir(),
		Log: slog.New(slog.DiscardHandler),
	}

	for _, change := range changes {
		change(&f.job)
	}

	return f
}

// run runs the job once.
func (f *fixture) run() (pipeline.Result, error) {
	f.job.Progress = &progress.Counters{}
	return f.job.Run(context.Background())
}

// complete runs the job and checks that the upload is complete.
func (f *fixture) complete() sqlrepo.Upload {
	f.tb.Helper()
	result, err := f.run()
	must(f.tb, err)
	if result.Upload.State != sqlrepo.Complete {
		f.tb.Fatalf("upload is %s with %d failed entries: %v", result.Upload.State, result.Failed, f.leftOut())
	}
	indexed, total := f.job.Progress.Indexed.Load(), f.job.Progress.IndexedTotal.Load()
	if total == 0 && indexed > 0 || indexed < total {
		f.tb.Errorf("%d of %d blocks were indexed", indexed, total)
	}
	checktest.Sound(f.tb, f.repo, f.dir)
	return result.Upload
}

// leftOut maps the paths left out of the latest upload to "state: reason".
func (f *fixture) leftOut() map[string]string {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	left := map[string]string{}
	for entry, err := range f.repo.LeftOut(context.Background(), uploads[len(uploads)-1].ID) {
		must(f.tb, err)
		left[entry.Path.String()] = fmt.Sprintf("%d: %s", entry.State, entry.Reason)
	}
	return left
}

// shardFile returns the path of a shard's file.
func (f *fixture) shardFile(row sqlrepo.Shard) string {
	return filepath.Join(f.dir, shard.Name([sha256.Size]byte(row.Digest)))
}

// stored returns the names of all files in the store except for its marker.
func (f *fixture) stored() []string {
	f.tb.Helper()
	entries, err := os.ReadDir(f.dir)
	must(f.tb, err)
	var names []string
	for _, entry := range entries {
		if entry.Name() != ".guppy-store" {
			names = append(names, entry.Name())
		}
	}
	return names
}

var unlike = regexp.MustCompile(`"(created_at|started_at|finished_at)":("[^"]*"|\d+)`)

// dump returns the logical content of the repository without times.
func (f *fixture) dump() string {
	f.tb.Helper()
	var out bytes.Buffer
	must(f.tb, copying.New(f.repo).Dump(context.Background(), &out))
	return unlike.ReplaceAllString(out.String(), "")
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// sameDump reports the first line in which two dumps differ.
func sameDump(t testing.TB, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	lines, others := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(lines), len(others)) {
		if lines[i] != others[i] {
			t.Errorf("dump, line %d of %d: got %s\nwant %s", i, len(lines), lines[i], others[i])
			return
		}
	}
	t.Errorf("dump: got %d lines, want %d", len(lines), len(others))
}

func sameNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// tree writes files by relative path. A path that ends with "/" is a directory.
func tree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	root := tb.TempDir()
	for path, content := range files {
		full := filepath.Join(root, path)
		must(tb, os.MkdirAll(filepath.Dir(full), 0o755))
		if path[len(path)-1] == '/' {
			must(tb, os.MkdirAll(full, 0o755))
			continue
		}
		must(tb, os.WriteFile(full, []byte(content), 0o644))
	}
	return root
}
